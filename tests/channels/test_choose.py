"""Which channels stay in a residual network of given widths, and budgets that are met although streams drain."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.channels.allocate import global_kept, met, trim, uniform_widths
from harness.channels.choose import best_channels_within, spread
from harness.channels.cost import CostModel
from harness.channels.graph import ChannelGraph, KeptChannels
from harness.channels.written import best_written, cover, room_for, written_by_shortcuts
from harness.errors import StageFailure
from tests.channels.networks import (
    Depthwise,
    DepthwiseOnStream,
    Grouped,
    Mixed,
    Nested,
    OptionA,
    PreActivation,
    Residual,
    backbone,
    drawn,
    example,
    leaves_a_way,
    pictures,
)

SMALL = (Depthwise, DepthwiseOnStream, Grouped, Mixed, Nested, OptionA, PreActivation, Residual)
BACKBONES = ("resnet20_quarter", "mobilenetv2_quarter")
CUTS = (("inner",), ("inner", "branch"), ("inner", "stream"), ("inner", "branch", "stream"))


def graph_of(network: str | type[nn.Module]) -> ChannelGraph:
    return (backbone(network) if isinstance(network, str) else example(network))[1]


def settled_widths(graph: ChannelGraph, kept: KeptChannels) -> dict[str, int]:
    return {name: len(channels) for name, channels in graph.complete(kept).items()}


def scores_of(graph: ChannelGraph, cuts: tuple[str, ...], seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {group.name: torch.rand(group.size, generator=generator) for group in graph.cuttable(cuts)}


@settings(max_examples=150, deadline=None)
@given(
    network=st.sampled_from((*SMALL, *BACKBONES)),
    cuts=st.sampled_from(CUTS),
    seed=st.integers(0, 10_000),
    removed=st.floats(0, 0.6),
)
def test_other_channels_of_a_partners_widths_settle_to_exactly_these_widths(
    network: str | type[nn.Module], cuts: tuple[str, ...], seed: int, removed: float
) -> None:
    graph = graph_of(network)
    partner = drawn(graph, cuts, seed, removed)
    assume(leaves_a_way(graph, partner))
    wanted = settled_widths(graph, partner)
    mine = [group.name for group in graph.cuttable(cuts)]
    widths = {name: wanted[name] for name in mine}
    streams = {name: wanted[name] for name, each in graph.streams.items() if each.drains and name not in mine}
    assert settled_widths(graph, spread(graph, widths, streams)) == wanted
    ranked = best_channels_within(graph, scores_of(graph, cuts, seed), widths, streams)
    assert settled_widths(graph, ranked) == wanted
    assert list(ranked) == mine


def test_equal_branches_take_turns_so_that_no_channel_goes_unwritten() -> None:
    graph = example(Residual)[1]
    kept = spread(graph, {"stem": 3, "conv2": 5})
    assert kept == {"stem": (0, 1, 2), "conv2": (3, 4, 5, 6, 7)}
    assert settled_widths(graph, kept)["stream:stem"] == 8


def test_turns_begin_with_what_no_shortcut_writes() -> None:
    graph = example(OptionA)[1]
    kept = spread(graph, {"block2.conv2": 3, "block3.conv2": 2})
    assert kept == {"block2.conv2": (0, 1, 6), "block3.conv2": (2, 7)}


def test_branches_are_spread_over_what_their_stream_keeps() -> None:
    kept = spread(example(Residual)[1], {"stream:stem": 4, "stem": 3, "conv2": 3})
    assert kept == {"stream:stem": (0, 1, 2, 3), "stem": (0, 1, 2), "conv2": (0, 1, 3)}


def test_branches_are_spread_over_as_much_of_a_stream_as_is_said() -> None:
    kept = spread(example(Residual)[1], {"stem": 3, "conv2": 3}, {"stream:stem": 4})
    assert kept == {"stem": (0, 1, 2), "conv2": (0, 1, 3)}


def test_groups_outside_of_streams_keep_their_first_channels() -> None:
    assert spread(example(Residual)[1], {"conv1": 2, "conv3": 0}) == {"conv1": (0, 1), "conv3": ()}


def test_a_branch_chooses_its_best_among_what_its_stream_keeps() -> None:
    graph = example(Residual)[1]
    scores = {"stream:stem": torch.arange(8.0), "conv2": -torch.arange(8.0), "stem": torch.arange(8.0)}
    kept = best_channels_within(graph, scores, {"stream:stem": 3, "conv2": 2, "stem": 3}, {})
    assert kept == {"stream:stem": (5, 6, 7), "conv2": (5, 6), "stem": (5, 6, 7)}


def test_a_channel_that_the_stream_must_have_is_taken_by_the_branch_that_loses_least() -> None:
    graph = example(Residual)[1]
    stem, branch = torch.arange(8.0), torch.arange(8.0) + torch.tensor([0, 0, 0, 0, 0.5, 0, 0, 0])
    kept = best_channels_within(graph, {"stem": stem, "conv2": branch}, {"stem": 3, "conv2": 3}, {"stream:stem": 4})
    assert kept == {"stem": (5, 6, 7), "conv2": (4, 6, 7)}


def test_without_a_width_of_the_stream_each_branch_keeps_its_best() -> None:
    graph = example(Residual)[1]
    scores = {"stem": torch.arange(8.0), "conv2": torch.arange(8.0)}
    kept = best_channels_within(graph, scores, {"stem": 3, "conv2": 3}, {})
    assert kept == {"stem": (5, 6, 7), "conv2": (5, 6, 7)}


def test_where_a_projection_writes_all_no_branch_gives_up_its_best() -> None:
    graph = example(Residual)[1]
    kept = best_channels_within(graph, {"conv4": torch.arange(12.0)}, {"conv4": 3}, {"stream:conv4": 12})
    assert kept == {"conv4": (9, 10, 11)}


def test_scores_that_are_not_numbers_are_a_divergence() -> None:
    graph = example(Residual)[1]
    broken = {"stem": torch.full((8,), float("nan")), "conv2": torch.ones(8)}
    with pytest.raises(StageFailure, match="scores of group 'stem' are not numbers") as failure:
        best_channels_within(graph, broken, {"stem": 3, "conv2": 3}, {})
    assert failure.value.reason == "diverged"


def test_shortcuts_write_what_their_source_keeps_and_somebody_writes_there() -> None:
    graph = example(OptionA)[1]
    name = "stream:block2.conv2"
    assert written_by_shortcuts(graph, name, {}) == {2, 3, 4, 5}
    assert written_by_shortcuts(graph, name, {"stream:stem": (0, 3)}) == {2, 5}
    assert written_by_shortcuts(graph, name, {"stem": (1,), "block1.conv2": (3,)}) == {3, 5}
    assert written_by_shortcuts(graph, name, {"stem": (1,)}) == {2, 3, 4, 5}


def test_a_removed_branch_has_no_room() -> None:
    graph = example(Residual)[1]
    assert room_for(graph, "stream:stem", {}) == 16
    assert room_for(graph, "stream:stem", {"stem": 3, "conv2": 2}) == 5
    assert room_for(graph, "stream:stem", {"stem": 3, "conv1": 0}) == 3


def test_only_as_many_are_chosen_as_can_be_written() -> None:
    values = torch.tensor([5.0, 4.0, 3.0, 3.0, 1.0])
    assert best_written(values, set(), 3, room=5) == {0, 1, 2}
    assert best_written(values, {3, 4}, 3, room=1) == {0, 3, 4}
    assert best_written(values, {4}, 3, room=0) == {4}


def test_covering_swaps_no_channel_that_it_would_have_to_cover_again() -> None:
    kept: KeptChannels = {"a": (0, 1), "b": (1, 2)}
    cover(kept, {"a": [9.0, 1.0, 0.0, 0.0], "b": [0.0, 5.0, 9.0, 4.5]}, {0, 1, 2, 3})
    assert kept == {"a": (0, 1), "b": (2, 3)}
    alone: KeptChannels = {"a": (0,), "b": (1,)}
    cover(alone, {"a": [1.0, 0.0, 0.0], "b": [0.0, 1.0, 0.0]}, {0, 1, 2})
    assert alone == {"a": (0,), "b": (1,)}


@cache
def costs(name: str) -> CostModel:
    network, graph = backbone(name)
    return CostModel(network, graph, pictures())


Choose = Callable[[int], KeptChannels]


def chosen(name: str, cuts: tuple[str, ...], way: str, seed: int) -> tuple[Choose, Callable[[KeptChannels], int]]:
    """A way to choose channels at a budget, and what a selection costs once all consequences are drawn."""
    graph, cost = graph_of(name), costs(name).macs
    groups, scores = graph.cuttable(cuts), scores_of(graph, cuts, seed)

    def choose(aim: int) -> KeptChannels:
        if way == "global":
            return global_kept(scores, groups, cost, aim)
        widths = uniform_widths(groups, cost, aim)
        return spread(graph, widths) if way == "spread" else best_channels_within(graph, scores, widths, {})

    return choose, lambda kept: cost(settled_widths(graph, kept))


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("cuts", [("inner", "branch"), ("inner", "branch", "stream")])
@pytest.mark.parametrize("way", ["uniform", "global", "spread"])
def test_budgets_are_met_within_a_per_cent_although_streams_drain(name: str, cuts: tuple[str, ...], way: str) -> None:
    for seed, fraction in enumerate((0.75, 0.5, 0.25, 0.1)):
        choose, count = chosen(name, cuts, way, seed)
        target = round(fraction * costs(name).dense_macs)
        # A tenth of the small ResNet20 is 0.26 M: there, one channel may be more than a per cent.
        tolerance = 0.02 if (name, fraction) == ("resnet20_quarter", 0.1) else 0.01
        assert abs(count(met(choose, count, target)) - target) <= tolerance * target


@pytest.mark.parametrize("name", BACKBONES)
def test_a_trimmed_network_of_gates_meets_its_budget_although_streams_drain(name: str) -> None:
    graph, cost = graph_of(name), costs(name).macs
    scores = scores_of(graph, ("inner", "branch"), seed=1)
    kept = {group: tuple(torch.nonzero(values > 0.2).flatten().tolist()) for group, values in scores.items()}
    start = graph.settled(kept)
    for fraction in (0.5, 0.25):
        target = round(fraction * costs(name).dense_macs)
        reached = met(lambda aim: trim(scores, start, cost, aim), lambda k: cost(settled_widths(graph, k)), target)
        assert abs(cost(settled_widths(graph, reached)) - target) <= 0.01 * target


def test_a_selection_that_costs_what_it_says_is_taken_at_once() -> None:
    asked = []

    def choose(aim: int) -> KeptChannels:
        asked.append(aim)
        return {"a": tuple(range(aim))}

    assert met(choose, lambda kept: len(kept["a"]), 7) == {"a": tuple(range(7))}
    assert asked == [7]


@settings(max_examples=100, deadline=None)
@given(target=st.integers(1, 500), lost=st.integers(0, 60), step=st.integers(1, 40))
def test_what_is_lost_is_aimed_above_until_no_aim_is_nearer(target: int, lost: int, step: int) -> None:
    def count(kept: KeptChannels) -> int:
        return max(0, (len(kept["a"]) - lost) // step * step)

    reached = count(met(lambda aim: {"a": tuple(range(aim))}, count, target))
    assert abs(reached - target) == min(
        abs(value - target) for value in (target // step * step, -(-target // step) * step)
    )


def test_a_branch_of_a_cut_stream_keeps_its_best_of_what_the_stream_keeps_under_a_global_threshold() -> None:
    network, graph = example(Residual)
    groups = graph.cuttable(("branch", "stream"))
    scores = {group.name: torch.arange(float(group.size)) for group in groups}
    scores["stem"] = scores["stem"].flip(0)
    cost = CostModel(network, graph, torch.zeros(1, 2, 8, 8)).macs
    kept = global_kept(scores, groups, cost, round(0.3 * cost({})))
    assert 0 < len(kept["stream:stem"]) < 8
    assert kept["stem"]
    assert set(kept["stem"]) <= set(kept["stream:stem"])
    assert kept["stem"][0] == kept["stream:stem"][0]
