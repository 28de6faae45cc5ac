"""Profiles: pruning rates by hand, multiplied by one factor to meet a budget."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.channels.allocate import uniform_widths
from harness.channels.profile import profile_widths, rates_of, stated_widths
from harness.errors import StageFailure
from tests.channels.test_allocate import AB, count, group, model


def test_the_first_pattern_that_matches_a_group_states_its_rate_and_others_stay_whole() -> None:
    groups = [group(name, 4) for name in ("features.conv1", "features.conv2", "head")]
    stated = [("features.conv2", 0.25), ("features.*", 0.5)]
    assert rates_of(stated, groups) == {"features.conv1": 0.5, "features.conv2": 0.25, "head": 0.0}


def test_rates_by_position_are_those_of_the_groups_in_order() -> None:
    assert rates_of([(None, 0.1), (None, 0.9)], AB) == {"a": 0.1, "b": 0.9}


def test_too_few_rates_by_position_say_how_many_groups_there_are() -> None:
    with pytest.raises(StageFailure, match="has 1 rates, and 2 groups may be cut: a, b"):
        rates_of([(None, 0.1)], AB)


def test_a_pattern_that_matches_nothing_says_what_was_meant() -> None:
    with pytest.raises(StageFailure, match="'conv_11' matches no group that may be cut; did you mean 'conv_1'"):
        rates_of([("conv*", 0.1), ("conv_11", 0.1)], [group("conv_1", 4), group("conv_2", 4)])


def test_a_stated_rate_takes_its_share_rounded_down_and_leaves_one_channel() -> None:
    groups = [group("a", 10), group("b", 10), group("c", 2), group("d", 10)]
    assert stated_widths(groups, {"a": 0.3, "b": 0.39, "c": 0.99, "d": 0.0}) == {"a": 7, "b": 7, "c": 1, "d": 10}


@settings(max_examples=40)
@given(fraction=st.floats(0.02, 1.0), rate=st.floats(0.01, 0.99))
def test_one_rate_for_all_is_the_uniform_allocation(fraction: float, rate: float) -> None:
    cost, groups = model("vgg16_eighth")
    target = round(fraction * cost.dense_macs)
    widths = profile_widths(groups, dict.fromkeys((each.name for each in groups), rate), 1.0, cost.macs, target)
    uniform = uniform_widths(groups, cost.macs, target)
    assert abs(cost.macs(widths) - target) <= abs(cost.macs(uniform) - target) * 1.5 + 0.005 * cost.dense_macs
    assert all(abs(widths[name] - uniform[name]) <= 1 for name in uniform)


@settings(max_examples=40)
@given(data=st.data(), fraction=st.floats(0.02, 1.0), most=st.floats(0.5, 1.0))
def test_rates_are_the_profiles_times_one_factor_and_the_budget_is_met_or_out_of_reach(
    data: st.DataObject, fraction: float, most: float
) -> None:
    cost, groups = model("vgg16_eighth")
    names = [each.name for each in groups]
    drawn = data.draw(st.lists(st.just(0.0) | st.floats(0.01, 0.99), min_size=len(names), max_size=len(names)))
    rates = dict(zip(names, drawn, strict=True))
    target = round(fraction * cost.dense_macs)
    least = {
        each.name: max(1, int(each.size * (1 - most) + 1e-9)) if rates[each.name] else each.size for each in groups
    }
    if cost.macs(least) > target:
        with pytest.raises(StageFailure, match="out of reach"):
            profile_widths(groups, rates, most, cost.macs, target)
        return
    widths = profile_widths(groups, rates, most, cost.macs, target)
    if target == cost.dense_macs:
        assert widths == {each.name: each.size for each in groups}
        return
    dearest = max(cost.macs({}) - cost.macs({each.name: each.size - 1}) for each in groups)
    assert abs(cost.macs(widths) - target) <= dearest
    lowest, highest = 0.0, float("inf")  # of the factors that explain a group's width to within one channel
    for each in groups:
        width, rate = widths[each.name], rates[each.name]
        if rate == 0:
            assert width == each.size
            continue
        capped = 1 - width / each.size >= min(most, 1 - 1 / each.size) - 1 / each.size
        lowest = max(lowest, (1 - (width + 1) / each.size) / rate)
        highest = min(highest, float("inf") if capped else (1 - (width - 1) / each.size) / rate)
    assert lowest <= highest + 1e-9


def test_no_rate_exceeds_the_largest_and_a_budget_below_that_names_the_floor() -> None:
    rates = {"a": 0.9, "b": 0.1}
    assert profile_widths(AB, rates, 0.5, count, 6) == {"a": 2, "b": 4}
    with pytest.raises(StageFailure, match="with the largest rates of the profile the cost is 5; target 4"):
        profile_widths(AB, rates, 0.5, count, 4)


def test_a_budget_of_everything_keeps_everything() -> None:
    assert profile_widths(AB, {"a": 0.9, "b": 0.1}, 1.0, count, 10) == {"a": 4, "b": 6}
