"""`tune:` declares a study and the cells that are made of what it chooses."""

from __future__ import annotations

import pytest

from harness.suite.study import Domain, Stopping, Study
from tests.suite.conftest import Load


def study_of(load: Load, block: str) -> Study:
    """The study of a suite that tunes dnal."""
    cells = load(methods=f"  - tune: {{method: dnal, {block}}}").cells
    (tuned,) = {cell.tuned.study.name: cell.tuned for cell in cells if cell.tuned is not None}.values()
    return tuned.study


@pytest.mark.parametrize(
    ("stated", "domain"),
    [
        ("loguniform(1e-5, 1e-3)", Domain("loguniform", (1e-5, 1e-3))),
        ("'uniform(0.5, 1)'", Domain("uniform", (0.5, 1))),
        ("{quniform: [0.5, 1, 0.25]}", Domain("quniform", (0.5, 1, 0.25))),
        ("choice(1e-5, 1e-4, 1e-3)", Domain("choice", (1e-5, 1e-4, 1e-3))),
    ],
)
def test_a_range_may_be_written_as_a_call_or_a_mapping(load: Load, stated: str, domain: Domain) -> None:
    assert study_of(load, f"space: {{lambda_a: {stated}}}, trials: 3").space == (("lambda_a", domain),)


def test_a_space_may_be_written_in_lines(load: Load) -> None:
    lines = """\
  - tune:
      method: random
      space:
        rounds: randint(1, 5)
        start: choice(warm, 1)
      budget: {macs: 0.5}
      trials: 3
"""
    (cell,) = load(methods=lines).cells
    assert cell.tuned is not None
    assert cell.tuned.study.space == (("rounds", Domain("randint", (1, 5))), ("start", Domain("choice", ("warm", 1))))
    assert cell.variant == "random[tuned=1,macs=0.5]"


def test_one_objective_gives_one_cell_a_seed_and_asha(load: Load) -> None:
    suite = load(
        "suite: tiny\ndataset: digits\nbackbones: [vgg_digits]\nseeds: [3, 4]\nrecipe: short_digits\nmethods:\n"
        "  - tune: {method: dnal, space: {lambda_a: loguniform(1e-5, 1e-3)}, trials: 9}\n"
    )
    assert [cell.variant for cell in suite.cells] == ["dnal[tuned=1]"] * 2
    assert [cell.seed for cell in suite.cells] == [3, 4]
    for cell in suite.cells:
        assert cell.tuned is not None
        assert cell.tuned.study.stopping == Stopping(2, 3)
        assert cell.tuned.study.trial.seed == 3


def test_two_objectives_give_up_to_three_cells_and_no_early_stopping(load: Load) -> None:
    space = "space: {lambda_a: loguniform(1e-5, 1e-3)}"
    suite = load(methods=f"  - tune: {{method: dnal, {space}, objectives: [top1, macs], trials: 30}}")
    assert [cell.variant for cell in suite.cells] == [f"dnal[tuned={rank}]" for rank in (1, 2, 3)]
    (study,) = {id(cell.tuned.study): cell.tuned.study for cell in suite.cells[:1] if cell.tuned}.values()
    assert study.stopping is None


def test_trials_hold_out_images_read_no_test_images_and_may_be_shorter(load: Load) -> None:
    suite = load(
        "suite: tiny\ndataset: digits\nbackbones: [vgg_digits]\nseeds: [0]\n"
        "recipe: {use: short_digits, all_train: true, record_test_curve: true}\nmethods:\n"
        "  - tune: {method: dnal, space: {lambda_a: loguniform(1e-5, 1e-3)}, trials: 9, finetune: 4}\n"
    )
    (cell,) = suite.cells
    assert cell.tuned is not None
    trial = cell.tuned.study.trial
    assert cell.recipe.all_train
    assert not trial.recipe.all_train
    assert not trial.recipe.record_test_curve
    assert trial.recipe.epochs.finetune == 4
    assert trial.recipe.epochs.schedule == cell.recipe.epochs.schedule


def test_others_can_match_what_was_tuned(load: Load) -> None:
    lines = "  - tune: {method: dnal, space: {lambda_a: loguniform(1e-5, 1e-3)}, trials: 9}\n"
    suite = load(methods=f"{lines}  - l1_norm: {{budget: {{match: dnal}}}}")
    assert [cell.variant for cell in suite.cells] == ["dnal[tuned=1]", "l1_norm[match=dnal[tuned=1]]"]
    assert suite.cells[1].match is suite.cells[0]


def test_a_tuned_method_stands_beside_the_same_method_as_it_is(load: Load) -> None:
    lines = "  - tune: {method: dnal, space: {lambda_a: loguniform(1e-5, 1e-3)}, trials: 9}\n"
    suite = load(methods=f"  - dnal: {{lambda_a: [1e-5, 1e-3]}}\n{lines}")
    assert [cell.variant for cell in suite.cells] == [
        "dnal[lambda_a=1e-05]",
        "dnal[lambda_a=0.001]",
        "dnal[tuned=1]",
    ]
