"""Without Ray trials are stopped by the same rule as by Ray Tune's ASHAScheduler."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.execute.halving import Halving, rungs
from harness.execute.ray_environment import prepare
from harness.suite.study import Stopping

CURVES = st.lists(st.lists(st.integers(0, 20), min_size=9, max_size=9), min_size=1, max_size=12)
EPOCHS = 9


def by_ray(curves: list[list[int]], stopping: Stopping) -> list[int]:
    """How many epochs each trial gets to, one trial after the other."""
    prepare()
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler

    scheduler = ASHAScheduler(
        "epoch", metric="top1", mode="max", max_t=EPOCHS, grace_period=stopping.grace,
        reduction_factor=stopping.reduction,
    )  # fmt: skip
    nobody: Any = None
    reached = []
    for number, curve in enumerate(curves):
        trial: Any = SimpleNamespace(trial_id=str(number))
        scheduler.on_trial_add(nobody, trial)
        for epoch, value in enumerate(curve, start=1):
            result = {"epoch": epoch, "top1": float(value)}
            if scheduler.on_trial_result(nobody, trial, result) == TrialScheduler.STOP:
                break
        scheduler.on_trial_complete(nobody, trial, result)
        reached.append(epoch)
    return reached


def by_us(curves: list[list[int]], stopping: Stopping) -> list[int]:
    halving = Halving(stopping, EPOCHS)
    return [
        next(epoch for epoch, value in enumerate(curve, start=1) if halving.stops(number, epoch, float(value)))
        for number, curve in enumerate(curves)
    ]


@settings(max_examples=150)
@given(curves=CURVES, grace=st.integers(1, 4), reduction=st.integers(2, 4))
def test_the_same_trials_are_stopped_after_the_same_epochs(curves: list[list[int]], grace: int, reduction: int) -> None:
    stopping = Stopping(grace, reduction)
    assert by_us(curves, stopping) == by_ray(curves, stopping)


@given(curves=CURVES, broken=st.integers(0, 11))
def test_a_study_that_was_interrupted_goes_on_with_what_earlier_trials_had_reached(
    curves: list[list[int]], broken: int
) -> None:
    stopping = Stopping(1, 3)
    whole = by_us(curves, stopping)
    halving = Halving(stopping, EPOCHS)
    for number, curve in enumerate(curves):
        if number < broken:
            halving.replay(number, [float(value) for value in curve[: whole[number]]])
            continue
        stops = [halving.stops(number, epoch, float(value)) for epoch, value in enumerate(curve[: whole[number]], 1)]
        assert stops == [False] * (whole[number] - 1) + [True]


def test_rungs_are_the_grace_and_its_multiples() -> None:
    assert rungs(Stopping(2, 3), 20) == [2, 6, 18]
    assert rungs(Stopping(5, 2), 4) == []
