"""What holds for every registered method, whatever it does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.channels.graph import ChannelGraph
from harness.channels.surgery import cut, mask
from harness.execute.network import Decision, example_of, fresh_network
from harness.measure.macs import count_macs
from harness.registry import methods
from harness.suite.cell import Cell, DataChoice
from tests.cells import Finished, cell, run
from tests.methods.decisions import decisions
from tests.methods.quick import quick

BUDGETS = (1.0, 0.5, 0.2)
NAMES = sorted(methods())


def some(name: str, **fields: Any) -> Cell:
    """A cell on 640 of the digits."""
    return replace(cell(name, params=quick(name), **fields), data=DataChoice("digits", 640))


def cells_of(name: str, seed: int = 0) -> list[Cell]:
    """The method at its natural point if it has one, and at each budget if it takes one."""
    author = methods()[name]
    found = []
    if author.takes_budget != "required":
        found.append(some(name, seed=seed))
    if author.takes_budget != "refused":
        natural = (some(name, seed=seed),) if author.strength is not None else ()
        found += [some(name, seed=seed, budget=budget, candidates=natural) for budget in BUDGETS]
    return found


class _Ran(dict[str, Finished]):
    """Each method's cells, run when they are first asked for, in one results folder."""

    def __init__(self, results: Path) -> None:
        super().__init__()
        self._results = results

    def __missing__(self, name: str) -> Finished:
        self[name] = run(cells_of(name), self._results)
        return self[name]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finished]:
    """Every method's cells, run once."""
    return _Ran(tmp_path_factory.mktemp("invariants"))


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_is_done_or_says_that_its_budget_is_out_of_reach(name: str, ran: dict[str, Finished]) -> None:
    for row in ran[name].rows:
        assert row.state == "done" or row.reason.startswith("out of reach"), row.reason


@pytest.mark.parametrize("name", NAMES)
def test_a_budget_of_everything_changes_nothing(name: str, ran: dict[str, Finished]) -> None:
    for chain, row in zip(ran[name].chains, ran[name].rows, strict=True):
        if chain.cell.budget is None or chain.cell.budget.value != 1.0 or row.state != "done":
            continue
        decision = Decision.read(ran[name].results, chain.deciding or "")
        whole = fresh_network(chain.stages[-1].config).double().eval()
        graph = ChannelGraph.trace(whole, example_of("digits").double())
        images = torch.randn(8, 1, 8, 8, dtype=torch.float64)
        assert torch.equal(cut(whole, graph, decision.kept)(images), whole(images))


@pytest.mark.parametrize("name", NAMES)
def test_counted_costs_of_the_cut_network_are_those_of_the_cost_model(name: str, ran: dict[str, Finished]) -> None:
    for config, decision, whole in decisions(ran[name]):
        graph = ChannelGraph.trace(whole, example_of(config["data"]))
        narrow = cut(whole, graph, decision.kept)
        rows = [row for row in ran[name].rows if row.macs == count_macs(narrow, example_of(config["data"]))]
        assert rows, "the ledger has no row with the MACs that fvcore counts"
        assert rows[0].params == sum(parameter.numel() for parameter in narrow.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_the_budget_is_met_within_two_per_cent(name: str, ran: dict[str, Finished]) -> None:
    for row in ran[name].rows:
        if row.state == "done" and row.target is not None:
            assert row.macs is not None
            assert abs(row.macs - row.target) <= 0.02 * row.target, f"{row.macs:,} against {row.target:,}"


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", NAMES)
def test_masked_and_cut_networks_agree(
    name: str, dtype: torch.dtype, tolerance: float, ran: dict[str, Finished]
) -> None:
    images = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    for config, decision, whole in decisions(ran[name]):
        network = whole.to(dtype)
        graph = ChannelGraph.trace(network, example_of(config["data"]).to(dtype))
        with torch.no_grad():
            masked = mask(network, graph, decision.kept).eval()(images)
            narrow = cut(network, graph, decision.kept).eval()(images)
        difference = (masked - narrow).abs().max() / masked.abs().max()
        assert difference <= tolerance, f"{difference:.2e} of the largest logit"


@pytest.mark.parametrize("name", NAMES)
def test_no_group_is_emptied(name: str, ran: dict[str, Finished]) -> None:
    for _, decision, _ in decisions(ran[name]):
        assert all(len(channels) >= 1 for channels in decision.kept.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_keeps_the_same_channels_and_gives_the_same_numbers(
    name: str, ran: dict[str, Finished], tmp_path: Path
) -> None:
    again = run(cells_of(name)[:2], tmp_path)
    for chain, row, first in zip(again.chains, again.rows, ran[name].rows, strict=False):
        assert row.state == first.state
        if row.state != "done":
            continue
        one = Decision.read(again.results, chain.deciding or "")
        other = Decision.read(ran[name].results, chain.deciding or "")
        assert one.kept == other.kept
        assert (row.top1, row.macs) == (first.top1, first.macs)
        assert [point.loss for point in row.curve] == [point.loss for point in first.curve]


@pytest.mark.parametrize("name", NAMES)
def test_every_method_trains_for_the_same_total_of_epochs(name: str, ran: dict[str, Finished]) -> None:
    for chain, row in zip(ran[name].chains, ran[name].rows, strict=True):
        if row.state != "done":
            continue
        assert sum(row.epochs.values()) == chain.cell.recipe.epochs.total
        assert len(row.curve) == chain.cell.recipe.epochs.total or chain.cell.candidates


@pytest.mark.parametrize("name", NAMES)
def test_the_bill_is_never_empty(name: str, ran: dict[str, Finished]) -> None:
    for row in ran[name].rows:
        if row.state == "done":
            assert row.training_macs is not None
            assert row.training_macs > 0
            assert row.device_seconds is not None
            assert row.device_seconds > 0
