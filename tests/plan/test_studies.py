"""Which configurations a study chooses, and what its keys hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.plan.studies import chosen, studies_of, study_key, trial_stages, trials_key
from harness.suite.study import Domain, Stopping, Study, Tuned
from tests.cells import cell

TRIAL = cell("dnal", params={"lambda_a": 1e-4}, shown=("lambda_a",))
STUDY = Study("tuned", (("lambda_a", Domain("loguniform", (1e-5, 1e-3))),), ("top1",), 8, 1, 4, None, 0, TRIAL)
BOTH = replace(STUDY, objectives=("top1", "macs"), best=3)


def trials(*outcomes: tuple[float, int], state: str = "complete") -> list[dict[str, Any]]:
    """Outcomes of trials: accuracy and MACs."""
    return [
        {"params": {"lambda_a": number}, "state": state, "top1": top1, "macs": macs, "params_count": macs}
        for number, (top1, macs) in enumerate(outcomes)
    ]


def test_the_largest_held_out_accuracy_is_chosen_and_of_equals_the_first() -> None:
    assert chosen(STUDY, trials((0.5, 9), (0.7, 9), (0.7, 1))) == [1]
    assert chosen(replace(STUDY, best=2), trials((0.5, 9), (0.7, 9), (0.6, 1))) == [1, 2]


def test_trials_that_were_stopped_or_failed_are_not_chosen() -> None:
    ended = [*trials((0.5, 9)), *trials((0.9, 9), state="stopped"), *trials((0.9, 9), state="failed")]
    for number, trial in enumerate(ended):
        trial["params"] = {"lambda_a": number}
    assert chosen(STUDY, ended) == [0]
    assert chosen(STUDY, ended[1:]) == []


def test_equal_parameters_are_chosen_once() -> None:
    twice = [{**trial, "params": {"lambda_a": 1}} for trial in trials((0.5, 9), (0.5, 9))]
    assert chosen(replace(STUDY, best=2), twice) == [0]


@given(
    outcomes=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=15),
    best=st.integers(1, 6),
)
def test_with_two_objectives_no_chosen_trial_is_dominated_and_the_front_is_all_there_if_it_fits(
    outcomes: list[tuple[int, int]], best: int
) -> None:
    def beats(one: int, other: int) -> bool:
        (top1, macs), (their_top1, their_macs) = outcomes[one], outcomes[other]
        return top1 >= their_top1 and macs <= their_macs and (top1, macs) != (their_top1, their_macs)

    found = chosen(replace(BOTH, best=best), trials(*((top1 / 10, macs) for top1, macs in outcomes)))
    everybody = range(len(outcomes))
    front = [one for one in everybody if not any(beats(other, one) for other in everybody)]
    assert set(found) <= set(front)
    assert len(found) == len(set(found)) == min(best, len(front))
    assert [outcomes[one][0] for one in found] == sorted((outcomes[one][0] for one in found), reverse=True)
    if best > 1 and len(front) > best:
        ends = sorted(front, key=lambda one: outcomes[one])
        assert outcomes[found[0]] == outcomes[ends[-1]] or outcomes[found[0]][0] == outcomes[ends[-1]][0]
        assert outcomes[found[-1]][0] == outcomes[ends[0]][0]


def test_more_trials_another_name_or_more_that_are_chosen_leave_the_trials_as_they_are() -> None:
    assert trials_key(STUDY) == trials_key(replace(STUDY, trials=99, name="other", best=3))
    assert study_key(STUDY) != study_key(replace(STUDY, trials=99))
    assert study_key(STUDY) != study_key(replace(STUDY, best=3))


@pytest.mark.parametrize(
    "changes",
    [
        {"space": (("lambda_a", Domain("uniform", (1e-5, 1e-3))),)},
        {"objectives": ("top1", "macs")},
        {"parallel": 1},
        {"stopping": Stopping(1, 3)},
        {"trial": replace(TRIAL, seed=1)},
        {"trial": cell("dnal", params={"lambda_a": 1e-4, "momentum": 0.5})},
        {"trial": replace(TRIAL, recipe=TRIAL.recipe.model_copy(update={"lr": 0.2}))},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_decides_outcomes_changes_the_trials(changes: dict[str, Any]) -> None:
    assert trials_key(STUDY) != trials_key(replace(STUDY, **changes))


def test_a_trial_has_the_stages_of_the_cell_with_its_parameters_but_for_the_measurement() -> None:
    from harness.plan.stages import chain_of

    own = [stage.key for stage in trial_stages(STUDY, {"lambda_a": 3e-4})]
    natural = [stage.key for stage in chain_of(cell("dnal", params={"lambda_a": 3e-4}), {}).stages]
    assert own == natural[:-1]


def test_cells_of_one_study_name_it_once_whatever_their_seed_and_rank() -> None:
    cells = [replace(TRIAL, seed=seed, tuned=Tuned(BOTH, rank)) for seed in (0, 1) for rank in (0, 1)]
    other = replace(TRIAL, tuned=Tuned(STUDY, 0))
    assert studies_of([*cells, cell("l1_norm", match=other)]) == [BOTH, STUDY]
