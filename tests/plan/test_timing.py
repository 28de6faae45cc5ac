"""Predicting how long a stage takes from stages like it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.plan import timing
from harness.plan.costs import network_cost
from harness.plan.stages import Chain, chain_of
from harness.plan.summary import STARTUP_SECONDS, question, totals
from harness.plan.timing import HELD_OUT_WORK, Clock, Question, Timing, record, recorded
from tests.cells import cell


def measured(work: float, macs: int, seconds: float, kind: str = "dense", **fields: object) -> Timing:
    known = Timing(timing.machine(), "vgg16", "cifar10", kind, "", "cpu", 2, 64, work, macs, seconds)
    return replace(known, **fields)


def asked(work: float, macs: int, kind: str = "finetune", **fields: object) -> Question:
    return replace(Question("vgg16", "cifar10", kind, "", "cpu", 2, 64, work, macs), **fields)


def by_law(fixed: float, image: float, mac: float) -> list[Timing]:
    return [
        measured(work, macs, fixed + work * (image + mac * macs))
        for work in (1e4, 3e4, 1e5, 8e5)
        for macs in (4_000_000, 30_000_000, 300_000_000)
    ]


@settings(max_examples=40, deadline=None)
@given(
    fixed=st.floats(0.5, 20),
    image=st.floats(1e-6, 1e-4),
    mac=st.floats(1e-13, 1e-11),
    work=st.floats(2e4, 4e6),
    macs=st.integers(2_000_000, 300_000_000),
)
def test_a_linear_law_is_found_again(fixed: float, image: float, mac: float, work: float, macs: int) -> None:
    predicted = Clock(by_law(fixed, image, mac)).seconds(asked(work, macs))
    assert predicted == pytest.approx(fixed + work * (image + mac * macs), rel=0.01)


@settings(max_examples=40, deadline=None)
@given(
    seconds=st.lists(st.floats(0.01, 1e4), min_size=1, max_size=12), work=st.floats(0, 1e7), macs=st.integers(0, 10**9)
)
def test_no_prediction_is_negative(seconds: list[float], work: float, macs: int) -> None:
    timings = [measured(1e4 * (1 + place % 3), 10**6 * (1 + place % 4), each) for place, each in enumerate(seconds)]
    predicted = Clock(timings).seconds(asked(max(work, 1.0), macs))
    assert predicted is not None
    assert predicted >= 0


def test_nothing_is_predicted_where_nothing_is_known() -> None:
    assert Clock([]).seconds(asked(1e5, 10**7)) is None


@pytest.mark.parametrize(
    "other", [{"backbone": "resnet56"}, {"data": "digits"}, {"device": "cuda"}, {"threads": 4}, {"batch": 128}]
)
def test_another_network_machine_or_batch_tells_nothing(other: dict[str, object]) -> None:
    clock = Clock(by_law(1.0, 1e-5, 1e-12))
    assert clock.seconds(asked(1e5, 10**7)) is not None
    assert clock.seconds(asked(1e5, 10**7, **other)) is None


def test_a_methods_search_is_timed_for_itself() -> None:
    clock = Clock([measured(1e5, 0, 50.0, "compress", method="dnal")])
    assert clock.seconds(asked(1e5, 0, "compress", method="dnal")) == pytest.approx(50.0, rel=0.01)
    assert clock.seconds(asked(1e5, 0, "compress", method="gal")) is None


def test_stages_that_train_nothing_take_the_median() -> None:
    timings = [measured(0, 0, seconds, "measure", batch=0) for seconds in (1.0, 2.0, 90.0)]
    assert Clock(timings).seconds(asked(0, 0, "measure", batch=0)) == 2.0


@pytest.fixture
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return timing.timings_file()


def test_what_is_recorded_is_read_again(own_file: Path) -> None:
    timings = [measured(1e4, 10**6, 3.0), measured(2e4, 10**6, 5.0)]
    for each in timings:
        record(each)
    assert own_file.is_file()
    assert recorded() == timings


def test_another_machines_timings_and_half_a_line_are_passed_over(own_file: Path) -> None:
    record(measured(1e4, 10**6, 3.0, machine="elsewhere"))
    record(measured(1e4, 10**6, 4.0))
    with own_file.open("a") as file:
        file.write('{"machine": "torn')
    assert [each.seconds for each in recorded()] == [4.0]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(in_the_way))
    record(measured(1e4, 10**6, 3.0))
    assert recorded() == []


def digits(seconds: float) -> list[Timing]:
    """Timings of every kind of stage of an L1 cell on the digits, by one law: `seconds` for each of them."""
    chain = one_cell()
    return [
        Timing(timing.machine(), **{**vars(question(stage, chain.cell, "cpu", 1)), "seconds": seconds})
        for stage in chain.stages
    ]


def one_cell() -> Chain:
    return chain_of(cell("l1_norm", budget=0.5), {})


def test_a_grids_time_is_that_of_its_open_stages() -> None:
    clock = Clock(digits(10.0))
    chain = one_cell()
    each = [clock.seconds(question(stage, chain.cell, "cpu", 1)) for stage in chain.stages]
    assert all(predicted is not None for predicted in each)
    sums = totals([chain], frozenset(), clock, 1, "cpu", 1)
    assert sums.seconds == pytest.approx(STARTUP_SECONDS + sum(part or 0.0 for part in each))
    rest = totals([chain], {chain.stages[0].key}, clock, 1, "cpu", 1)
    assert rest.seconds == pytest.approx(STARTUP_SECONDS + sum(part or 0.0 for part in each[1:]))


def test_more_slots_take_less_time_but_never_less_than_the_longest_cell() -> None:
    clock = Clock(digits(10.0))
    chains = [chain_of(cell("l1_norm", budget=0.5, seed=seed), {}) for seed in range(4)]
    one, two, many = (totals(chains, frozenset(), clock, slots, "cpu", 1) for slots in (1, 2, 100))
    assert one.seconds is not None
    assert two.seconds == pytest.approx(STARTUP_SECONDS + (one.seconds - STARTUP_SECONDS) / 2)
    assert many.seconds == pytest.approx(STARTUP_SECONDS + (many.cell_seconds or 0))


def test_a_grid_with_a_stage_of_unknown_length_has_no_time() -> None:
    without_measure = digits(10.0)[:-1]
    assert totals([one_cell()], frozenset(), Clock(without_measure), 1, "cpu", 1).seconds is None


def test_the_question_counts_a_held_out_image_at_what_scoring_it_costs() -> None:
    chain = one_cell()
    dense, _, finetune, _ = chain.stages
    whole = network_cost("vgg_digits", "digits").macs
    assert question(dense, chain.cell, "cpu", 1).work == pytest.approx(2 * (1_293 + 144 * HELD_OUT_WORK))
    assert 0 < HELD_OUT_WORK < 1
    assert question(dense, chain.cell, "cpu", 1).macs == whole
    assert question(finetune, chain.cell, "cpu", 1).macs == round(0.5 * whole)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(*3 * [st.integers(0, 20)]), min_size=1, max_size=20), st.integers(0, 99))
def test_its_least_squares_are_those_of_scipy(rows: list[tuple[int, ...]], seed: int) -> None:
    import numpy as np
    from scipy.optimize import nnls

    matrix = np.array(rows, dtype=float) / 20
    right = np.random.default_rng(seed).normal(1, 1, len(rows))
    found = timing._non_negative(matrix, right)
    assert (found >= 0).all()
    _, least = nnls(matrix, right)
    assert np.linalg.norm(matrix @ found - right) == pytest.approx(least, rel=1e-6, abs=1e-6)
