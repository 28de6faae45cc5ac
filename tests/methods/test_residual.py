"""What holds for every registered method on a residual network, whatever kinds of groups it may cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from harness.channels.graph import ChannelGraph
from harness.channels.surgery import cut, mask
from harness.execute.network import Decision, example_of, graph_of
from harness.measure.macs import count_macs, count_macs_torch, count_params
from harness.registry import methods
from harness.suite.cell import Cell, Cut
from tests.cells import Finished, run
from tests.methods.decisions import decisions
from tests.methods.residual import residual, residual_backbone

CUTS: tuple[tuple[Cut, ...], ...] = (
    ("inner",),
    ("inner", "branch"),
    ("inner", "stream"),
    ("inner", "branch", "stream"),
)
EVERYTHING = CUTS[-1]
SEARCH = "dnal"

every = pytest.mark.parametrize("cuts", CUTS, ids="+".join)


@dataclass
class Grid:
    """Cells of all methods that may cut the same kinds of groups, run once.

    Attributes:
        taking: those that take the widths of `SEARCH`'s first cell, by method.
    """

    finished: Finished
    graph: ChannelGraph
    taking: dict[str, int]


def cells_of(cuts: tuple[Cut, ...]) -> tuple[list[Cell], dict[str, int]]:
    """Every method where everything may be cut, and in one of the other spaces: they take turns."""
    natural = residual(SEARCH, cuts)
    cells, taking = [natural], {}
    turn = CUTS.index(cuts)
    for position, (name, author) in enumerate(sorted(methods().items())):
        if cuts != EVERYTHING and position % (len(CUTS) - 1) != turn:
            continue
        own = () if author.takes_budget == "required" else (residual(name, cuts),)
        cells += [cell for cell in own if name != SEARCH]
        if author.takes_budget != "refused":
            candidates = own if author.strength is not None else ()
            budgets = (0.2, 1.0) if cuts == EVERYTHING else (0.2,)
            cells += [residual(name, cuts, budget=budget, candidates=candidates) for budget in budgets]
        if author.takes_budget == "required" and not author.chooses_widths:
            taking[name] = len(cells)
            cells.append(residual(name, cuts, allocate="from", widths_of=natural))
    return cells, taking


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[Cut, ...], Grid]]:
    with residual_backbone():
        found = {}
        for cuts in CUTS:
            cells, taking = cells_of(cuts)
            finished = run(cells, tmp_path_factory.mktemp("-".join(cuts)))
            config, _, whole = decisions(finished)[0]
            found[cuts] = Grid(finished, graph_of(config, whole), taking)
        yield found


@every
def test_every_cell_is_done_or_says_that_its_budget_is_out_of_reach(
    cuts: tuple[Cut, ...], grids: dict[tuple[Cut, ...], Grid]
) -> None:
    for number, row in enumerate(grids[cuts].finished.rows):
        if number not in grids[cuts].taking.values():
            assert row.state == "done" or "below" in row.reason, row.reason


@every
def test_a_method_that_takes_the_searchs_widths_has_exactly_its_cost(
    cuts: tuple[Cut, ...], grids: dict[tuple[Cut, ...], Grid]
) -> None:
    rows = grids[cuts].finished.rows
    assert grids[cuts].taking
    for name, number in grids[cuts].taking.items():
        assert (rows[number].macs, rows[number].params) == (rows[0].macs, rows[0].params), name


@every
def test_the_budget_is_met_within_two_per_cent(cuts: tuple[Cut, ...], grids: dict[tuple[Cut, ...], Grid]) -> None:
    for chain, row in zip(grids[cuts].finished.chains, grids[cuts].finished.rows, strict=True):
        if row.state == "done" and row.target is not None:
            assert row.macs is not None
            assert abs(row.macs - row.target) <= 0.02 * row.target, chain.cell.label


def test_a_budget_of_everything_keeps_everything(grids: dict[tuple[Cut, ...], Grid]) -> None:
    grid, whole = grids[EVERYTHING], 0
    for chain, row in zip(grid.finished.chains, grid.finished.rows, strict=True):
        if chain.cell.budget is not None and chain.cell.budget.value == 1.0:
            decision = Decision.read(grid.finished.results, chain.deciding or "")
            assert all(len(kept) == grid.graph.groups[name].size for name, kept in decision.kept.items())
            assert row.macs == row.dense_macs
            whole += 1
    assert whole


@every
def test_masked_and_cut_networks_agree_and_cost_what_the_ledger_says(
    cuts: tuple[Cut, ...], grids: dict[tuple[Cut, ...], Grid]
) -> None:
    images = torch.randn(8, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    graph, finished = grids[cuts].graph, grids[cuts].finished
    done = [row for row in finished.rows if row.state == "done"]
    for (config, decision, whole), row in zip(decisions(finished), done, strict=True):
        narrow = cut(whole.double(), graph, decision.kept)
        with torch.no_grad():
            masked = mask(whole, graph, decision.kept)(images)
            assert float((narrow(images) - masked).abs().max()) <= 1e-10 * float(masked.abs().max())
        example = example_of(config["data"]).double()
        assert row.macs == count_macs(narrow, example) == count_macs_torch(narrow, example)
        assert row.params == count_params(narrow)


@every
def test_only_groups_of_the_kinds_that_may_be_cut_are_cut_and_what_follows_from_them(
    cuts: tuple[Cut, ...], grids: dict[tuple[Cut, ...], Grid]
) -> None:
    graph = grids[cuts].graph
    mine = {group.name for group in graph.cuttable(cuts)}
    for _, decision, _ in decisions(grids[cuts].finished):
        chosen = {name: kept for name, kept in decision.kept.items() if name in mine}
        assert graph.settled(chosen).items() >= decision.kept.items()
        assert all(kept or graph.may_empty(name) for name, kept in decision.kept.items())


@every
def test_every_method_trains_for_the_same_total_of_epochs(
    cuts: tuple[Cut, ...], grids: dict[tuple[Cut, ...], Grid]
) -> None:
    for chain, row in zip(grids[cuts].finished.chains, grids[cuts].finished.rows, strict=True):
        if row.state == "done":
            assert sum(row.epochs.values()) == chain.cell.recipe.epochs.total


def test_the_same_seed_keeps_the_same_channels_and_gives_the_same_numbers(
    grids: dict[tuple[Cut, ...], Grid], tmp_path: Path
) -> None:
    cuts: tuple[Cut, ...] = ("inner", "branch")
    first = grids[cuts].finished
    cells, taking = cells_of(cuts)
    wanted = [0, *taking.values()]
    again = run([cells[number] for number in wanted], tmp_path)
    for number, chain, row in zip(wanted, again.chains, again.rows, strict=True):
        before = first.rows[number]
        one = Decision.read(again.results, chain.deciding or "")
        other = Decision.read(first.results, first.chains[number].deciding or "")
        assert one.kept == other.kept
        assert (row.top1, row.macs) == (before.top1, before.macs)
        assert [point.loss for point in row.curve] == [point.loss for point in before.curve]
