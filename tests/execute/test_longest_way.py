"""Cells rank by the longest way that leads through them, over every kind of waiting and any number of steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.execute.longest_way import LongestWays
from harness.plan.stages import chain_of
from harness.suite.cell import Budget, Cell
from harness.suite.recipe import Epochs, Recipe
from tests.execute.small import small

LONG = Recipe(epochs=Epochs(dense=2, search=1, finetune=50), batch=64)
DENSE, SEARCH = 2, 1


def natural(**fields: object) -> Cell:
    return small("dnal", params={"lambda_a": 2e-4}, shown=("lambda_a",), recipe=LONG, **fields)


def ranks(*cells: Cell) -> dict[str, float]:
    """By variant, in epochs of training the whole network."""
    chains = {cell.label: chain_of(cell, {}) for cell in cells}
    dense = chains[cells[0].label].stages[0]
    found = LongestWays(cells, chains)
    return {cell.variant: found[cell.label] / dense.training_macs * DENSE for cell in cells}


def of(cell: Cell) -> float:
    """The cell's rank where nobody waits for it."""
    return ranks(cell)[cell.variant]


def test_a_cell_nobody_waits_for_ranks_by_its_own_training() -> None:
    alone = small("l1_norm", budget=0.5, recipe=LONG)
    assert of(alone) == pytest.approx(DENSE + 0.5 * (SEARCH + 50), rel=1e-3)


@pytest.mark.parametrize("how", ["match", "widths", "candidate", "control"])
def test_what_waits_for_a_cell_lengthens_its_way(how: str) -> None:
    partner = natural()
    longer = LONG.model_copy(update={"epochs": Epochs(dense=2, search=1, finetune=500)})
    waiting = {
        "match": small("l1_norm", match=partner, recipe=longer),
        "widths": small("random", widths_of=partner, allocate="from", recipe=longer),
        "candidate": replace(partner, budget=Budget("macs", 0.9), candidates=(partner,), recipe=longer),
        "control": replace(partner.from_scratch("epochs"), recipe=longer),
    }[how]
    found = ranks(partner, waiting)
    assert found[partner.variant] > of(partner) + 100


def test_a_way_of_several_cells_counts_to_its_end() -> None:
    """C takes the widths of B, which matches A: A ranks by C's training, though C never names A."""
    first = natural()
    second = small("l1_norm", match=first, recipe=LONG)
    longer = LONG.model_copy(update={"epochs": Epochs(dense=2, search=1, finetune=500)})
    third = small("random", widths_of=second, allocate="from", recipe=longer)
    found = ranks(third, second, first)
    until_known = DENSE + 2 / 3 * SEARCH  # a search needs two thirds of a training's multiply-adds
    assert found[first.variant] == pytest.approx(until_known + 0.5 * 501, rel=1e-3)
    assert found[second.variant] == pytest.approx(DENSE + 0.5 * 501, rel=1e-3)


def test_searches_of_other_candidates_run_beside_it_and_do_not_lengthen_a_way() -> None:
    candidates = tuple(
        small("dnal", params={"lambda_a": strength}, shown=("lambda_a",), recipe=LONG)
        for strength in (1e-4, 2e-4, 3e-4)
    )
    trimmed = replace(candidates[0], budget=Budget("macs", 0.5), candidates=candidates, shown=())
    found = ranks(*candidates, trimmed)
    assert found[trimmed.variant] == pytest.approx(DENSE + 2 / 3 * SEARCH + 0.5 * 50, rel=1e-3)
