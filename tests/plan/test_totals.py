"""Sums over a small grid, checked against sums by hand."""

from __future__ import annotations

from harness.plan.costs import network_cost
from harness.plan.stages import chain_of
from harness.plan.summary import Totals, totals
from harness.suite.cell import Cell
from tests.cells import cell

IMAGES = 1_437 - 144
"""Of the digits, those that weights are trained on."""


def summed(cells: list[Cell], done: frozenset[str] = frozenset()) -> Totals:
    return totals([chain_of(each, {}) for each in cells], done, None, 1, "cpu", 1)


def grid(seeds: int = 2) -> list[Cell]:
    """Per seed: 2 dense epochs for two of the cells, then 4 of L1's, 4 of the dense one's, 6 of the scratch one's."""
    return [
        each
        for seed in range(seeds)
        for each in (
            cell("dense", seed=seed),
            cell("l1_norm", seed=seed, budget=0.5),
            cell("uniform", seed=seed, budget=0.5),
        )
    ]


def test_epochs_with_and_without_sharing() -> None:
    sums = summed(grid())
    assert sums.cells == 6
    assert sums.epochs == sums.epochs_shared == 2 * (2 + 4 + 4 + 6)
    assert sums.epochs_unshared == 2 * 3 * 6


def test_stages_with_sharing() -> None:
    sums = summed(grid())
    assert sums.stages == sums.open_stages == 2 * (1 + 3 + 3 + 3)


def test_multiply_adds_of_training() -> None:
    whole = network_cost("vgg_digits", "digits").macs
    half = round(0.5 * whole)
    sums = summed(grid(seeds=1))
    step = 3 * IMAGES
    assert sums.training_macs_shared == step * (2 * whole + 4 * whole + 4 * half + 6 * half)
    assert sums.training_macs_unshared == sums.training_macs_shared + step * 2 * whole


def test_what_is_done_is_not_counted_again() -> None:
    dense = frozenset(chain_of(each, {}).stages[0].key for each in grid() if each.method == "dense")
    sums = summed(grid(), dense)
    assert len(dense) == 2
    assert sums.open_stages == sums.stages - 2
    assert sums.epochs == sums.epochs_shared - 2 * 2


def test_a_finished_grid_takes_nothing_more() -> None:
    everything = frozenset(stage.key for each in grid() for stage in chain_of(each, {}).stages)
    sums = summed(grid(), everything)
    assert (sums.open_stages, sums.epochs, sums.training_macs) == (0, 0, 0)


def test_cells_that_wait_for_a_partner_are_counted_all_the_same() -> None:
    partner = cell("dnal", params={"lambda_a": 1e-4})
    waiting = [cell("l1_norm", match=partner), cell("uniform", match=partner)]
    sums = summed([partner, *waiting])
    # dense 2, DNAL 2 + 2, L1 4, uniform 6
    assert sums.epochs_shared == 2 + 4 + 4 + 6
    assert sums.epochs_unshared == 3 * 6
    assert sums.stages == 1 + 3 + 3 + 3


def test_candidates_are_searched_once_for_all_budgets() -> None:
    naturals = tuple(cell("dnal", params={"lambda_a": each}, shown=("lambda_a",)) for each in (1e-4, 2e-4))
    budgets = [cell("dnal", budget=budget, candidates=naturals) for budget in (0.5, 0.25)]
    # dense 2, two searches of 2, four times fine-tuning of 2
    assert summed([*naturals, *budgets]).epochs_shared == 2 + 2 * 2 + 4 * 2


def test_without_a_clock_there_is_no_time() -> None:
    sums = summed(grid())
    assert (sums.seconds, sums.cell_seconds) == (None, None)


def test_disk_holds_at_least_the_dense_weights_of_every_seed() -> None:
    weights = 4 * network_cost("vgg_digits", "digits").params
    assert summed(grid(seeds=2)).disk_bytes >= 2 * weights
    assert summed(grid(seeds=4)).disk_bytes == 2 * summed(grid(seeds=2)).disk_bytes
