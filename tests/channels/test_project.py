"""Widths in given proportions are as near to the budget as whole steps allow."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.channels.project import projected, rounded_down, rounded_up
from harness.errors import StageFailure


@dataclass(frozen=True)
class Chain:
    """Layers one after the other: the cost is the sum of products of neighbouring widths."""

    sizes: dict[str, int]
    ratios: dict[str, float]
    multiple: int
    target: int

    def cost(self, widths: Mapping[str, int]) -> int:
        row = [3, *(widths[name] for name in self.sizes), 10]
        return sum(9 * left * right for left, right in itertools.pairwise(row))

    @property
    def smallest(self) -> dict[str, int]:
        return {name: min(size, self.multiple) for name, size in self.sizes.items()}

    def projected(self, factor: float = 1.0) -> dict[str, int]:
        ratios = {name: factor * ratio for name, ratio in self.ratios.items()}
        return projected(self.sizes, ratios, self.cost, self.target, self.multiple)

    def step(self, widths: dict[str, int], name: str, up: bool) -> dict[str, int]:
        if up:
            return widths | {name: rounded_up(widths[name] + 1, self.sizes[name], self.multiple)}
        return widths | {name: rounded_down(widths[name] - 1, self.sizes[name], self.multiple)}


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Chains with a budget that is in reach and below the whole."""
    sizes = {f"layer{n}": draw(st.integers(1, 64)) for n in range(draw(st.integers(1, 6)))}
    ratios = {name: draw(st.integers(1, 10)) / 10 for name in sizes}
    made = Chain(sizes, ratios, draw(st.sampled_from([1, 2, 8])), 0)
    low, high = made.cost(made.smallest), made.cost(sizes)
    assume(low < high)
    return Chain(sizes, ratios, made.multiple, draw(st.integers(low, high - 1)))


@given(chains())
def test_every_width_is_a_multiple_or_whole_and_none_is_zero(chain: Chain) -> None:
    for name, width in chain.projected().items():
        assert 1 <= width <= chain.sizes[name]
        assert width % chain.multiple == 0 or width == chain.sizes[name]


@given(chains())
def test_the_budget_is_met_or_one_step_less_would_be_no_nearer(chain: Chain) -> None:
    widths = chain.projected()
    over = chain.cost(widths) - chain.target
    if over > 0:
        below = [chain.cost(chain.step(widths, name, up=False)) for name in widths]
        assert any(
            cost <= chain.target <= cost + 2 * (chain.target - cost) and chain.target - cost >= over for cost in below
        )


@given(chains())
def test_one_factor_for_all_ratios_gives_every_width_to_within_a_step(chain: Chain) -> None:
    low, high = 0.0, float("inf")
    for name, width in chain.projected().items():
        size, share = chain.sizes[name], chain.ratios[name] * chain.sizes[name]
        narrower, wider = width - chain.multiple, width + chain.multiple
        if width > chain.smallest[name]:
            low = max(low, min(narrower, size - chain.multiple) / share)
        if width < size:
            high = min(high, wider / share)
    assert low <= high + 1e-9


@given(chains(), st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_only_the_proportions_of_the_ratios_count(chain: Chain, factor: float) -> None:
    assert chain.projected() == chain.projected(factor)


@given(chains())
def test_a_larger_budget_makes_no_network_cheaper(chain: Chain) -> None:
    more = Chain(chain.sizes, chain.ratios, chain.multiple, chain.target + chain.target // 4 + 1)
    near = abs(chain.cost(chain.projected()) - chain.target)
    assert chain.cost(more.projected()) >= chain.cost(chain.projected()) - near


@given(chains())
def test_a_budget_of_everything_keeps_everything(chain: Chain) -> None:
    rich = Chain(chain.sizes, chain.ratios, chain.multiple, chain.cost(chain.sizes))
    assert rich.projected() == chain.sizes


@given(chains())
def test_a_budget_below_the_smallest_widths_is_out_of_reach(chain: Chain) -> None:
    poor = Chain(chain.sizes, chain.ratios, chain.multiple, chain.cost(chain.smallest) - 1)
    with pytest.raises(StageFailure, match="out of reach") as failure:
        poor.projected()
    assert failure.value.reason == "out of reach"


def test_a_layer_that_reaches_its_whole_width_leaves_the_rest_to_the_others() -> None:
    chain = Chain({"a": 10, "b": 100}, {"a": 1.0, "b": 0.1}, 1, 9 * (3 * 10 + 10 * 50 + 50 * 10))
    assert chain.projected() == {"a": 10, "b": 50}
