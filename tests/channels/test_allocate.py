"""Allocation: how much each layer keeps, and which channels."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.backbones import build
from harness.channels.allocate import best_channels, global_kept, trim, uniform_widths
from harness.channels.cost import CostModel
from harness.channels.graph import ChannelGraph, ChannelGroup, KeptChannels
from harness.data.catalogue import data_set
from harness.errors import StageFailure


@cache
def model(name: str) -> tuple[CostModel, tuple[ChannelGroup, ...]]:
    with torch.device("meta"):
        network = build(name, data_set("cifar10"))
    example = torch.zeros(1, 3, 32, 32)
    graph = ChannelGraph.trace(network, example)
    return CostModel(network, graph, example), tuple(graph.cuttable(["inner"]))


def group(name: str, size: int) -> ChannelGroup:
    return ChannelGroup(name, size, "inner", (name,), (), (), ())


def count(widths: Mapping[str, int]) -> int:
    """A cost that is the number of channels of groups a (4) and b (6)."""
    return widths.get("a", 4) + widths.get("b", 6)


AB = [group("a", 4), group("b", 6)]


def widths_of(kept: KeptChannels) -> dict[str, int]:
    return {name: len(channels) for name, channels in kept.items()}


def random_scores(groups: tuple[ChannelGroup, ...], seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {group.name: torch.rand(group.size, generator=generator) for group in groups}


@pytest.mark.parametrize("metric", ["macs", "params"])
@pytest.mark.parametrize("fraction", [0.9, 0.5, 0.25, 0.1, 0.03])
def test_uniform_meets_the_budget_of_vgg16_within_a_per_cent(metric: str, fraction: float) -> None:
    cost, groups = model("vgg16")
    count_of = getattr(cost, metric)
    target = round(fraction * count_of({}))
    assert abs(count_of(uniform_widths(groups, count_of, target)) - target) <= 0.01 * target


@settings(max_examples=40, deadline=None)
@given(fraction=st.floats(0.02, 1.0), name=st.sampled_from(["vgg16", "vgg16_eighth"]))
def test_uniform_keeps_one_ratio_to_within_a_channel(fraction: float, name: str) -> None:
    cost, groups = model(name)
    target = round(fraction * cost.dense_macs)
    widths = uniform_widths(groups, cost.macs, target)
    assert all(1 <= widths[group.name] <= group.size for group in groups)
    # A ratio r with |width - r * size| <= 1 everywhere; one channel a group is kept however small r is.
    lowest = max((widths[group.name] - 1) / group.size for group in groups)
    highest = min((widths[group.name] + 1) / group.size for group in groups)
    assert lowest <= highest


@settings(max_examples=40, deadline=None)
@given(fraction=st.floats(0.02, 1.0))
def test_uniform_misses_by_half_of_the_dearest_channel_at_most(fraction: float) -> None:
    cost, groups = model("vgg16_eighth")
    target = round(fraction * cost.dense_macs)
    widths = uniform_widths(groups, cost.macs, target)
    reached = cost.macs(widths)
    dearest = max(cost.macs(widths | {group.name: widths[group.name] + 1}) - reached for group in groups)
    assert abs(reached - target) <= dearest / 2


def test_uniform_rounds_up_where_rounding_down_lost_most() -> None:
    groups = [group("a", 10), group("b", 7), group("c", 7)]
    assert uniform_widths(groups, lambda widths: sum(widths.values()), 12) == {"a": 5, "b": 4, "c": 3}


def test_uniform_of_two_equal_groups_is_even() -> None:
    groups = [group("a", 8), group("b", 8)]
    assert uniform_widths(groups, lambda widths: widths["a"] + widths["b"], 8) == {"a": 4, "b": 4}


def test_uniform_lands_above_the_target_where_that_is_nearer() -> None:
    assert uniform_widths([group("a", 4)], lambda widths: 10 * widths["a"], 26) == {"a": 3}


def test_uniform_does_not_exceed_the_target_if_both_sides_are_equally_near() -> None:
    assert uniform_widths([group("a", 4)], lambda widths: 2 * widths["a"], 5) == {"a": 2}


@pytest.mark.parametrize("target", [10, 11, 10**9])
def test_a_budget_of_the_whole_network_or_more_keeps_everything(target: int) -> None:
    scores = {"a": torch.rand(4), "b": torch.rand(6)}
    whole = {"a": (0, 1, 2, 3), "b": (0, 1, 2, 3, 4, 5)}
    assert uniform_widths(AB, count, target) == {"a": 4, "b": 6}
    assert global_kept(scores, AB, count, target) == whole
    assert trim(scores, whole, count, target) == whole


def test_a_budget_below_one_channel_a_group_names_floor_and_target() -> None:
    scores = {"a": torch.rand(4), "b": torch.rand(6)}
    for attempt in (
        lambda: uniform_widths(AB, count, 1),
        lambda: global_kept(scores, AB, count, 1),
        lambda: trim(scores, {}, count, 1),
    ):
        with pytest.raises(StageFailure, match="the cost is 2; target 1") as failure:
            attempt()
        assert failure.value.reason == "out of reach"


def test_the_floor_itself_is_in_reach() -> None:
    scores = {"a": torch.arange(4.0), "b": torch.arange(6.0)}
    assert uniform_widths(AB, count, 2) == {"a": 1, "b": 1}
    assert global_kept(scores, AB, count, 2) == {"a": (3,), "b": (5,)}
    assert trim(scores, {}, count, 2) == {"a": (3,), "b": (5,)}


def test_the_best_channels_stay_in_ascending_order() -> None:
    scores = {"a": torch.tensor([0.1, 3.0, -1.0, 2.0]), "b": torch.arange(6.0)}
    assert best_channels(scores, {"a": 2}) == {"a": (1, 3), "b": (0, 1, 2, 3, 4, 5)}


def test_of_equal_scores_the_lower_index_stays() -> None:
    tied = {"a": torch.tensor([1.0, 2.0, 1.0, 1.0])}
    assert best_channels(tied, {"a": 2}) == {"a": (0, 1)}
    assert global_kept(tied, [group("a", 4)], lambda widths: widths["a"], 2) == {"a": (0, 1)}
    assert trim(tied, {}, lambda widths: widths["a"], 2) == {"a": (0, 1)}


def test_of_a_group_of_equal_scores_the_first_stays_to_the_last() -> None:
    tied = {"a": torch.ones(4), "b": torch.ones(6)}
    assert trim(tied, {}, count, 2) == global_kept(tied, AB, count, 2) == {"a": (0,), "b": (0,)}


def test_global_takes_the_channels_above_one_relative_threshold() -> None:
    scores = {"a": torch.tensor([1.0, 1.0, 1.0, 1.0]), "b": 100 * torch.tensor([0.1, 0.2, 0.3, 1.4, 2.0, 2.0])}
    assert global_kept(scores, AB, count, 7) == {"a": (0, 1, 2, 3), "b": (3, 4, 5)}


def priced(widths: Mapping[str, int]) -> int:
    """A cost at which a channel of group b is worth ten of group a."""
    return widths["a"] + 10 * widths["b"]


def test_global_lands_above_the_target_where_that_is_nearer() -> None:
    scores = {"a": torch.tensor([0.1, 9.0, 9.0, 9.0]), "b": torch.tensor([0.5, 0.6, 5.0, 5.0, 5.0, 5.0])}
    assert widths_of(global_kept(scores, AB, priced, 62)) == {"a": 3, "b": 6}
    assert widths_of(global_kept(scores, AB, priced, 54)) == {"a": 4, "b": 5}


def test_what_is_left_of_the_budget_goes_back_to_the_best_that_fit() -> None:
    scores = {"a": torch.tensor([0.1, 0.2, 9.0, 9.0]), "b": torch.tensor([0.5, 0.6, 5.0, 5.0, 5.0, 5.0])}
    assert trim(scores, {}, priced, 53) == {"a": (1, 2, 3), "b": (1, 2, 3, 4, 5)}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), fraction=st.floats(0.02, 0.98))
def test_global_misses_by_less_than_the_dearest_channel(seed: int, fraction: float) -> None:
    cost, groups = model("vgg16_eighth")
    scores, target = random_scores(groups, seed), round(fraction * cost.dense_macs)
    kept = global_kept(scores, groups, cost.macs, target)
    widths = widths_of(kept)
    dearest = max(cost.macs(widths | {group.name: widths[group.name] + 1}) - cost.macs(widths) for group in groups)
    assert abs(cost.macs(widths) - target) < dearest
    for name, channels in kept.items():
        gone = scores[name][[channel for channel in range(len(scores[name])) if channel not in channels]]
        assert bool((gone <= scores[name][list(channels)].min()).all())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), fraction=st.floats(0.05, 0.98))
def test_trim_meets_the_target_and_leaves_no_room_for_a_channel_that_it_took(seed: int, fraction: float) -> None:
    cost, groups = model("vgg16_eighth")
    scores, target = random_scores(groups, seed), round(fraction * cost.dense_macs)
    start = {group.name: tuple(range(0, group.size, 2)) for group in groups[:4]}
    kept = trim(scores, start, cost.macs, target)
    widths = widths_of(kept)
    assert cost.macs(widths) <= target
    whole = {group.name: tuple(range(group.size)) for group in groups} | start
    for name, channels in kept.items():
        assert channels
        assert set(channels) <= set(whole[name])
        gone = scores[name][[channel for channel in whole[name] if channel not in channels]]
        assert bool((gone <= scores[name][list(channels)].min()).all())
        if len(gone):
            assert cost.macs(widths | {name: widths[name] + 1}) > target


def test_trim_leaves_groups_without_scores_alone() -> None:
    kept = trim({"a": torch.arange(4.0)}, {"b": (0, 5)}, count, 4)
    assert kept == {"a": (2, 3), "b": (0, 5)}
    with pytest.raises(StageFailure, match="the cost is 3; target 2"):
        trim({"a": torch.arange(4.0)}, {"b": (0, 5)}, count, 2)


def test_trim_of_a_selection_that_meets_the_target_is_that_selection() -> None:
    kept: KeptChannels = {"a": (0,)}
    assert trim({"a": torch.rand(4), "b": torch.rand(6)}, kept, count, 7) is kept


def test_scores_that_are_not_numbers_are_a_divergence() -> None:
    broken = {"a": torch.tensor([1.0, float("nan"), 1.0, 1.0]), "b": torch.rand(6)}
    for attempt in (
        lambda: best_channels(broken, {"a": 2}),
        lambda: global_kept(broken, AB, count, 5),
        lambda: trim(broken, {}, count, 5),
    ):
        with pytest.raises(StageFailure, match="scores of group 'a' are not numbers") as failure:
            attempt()
        assert failure.value.reason == "diverged"


def test_a_width_without_scores_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="without scores: b"):
        best_channels({"a": torch.rand(4)}, {"a": 2, "b": 3})
