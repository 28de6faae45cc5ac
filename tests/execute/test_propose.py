"""What a trial tries is a function of the study, its number and the outcomes that it may know."""

from __future__ import annotations

from typing import Any

import pytest

from harness.execute.propose import propose
from harness.execute.ray_environment import prepare
from harness.suite.study import Domain, Objective
from tests.execute.tuning import study

pytestmark = pytest.mark.usefixtures("made_up_methods")

SPACE = (
    ("rate", Domain("loguniform", (1e-4, 1.0))),
    ("share", Domain("uniform", (0.2, 1.0))),
    ("step", Domain("quniform", (0.5, 2.0, 0.25))),
    ("rounds", Domain("randint", (1, 5))),
    ("mode", Domain("choice", ("hard", "soft"))),
)


def outcomes(count: int) -> list[dict[str, Any]]:
    """Ended trials; every fifth failed, every fourth was stopped."""
    told = []
    for number in range(count):
        params = propose(study(space=SPACE), number, told)
        state = "failed" if number % 5 == 4 else "stopped" if number % 4 == 3 else "complete"
        top1 = None if state == "failed" else params["share"]
        told.append({"params": params, "state": state, "top1": top1, "macs": 1000 * params["share"]})
    return told


@pytest.mark.parametrize("objectives", [("top1",), ("top1", "macs")])
def test_ray_tunes_search_and_optuna_itself_suggest_the_same(objectives: tuple[Objective, ...]) -> None:
    prepare()
    from harness.execute.ray_study import propose_with_ray

    of = study(space=SPACE, objectives=objectives)
    known = outcomes(14)
    for number in range(15):
        assert propose_with_ray(of, number, known[:number]) == propose(of, number, known[:number])


def test_every_value_lies_in_its_range() -> None:
    for trial in outcomes(25):
        params = trial["params"]
        assert 1e-4 <= params["rate"] <= 1
        assert 0.2 <= params["share"] <= 1
        assert params["step"] in {0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0}
        assert params["rounds"] in {1, 2, 3, 4}
        assert params["mode"] in {"hard", "soft"}


def test_trials_differ_and_so_do_seeds() -> None:
    of = study(space=SPACE)
    suggested = [propose(of, number, [])["rate"] for number in range(5)]
    assert len(set(suggested)) == 5
    other = study(space=SPACE, trial=study().trial.__class__(**{**vars(study().trial), "seed": 1}))
    assert propose(other, 0, [])["rate"] != suggested[0]


def test_outcomes_guide_what_comes_after_the_first_ten() -> None:
    of = study(space=SPACE)
    known = [{**trial, "state": "complete", "top1": trial["params"]["share"]} for trial in outcomes(30)]
    late = [propose(of, number, known)["share"] for number in range(30, 45)]
    assert sum(late) / len(late) > 0.8
