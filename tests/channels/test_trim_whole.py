"""Trimming by whole groups: residual branches that have one score each."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.channels.allocate import trim_whole
from harness.channels.graph import KeptChannels
from harness.errors import StageFailure

NAMES = "abcdef"


def scores(values: list[float]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([value]) for name, value in zip(NAMES, values, strict=False)}


def priced(prices: list[int], kept: KeptChannels) -> int:
    """10 for the rest of the network, and each group's price unless it is gone."""
    return 10 + sum(price for name, price in zip(NAMES, prices, strict=False) if kept.get(name) != ())


def gone(kept: KeptChannels) -> set[str]:
    return {name for name, channels in kept.items() if channels == ()}


def trimmed(values: list[float], prices: list[int], target: int, kept: KeptChannels | None = None) -> KeptChannels:
    return trim_whole(scores(values), kept or {}, lambda chosen: priced(prices, chosen), target)


def test_the_groups_of_lowest_score_go() -> None:
    assert gone(trimmed([0.3, 0.1, 0.2], [5, 5, 5], 15)) == {"b", "c"}


def test_of_equal_scores_the_later_group_goes() -> None:
    assert gone(trimmed([0.5, 0.5, 0.5], [5, 5, 5], 20)) == {"c"}


def test_what_fits_again_comes_back() -> None:
    assert gone(trimmed([0.1, 0.2, 0.9], [2, 8, 5], 18)) == {"b"}


def test_what_was_gone_before_stays_away() -> None:
    before: KeptChannels = {"c": ()}
    assert gone(trimmed([0.1, 0.2, 0.9], [5, 5, 5], 15, before)) == {"a", "c"}
    assert trimmed([0.1, 0.2, 0.9], [5, 5, 5], 20, before) == before


def test_a_target_below_the_rest_of_the_network_is_out_of_reach() -> None:
    with pytest.raises(StageFailure, match="out of reach: with every branch removed the cost is 10; target 9"):
        trimmed([0.1, 0.2], [5, 5], 9)


def test_scores_that_are_not_numbers_are_a_divergence() -> None:
    with pytest.raises(StageFailure, match="diverged"):
        trimmed([0.1, float("nan")], [5, 5], 15)


@settings(deadline=None, max_examples=60)
@given(groups=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 9)), min_size=1, max_size=6), share=st.floats(0, 1))
def test_the_target_is_met_and_nothing_that_is_gone_would_fit(groups: list[tuple[float, int]], share: float) -> None:
    values, prices = [list(each) for each in zip(*groups, strict=True)]
    target = 10 + int(share * sum(prices))
    kept = trimmed(values, prices, target)
    cost = priced(prices, kept)
    assert cost <= target
    assert all(cost + prices[NAMES.index(name)] > target for name in gone(kept))
