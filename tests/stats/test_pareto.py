"""Which points no other one beats."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from harness.stats.pareto import front

points = st.lists(st.tuples(st.integers(1, 9).map(float), st.integers(1, 9).map(float)), max_size=15)


def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] <= b[0] and a[1] >= b[1] and a != b


@given(points)
def test_a_point_is_on_the_front_exactly_if_nothing_dominates_it(given_points: list[tuple[float, float]]) -> None:
    chosen = {given_points[position] for position in front(given_points)}
    undominated = {one for one in given_points if not any(dominates(other, one) for other in given_points)}
    assert chosen == undominated


@given(points)
def test_the_front_rises_with_cost_and_names_equal_points_once(given_points: list[tuple[float, float]]) -> None:
    chosen = [given_points[position] for position in front(given_points)]
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(chosen))
