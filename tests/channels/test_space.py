"""What a search may choose meets the budget in what is left in the end."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cache

import pytest
import torch

from harness.backbones.resnet_cifar import resnet_cifar
from harness.channels.choose import best_channels_within
from harness.channels.cost import CostModel
from harness.channels.graph import ChannelGraph
from harness.channels.project import projected
from harness.channels.space import WidthSpace
from harness.data.catalogue import data_set
from harness.errors import StageFailure
from harness.suite.cell import Cut

CUTS: tuple[tuple[Cut, ...], ...] = (
    ("inner",),
    ("inner", "branch"),
    ("inner", "stream"),
    ("inner", "branch", "stream"),
)
every = pytest.mark.parametrize("cuts", CUTS, ids="+".join)


@cache
def space_of(cuts: tuple[Cut, ...], share: float, multiple: int = 1) -> WidthSpace:
    """Of a ResNet14 with option-A shortcuts whose channels have random norms."""
    network = resnet_cifar(data_set("digits"), blocks=2, width=0.5)
    example = torch.zeros(1, 1, 8, 8)
    graph = ChannelGraph.trace(network, example)
    model = CostModel(network, graph, example)
    groups = graph.cuttable(cuts)
    generator = torch.Generator().manual_seed(0)
    scores = {group.name: torch.rand(group.size, generator=generator) for group in groups}

    def settled_cost(widths: Mapping[str, int]) -> int:
        kept = graph.settled(best_channels_within(graph, scores, widths, {}))
        return model.macs({name: len(channels) for name, channels in kept.items()})

    sizes = {group.name: group.size for group in groups}
    return WidthSpace(sizes, round(share * model.dense_macs), model.macs, settled_cost, multiple)


def ratios(space: WidthSpace, seed: int) -> dict[str, float]:
    drawn = random.Random(seed)
    return {name: drawn.randint(1, 10) / 10 for name in space.sizes}


@every
def test_any_ratios_are_projected_onto_the_budget(cuts: tuple[Cut, ...]) -> None:
    space = space_of(cuts, 0.4)
    for seed in range(4):
        widths = space.project(ratios(space, seed))
        assert space.settled_cost(widths) == pytest.approx(space.target, rel=0.01)
        assert all(1 <= widths[name] <= size for name, size in space.sizes.items())


def test_a_projection_keeps_what_a_search_proposed_apart() -> None:
    space = space_of(("inner",), 0.4)
    first, last = next(iter(space.sizes)), list(space.sizes)[-1]
    even = space.project(dict.fromkeys(space.sizes, 1.0))
    tilted = space.project(dict.fromkeys(space.sizes, 1.0) | {first: 0.3})
    assert tilted[first] < even[first]
    assert tilted[last] > even[last]


def test_widths_of_a_projection_are_multiples_or_whole() -> None:
    space = space_of(("inner",), 0.4, 4)
    for seed in range(4):
        widths = space.project(ratios(space, seed))
        assert all(width % 4 == 0 or width == space.sizes[name] for name, width in widths.items())


def in_a_small_network() -> WidthSpace:
    """Three layers, where a channel of one is several per cent of the budget."""

    def cost(widths: Mapping[str, int]) -> int:
        a, b, c = widths.values()
        return 9 * a + 9 * a * b + 9 * b * c + 10 * c

    return WidthSpace({"a": 16, "b": 16, "c": 16}, 800, cost, cost)


def test_in_a_small_network_neighbours_are_searched_for_one_that_meets_the_budget_better() -> None:
    space = in_a_small_network()
    gaps, without = [], []
    for seed in range(10):
        drawn = ratios(space, seed)
        widths, ray = space.project(drawn), projected(space.sizes, drawn, space.cost, space.target)
        assert sum(widths[name] != ray[name] for name in widths) <= 2
        assert all(abs(widths[name] - ray[name]) <= 2 for name in widths)
        gaps.append(abs(space.cost(widths) - space.target))
        without.append(abs(space.cost(ray) - space.target))
    assert all(gap <= before for gap, before in zip(gaps, without, strict=True))
    assert sum(gaps) < 0.7 * sum(without)


@every
def test_a_narrowed_group_is_the_widest_that_costs_no_more_than_it_may(cuts: tuple[Cut, ...]) -> None:
    space = space_of(cuts, 0.4)
    whole = space.settled_cost(space.sizes)
    found = 0
    for group in space.sizes:
        narrowed = space.narrowed(space.sizes, group, round(0.95 * whole))
        if narrowed is None:
            assert space.settled_cost(space.sizes | {group: 1}) > 0.95 * whole
            continue
        found += 1
        assert narrowed == space.sizes | {group: narrowed[group]}
        assert narrowed[group] < space.sizes[group]
        assert space.settled_cost(narrowed) <= 0.95 * whole
        wider = narrowed | {group: narrowed[group] + 1}
        assert space.settled_cost(wider) > 0.95 * whole
    assert found


def test_a_group_at_its_smallest_width_cannot_be_narrowed() -> None:
    space = space_of(("inner",), 0.4)
    group = next(iter(space.sizes))
    assert space.narrowed(space.sizes | {group: 1}, group, 10**12) is None
    coarse = space_of(("inner",), 0.4, 8)
    assert coarse.narrowed(coarse.sizes | {group: 8}, group, 10**12) is None


def test_narrowed_widths_are_multiples() -> None:
    space = space_of(("inner",), 0.4, 4)
    last = list(space.sizes)[-1]
    narrowed = space.narrowed(space.sizes, last, space.settled_cost(space.sizes) - 1)
    assert narrowed is not None
    assert narrowed[last] == space.sizes[last] - 4


@every
def test_what_is_left_of_the_budget_goes_back(cuts: tuple[Cut, ...]) -> None:
    space = space_of(cuts, 0.4)
    narrow = {name: max(1, round(0.3 * size)) for name, size in space.sizes.items()}
    assert space.settled_cost(narrow) < 0.8 * space.target
    filled = space.filled(narrow)
    assert all(filled[name] >= width for name, width in narrow.items())
    assert space.settled_cost(filled) == pytest.approx(space.target, rel=0.01)


def test_in_a_small_network_a_step_may_be_exchanged_for_another_to_use_the_budget_up() -> None:
    space = in_a_small_network()
    for narrow in ({"a": 3, "b": 7, "c": 2}, {"a": 1, "b": 1, "c": 16}, {"a": 16, "b": 1, "c": 1}):
        filled = space.filled(narrow)
        assert all(filled[name] >= width - 2 for name, width in narrow.items())
        assert space.cost(filled) == pytest.approx(space.target, rel=0.01)


def test_a_budget_of_everything_needs_no_search() -> None:
    assert space_of(("inner",), 1.0).holds_everything
    assert not space_of(("inner",), 0.99).holds_everything


def test_a_budget_below_the_smallest_widths_is_out_of_reach() -> None:
    space_of(("inner",), 0.4).refuse_out_of_reach()
    with pytest.raises(StageFailure, match="out of reach: with one channel in every group"):
        space_of(("inner",), 0.01).refuse_out_of_reach()
    with pytest.raises(StageFailure, match="out of reach: with the fewest channels"):
        space_of(("inner",), 0.4, 16).refuse_out_of_reach()
