"""Means over few seeds, and how sure they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.intervals import Interval, mean_interval, next_mean_interval, paired_difference

accuracies = st.floats(0, 1)


def test_three_values_by_hand() -> None:
    found = mean_interval([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.half_width == pytest.approx(4.302652729911275 / math.sqrt(3), rel=1e-9)
    assert found.n == 3


def test_a_single_value_has_no_interval() -> None:
    assert mean_interval([0.9]) == Interval(0.9, None, 1)


def test_no_value_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        mean_interval([])


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_a_confidence_that_is_no_share_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        mean_interval([1.0, 2.0], confidence)


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=12, unique=True), st.sampled_from([0.8, 0.95, 0.99]))
def test_agrees_with_scipy(values: list[float], confidence: float) -> None:
    found = mean_interval(values, confidence)
    error = float(scipy.stats.sem(values))
    if error > 1e-9:
        low, high = scipy.stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=error)
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9, abs=1e-9)


@given(st.lists(accuracies, min_size=2, max_size=6))
def test_per_cent_and_shares_give_the_same_interval(values: list[float]) -> None:
    found = mean_interval(values).scaled(100)
    again = mean_interval([100 * value for value in values])
    assert (found.mean, found.half_width) == pytest.approx((again.mean, again.half_width), abs=1e-9)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_covers_the_true_mean_as_often_as_it_says(n: int) -> None:
    samples = np.random.default_rng(n).normal(0.9, 0.003, size=(10_000, n)).tolist()
    found = [mean_interval(sample) for sample in samples]
    assert 0.94 < np.mean([interval.low <= 0.9 <= interval.high for interval in found]) < 0.96


@given(st.dictionaries(st.integers(0, 9), accuracies, min_size=1), st.floats(-0.5, 0.5))
def test_a_constant_difference_is_found_exactly(values: dict[int, float], gain: float) -> None:
    found = paired_difference({seed: value + gain for seed, value in values.items()}, values)
    assert found is not None
    assert found.mean == pytest.approx(gain, abs=1e-12)
    assert found.half_width is None if len(values) == 1 else found.half_width == pytest.approx(0, abs=1e-12)


def test_pairs_by_seed_and_uses_only_shared_seeds() -> None:
    found = paired_difference({2: 0.93, 0: 0.91, 1: 0.92, 7: 0.1}, {0: 0.90, 1: 0.90, 2: 0.90, 8: 0.5})
    expected = scipy.stats.ttest_rel([0.91, 0.92, 0.93], [0.90, 0.90, 0.90]).confidence_interval(0.95)
    assert found is not None
    assert found.n == 3
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_without_shared_seeds_there_is_no_difference() -> None:
    assert paired_difference({0: 0.9}, {1: 0.8}) is None


@pytest.mark.parametrize(("stored", "further"), [(2, 1), (3, 1), (3, 3), (5, 2)])
def test_the_mean_of_further_runs_is_where_it_was_foreseen_in_95_of_100_cases(stored: int, further: int) -> None:
    values = np.random.default_rng(stored * 10 + further).normal(size=(4000, stored + further))
    inside = 0
    for row in values:
        foreseen = next_mean_interval(list(row[:stored]), further)
        inside += foreseen.low <= float(row[stored:].mean()) <= foreseen.high
    assert 0.935 <= inside / 4000 <= 0.965


def test_one_value_foresees_nothing() -> None:
    with pytest.raises(ValueError, match="cannot be foreseen from 1 values"):
        next_mean_interval([0.9], 1)
