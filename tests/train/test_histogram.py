"""Counts of values in bins."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.train.histogram import BINS, histogram


@given(st.lists(st.floats(-5, 5, width=32), max_size=60))
def test_every_value_is_in_exactly_one_bin(values: list[float]) -> None:
    found = histogram(torch.tensor(values))
    assert sum(found["counts"]) == len(values)
    assert len(found["counts"]) == BINS
    assert found["low"] <= min([0.0, *values])
    assert found["high"] >= max([1.0, *values])


def test_gates_between_nought_and_one_are_counted_over_that_range() -> None:
    found = histogram(torch.tensor([0.0, 0.01, 0.99, 1.0, 1.0]))
    assert (found["low"], found["high"]) == (0.0, 1.0)
    assert (found["counts"][0], found["counts"][-1]) == (2, 3)


def test_values_that_are_not_finite_are_left_out() -> None:
    assert sum(histogram(torch.tensor([0.5, float("nan"), float("inf")]))["counts"]) == 1
