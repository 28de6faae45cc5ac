"""What `sss`, `network_slimming` and `gal` share: gates that may open again, gates of branches, and budgets."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.channels.gates import insert_gates
from harness.channels.graph import ChannelGraph
from harness.channels.surgery import mask
from harness.execute.network import SCORES, Decision, read_tensors
from harness.registry import method, methods
from harness.suite.cell import Cell
from methods._gate_search import GateSearch
from methods.sss import Sss
from tests.cells import Finished, run
from tests.channels.networks import Residual, example, images
from tests.execute.small import small
from tests.methods.gate_tasks import RECIPE, task_of
from tests.methods.residual import residual, residual_backbone

CUTS = ("inner", "branch")


class BehindTheActivation(nn.Module):
    """The factors multiply what the ReLU lets through."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self, x: Tensor) -> Tensor:
        return x.relu() * self.values.view(1, -1, 1, 1)


class Small(nn.Module):
    """A convolution, batch norm, an activation and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.act = nn.Conv2d(2, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU()
        self.linear = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.act(self.bn(self.conv(x))).mean((2, 3)))


@cache
def small_network() -> tuple[nn.Module, ChannelGraph]:
    torch.manual_seed(0)
    network = Small().double()
    return network, ChannelGraph.trace(network, torch.zeros(1, 2, 8, 8, dtype=torch.float64))


@settings(deadline=None, max_examples=30)
@given(values=st.lists(st.sampled_from([0.0, 0.3, 1.0, 2.5]), min_size=6, max_size=6))
def test_a_gate_has_the_gradient_of_one_behind_the_activation_even_at_zero(values: list[float]) -> None:
    network, behind = (copy.deepcopy(small_network()[0]) for _ in range(2))
    behind.act = BehindTheActivation(torch.tensor(values, dtype=torch.float64))
    group = small_network()[1].groups["conv"]
    gates = insert_gates(network, [group], lambda scalars: Sss().gate(scalars, {}), 0.0)
    with torch.no_grad():
        gates["conv"].copy_(behind.act.values)
    one, other = network(images()), behind(images())
    assert torch.allclose(one, other, rtol=0, atol=1e-12)
    one.square().sum().backward()
    other.square().sum().backward()
    assert gates["conv"].grad is not None
    assert torch.allclose(gates["conv"].grad, behind.act.values.grad, rtol=1e-9, atol=1e-12)
    assert bool((gates["conv"].grad != 0).all())


def test_a_branch_whose_gate_is_zero_is_an_identity() -> None:
    plain, graph = example(Residual)
    branches = graph.removable(list(graph.groups.values()))
    network = copy.deepcopy(plain)
    insert_gates(network, branches, lambda scalars: Sss().gate(scalars, {}), 0.0, whole=True)
    with torch.no_grad():
        removed = mask(plain, graph, {branch.name: () for branch in branches})
        assert torch.allclose(network(images()), removed(images()), rtol=0, atol=1e-12)


def natural(name: str, strength: float) -> Cell:
    known = method(name).strength or ""
    params = {"granularity": "block", known: strength}
    return residual(name, CUTS, params=params, shown=tuple(params))


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """One gate a branch: SSS closes none, GAL half; each at a budget below, the latter also at one above."""
    with residual_backbone():
        sss, gal = natural("sss", 0.0), natural("gal", 0.1)
        budgets = [("sss", sss, 0.5), ("gal", gal, 0.3), ("gal", gal, 0.8), ("sss", sss, 0.01)]
        cells = [
            residual(name, CUTS, params=of.params, shown=("granularity",), budget=budget, candidates=(of,))
            for name, of, budget in budgets
        ]
        yield run([sss, gal, *cells], tmp_path_factory.mktemp("blocks"))


def kept_branches(finished: Finished, number: int) -> dict[str, int]:
    row = finished.rows[number]
    return {name: kept for name, (kept, size) in row.widths.items() if name.endswith("conv2") and kept}


def test_branches_go_as_a_whole_or_not_at_all(blocks: Finished) -> None:
    for row in blocks.rows[:5]:
        assert row.state == "done", row.reason
        assert all(kept in {0, size} for name, (kept, size) in row.widths.items() if not name.startswith("stream"))
    closed = [len(kept_branches(blocks, number)) for number in range(5)]
    assert closed[0] == 6
    assert 0 < closed[1] < 6


def test_a_budget_is_an_upper_bound_for_whole_branches_and_no_branch_more_would_fit(blocks: Finished) -> None:
    for row in blocks.rows[2:5]:
        assert row.macs is not None
        assert row.target is not None
        assert row.macs <= row.target
        assert row.macs > row.target - row.dense_macs / 5


def test_the_branches_of_largest_gates_stay(blocks: Finished) -> None:
    scores, _ = read_tensors(blocks.results, blocks.chains[1].deciding or "", SCORES)
    ranked = sorted(scores, key=lambda name: float(scores[name]), reverse=True)
    least = kept_branches(blocks, 3)
    assert set(least) == set(ranked[: len(least)])
    assert set(least) < set(kept_branches(blocks, 1)) < set(kept_branches(blocks, 4))


def test_a_budget_below_the_network_without_branches_says_so(blocks: Finished) -> None:
    assert blocks.rows[5].state == "failed"
    assert "with every branch removed the cost is" in blocks.rows[5].reason


def test_gates_of_branches_need_branches(tmp_path: Path) -> None:
    (row,) = run([small("sss", params={"granularity": "block"})], tmp_path).rows
    assert row.reason == "invalid network: one gate a branch was asked for, and no residual branch may be cut"


@pytest.fixture(scope="module")
def budgets(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A search whose outcome is small, alone and at a budget far above it."""
    given = small("sss", recipe=RECIPE, params={"gamma": 0.45}, shown=("gamma",))
    budget = small("sss", recipe=RECIPE, params={"gamma": 0.45}, budget=0.98, candidates=(given,))
    return run([given, budget], tmp_path_factory.mktemp("budgets"))


def test_a_budget_above_the_outcome_is_met_by_opening_channels_again(budgets: Finished) -> None:
    alone, budget = budgets.rows
    assert alone.macs is not None
    assert budget.macs is not None
    assert budget.target is not None
    assert alone.macs < budget.target
    assert budget.macs == pytest.approx(budget.target, rel=0.02)
    assert any("opened again" in note for note in budget.notes)


def test_what_the_search_kept_stays_in_a_network_of_a_larger_budget(budgets: Finished) -> None:
    alone, budget = (Decision.read(budgets.results, chain.deciding or "").kept for chain in budgets.chains)
    assert all(set(alone[name]) <= set(budget[name]) for name in alone if name in budget)


def test_a_channel_that_was_closed_keeps_its_weights_so_that_a_budget_can_open_it(tmp_path: Path) -> None:
    given_task = task_of(small("sss", recipe=RECIPE, params={"gamma": 5.0}), tmp_path)
    decided = Sss().compress(given_task)
    assert any("emptied layers" in note for note in decided.notes)
    assert all(
        bool((norm.weight != 0).all()) for norm in given_task.network.modules() if isinstance(norm, nn.BatchNorm2d)
    )


def test_a_gate_search_is_no_method_by_itself() -> None:
    assert not hasattr(GateSearch, "name")
    assert not any("gate_search" in name for name in methods())
