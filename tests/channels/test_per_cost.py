"""Allocation by a score for what it saves, and how scores are made comparable."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.channels.allocate import Cost, global_kept, normalised, per_cost_kept
from harness.channels.graph import ChannelGroup, KeptChannels
from harness.errors import StageFailure
from tests.channels.test_allocate import AB, count, group, model, random_scores, widths_of


def step_by_step(scores: dict[str, Tensor], groups: list[ChannelGroup], cost: Cost, steps: int) -> KeptChannels:
    """The greedy rule as it is said: every price is counted anew before each step."""
    relative = {name: values.double() / values.double().abs().mean() for name, values in scores.items()}
    left = {each.name: list(range(each.size)) for each in groups}
    for _ in range(steps):
        widths = {name: len(channels) for name, channels in left.items()}
        prices = []
        for place, (name, channels) in enumerate(left.items()):
            if len(channels) > 1:
                weakest = min(channels, key=lambda channel: (float(relative[name][channel]), -channel))
                saved = cost(widths) - cost(widths | {name: widths[name] - 1})
                prices.append((float(relative[name][weakest]) / saved, place, name, weakest))
        _, _, name, weakest = min(prices)
        left[name].remove(weakest)
    return {name: tuple(channels) for name, channels in left.items()}


@settings(max_examples=30)
@given(seed=st.integers(0, 2**31 - 1), steps=st.integers(0, 13))
def test_channels_go_in_the_order_of_their_score_for_what_they_save_at_the_time(seed: int, steps: int) -> None:
    groups = [group("a", 5), group("b", 7), group("c", 4)]

    def cost(widths: Mapping[str, int]) -> int:  # a chain of layers
        return 9 * widths["a"] + 3 * widths["a"] * widths["b"] + widths["b"] * widths["c"] + 2 * widths["c"]

    scores = random_scores(tuple(groups), seed)
    expected = step_by_step(scores, groups, cost, steps)
    assert per_cost_kept(scores, groups, cost, cost(widths_of(expected))) == expected


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31 - 1), fraction=st.floats(0.03, 1.0))
def test_the_budget_is_met_by_the_best_channels_of_each_group(seed: int, fraction: float) -> None:
    cost, groups = model("vgg16_eighth")
    target = round(fraction * cost.dense_macs)
    scores = random_scores(groups, seed)
    kept = per_cost_kept(scores, groups, cost.macs, target)
    assert abs(cost.macs(widths_of(kept)) - target) <= 0.02 * target
    for each in groups:
        best = torch.topk(scores[each.name], len(kept[each.name])).indices
        assert kept[each.name] == tuple(sorted(best.tolist()))


def test_of_equal_scores_those_go_that_save_most() -> None:
    scores = {"a": torch.ones(4), "b": torch.ones(6)}
    kept = per_cost_kept(scores, AB, lambda widths: 10 * widths["a"] + widths["b"], 16)
    assert widths_of(kept) == {"a": 1, "b": 6}


def test_a_budget_of_everything_keeps_everything_and_one_below_a_channel_a_group_is_out_of_reach() -> None:
    scores = {"a": torch.rand(4), "b": torch.rand(6)}
    assert widths_of(per_cost_kept(scores, AB, count, 10)) == {"a": 4, "b": 6}
    with pytest.raises(StageFailure, match="the cost is 2; target 1"):
        per_cost_kept(scores, AB, count, 1)


def test_scores_that_are_not_numbers_have_diverged() -> None:
    scores = {"a": torch.rand(4), "b": torch.full((6,), float("nan"))}
    with pytest.raises(StageFailure, match="diverged"):
        per_cost_kept(scores, AB, count, 5)


@pytest.mark.parametrize(
    ("norm", "expected"),
    [("mean", [0.5, -1.5]), ("max", [1 / 3, -1.0]), ("l2", [0.316228, -0.948683]), ("none", [1, -3])],
)
def test_scores_are_divided_by_a_measure_of_their_group(norm: str, expected: list[float]) -> None:
    found = normalised({"a": torch.tensor([1.0, -3.0])}, [group("a", 2)], norm)["a"]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("norm", ["mean", "max", "l2", "none"])
def test_scores_that_are_all_zero_stay_zero(norm: str) -> None:
    assert normalised({"a": torch.zeros(3)}, [group("a", 3)], norm)["a"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("norm", "widths"), [("mean", {"a": 3, "b": 3}), ("none", {"a": 1, "b": 5})])
def test_without_a_norm_a_group_of_small_scores_goes_first(norm: str, widths: dict[str, int]) -> None:
    scores = {"a": torch.tensor([0.1, 0.2, 0.3, 0.4]), "b": torch.tensor([1.0, 1.1, 2.0, 3.0, 4.0, 5.0])}
    assert widths_of(global_kept(scores, AB, count, 6, norm)) == widths
