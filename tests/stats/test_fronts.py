"""Accuracy over cost as a whole."""

from __future__ import annotations

import math

import pytest
import scipy.integrate
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.fronts import (
    Candidate,
    area,
    area_difference,
    common_range,
    hypervolume,
    hypervolume_difference,
    memberships,
)
from harness.stats.paired import holm, paired_test

curves = st.dictionaries(st.integers(1, 10_000).map(float), st.floats(0, 1), min_size=2, max_size=6).map(
    lambda found: list(found.items())
)


def test_the_area_of_two_lines_by_hand() -> None:
    # 60 to 80 over the first decade, 80 to 90 over the second: means 70 and 85.
    assert area([(10, 60), (100, 80), (1000, 90)], 10, 1000) == pytest.approx((70 + 85) / 2)


def test_the_area_between_points_is_of_the_line_between_them() -> None:
    assert area([(1, 0.0), (100, 1.0)], 10**0.5, 10**1.5) == pytest.approx(0.5)


@given(curves)
def test_the_area_is_the_mean_height(points: list[tuple[float, float]]) -> None:
    points = sorted(points)
    low, high = points[0][0], points[-1][0]
    total = sum(
        scipy.integrate.quad(lambda x, a=a, b=b, u=u, v=v: u + (v - u) * (x - a) / (b - a), a, b)[0]
        for (a, u), (b, v) in zip(
            [(math.log(c), h) for c, h in points], [(math.log(c), h) for c, h in points[1:]], strict=False
        )
    )
    assert area(points, low, high) == pytest.approx(total / math.log(high / low), abs=1e-9)


@given(curves, st.floats(0.01, 100))
def test_the_unit_of_cost_does_not_change_the_area(points: list[tuple[float, float]], factor: float) -> None:
    low, high = min(points)[0], max(points)[0]
    scaled = [(cost * factor, accuracy) for cost, accuracy in points]
    assert area(scaled, min(scaled)[0], max(scaled)[0]) == pytest.approx(area(points, low, high), abs=1e-9)


@pytest.mark.parametrize(("low", "high"), [(1, 50), (50, 200), (50, 50)])
def test_the_area_is_never_continued_beyond_the_points(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="do not reach"):
        area([(10, 1), (100, 2)], low, high)


def test_areas_are_compared_where_all_seeds_of_both_have_points() -> None:
    a = {0: [(1.0, 0.5), (100.0, 0.9)], 1: [(2.0, 0.5), (100.0, 0.9)]}
    b = {0: [(1.0, 0.4), (50.0, 0.8)], 1: [(1.0, 0.4), (60.0, 0.8)]}
    assert common_range(a, b) == (2.0, 50.0)


def test_a_curve_that_lies_higher_by_a_constant_has_an_area_larger_by_it() -> None:
    b = {0: [(1.0, 0.5), (10.0, 0.7)], 1: [(1.0, 0.4), (10.0, 0.9)]}
    a = {seed: [(cost, accuracy + 0.1) for cost, accuracy in points] for seed, points in b.items()}
    found = area_difference(a, b)
    assert found is not None
    assert found.difference.mean == pytest.approx(0.1)


@pytest.mark.parametrize("other", [{0: [(20.0, 1.0), (30.0, 1.0)]}, {1: [(1.0, 1.0), (9.0, 1.0)]}, {0: [(5.0, 1.0)]}])
def test_methods_without_common_costs_have_no_difference(other: dict[int, list[tuple[float, float]]]) -> None:
    assert area_difference({0: [(1.0, 0.5), (10.0, 0.7)]}, other) is None


def test_the_hypervolume_of_moocores_manual() -> None:
    # Points to be minimised and reference (10, 10) of the manual of moocore, whose answer is 38.
    points = [(10.0**x, 10.0 - y) for x, y in ((5, 5), (4, 6), (2, 7), (7, 4))]
    assert hypervolume(points, 1e10, 0.0) == pytest.approx(38.0)


def test_a_single_points_hypervolume_is_decades_saved_times_accuracy_gained() -> None:
    assert hypervolume([(1e6, 0.9)], 1e8, 0.5) == pytest.approx(2 * 0.4)


@given(curves)
def test_a_dominated_point_adds_nothing(points: list[tuple[float, float]]) -> None:
    cost, accuracy = points[0]
    more = [*points, (cost * 2, accuracy - 0.1)]
    assert hypervolume(more, 1e5, 0.0) == pytest.approx(hypervolume(points, 1e5, 0.0), abs=1e-12)


def test_points_beyond_the_reference_add_nothing() -> None:
    assert hypervolume([(1e9, 0.9), (1e6, 0.1)], 1e8, 0.5) == 0.0
    assert hypervolume([], 1e8, 0.5) == 0.0


def test_hypervolumes_are_paired_by_seed() -> None:
    a = {0: [(1e6, 0.9)], 1: [(1e6, 0.8)]}
    b = {0: [(1e6, 0.8)], 1: [(1e6, 0.7)], 2: [(1e6, 0.1)]}
    found = hypervolume_difference(a, b, 1e8, 0.0)
    assert found is not None
    assert (found.difference.mean, found.difference.n) == (pytest.approx(0.2), 2)


def candidate(cost: float, *accuracies: float) -> Candidate:
    return Candidate(cost, dict(enumerate(accuracies)))


def test_the_cheapest_is_on_the_front_and_a_clearly_worse_and_dearer_one_dominated() -> None:
    found = [candidate(1, 90, 91, 90.5), candidate(2, 80, 81.1, 80.4)]
    assert memberships(found) == ["on", "dominated"]


def test_a_dearer_one_that_is_clearly_better_than_all_cheaper_ones_is_on_the_front() -> None:
    found = [candidate(1, 80, 81.1, 80.4), candidate(1.5, 70, 70.9, 70.1), candidate(2, 90, 91, 90.5)]
    assert memberships(found) == ["on", "dominated", "on"]


def test_what_seeds_cannot_tell_is_undecided() -> None:
    assert memberships([candidate(1, 90, 92), candidate(2, 92, 90)]) == ["on", "undecided"]
    assert memberships([candidate(1, 90), candidate(2, 10)]) == ["on", "undecided"]


def test_equal_costs_within_a_hundredth_compete() -> None:
    found = [candidate(1.005, 90, 91, 90.5), candidate(1, 80, 81.1, 80.4)]
    assert memberships(found) == ["on", "dominated"]
    assert memberships(found, tolerance=0.001) == ["on", "on"]


def test_rivals_without_a_shared_seed_leave_it_undecided() -> None:
    assert memberships([Candidate(1, {0: 1.0}), Candidate(2, {1: 5.0})])[1] == "undecided"


def test_a_rival_that_holm_finds_and_bonferroni_does_not_dominates() -> None:
    # Five differences of mean 3 and deviation √5: t = 3, p = 0.040. Of two tests it is the first or the last of Holm.
    ahead = candidate(1, *(93 + math.sqrt(5) * step for step in (-1, -1, 0, 1, 1)))
    far_behind, unknown = candidate(1, 80, 80.1, 80.2, 80.1, 80), candidate(1, 60, 110, 80, 100, 99)
    own = candidate(2, *[90.0] * 5)
    assert memberships([own, ahead, far_behind])[0] == "dominated"
    assert memberships([own, ahead, unknown])[0] == "undecided"


accuracies = st.dictionaries(st.integers(0, 5), st.integers(0, 8).map(float), max_size=6)


@given(st.lists(st.tuples(st.sampled_from([1.0, 1.005, 2.0, 3.0]), accuracies), max_size=9))
def test_memberships_are_what_the_single_tests_and_holm_say(found: list[tuple[float, dict[int, float]]]) -> None:
    candidates = [Candidate(cost, accuracy) for cost, accuracy in found]
    expected = []
    for number, own in enumerate(candidates):
        rivals = [other for at, other in enumerate(candidates) if at != number and other.cost <= 1.01 * own.cost]
        tests = [paired_test(own.accuracy, other.accuracy) for other in rivals]
        ps = [test.p if test is not None else None for test in tests]
        worse = [test is not None and test.difference.mean < 0 for test in tests]
        if any(p is not None and p < 0.05 and less for p, less in zip(holm(ps), worse, strict=True)):
            expected.append("dominated")
        else:
            better = all(p is not None and p < 0.05 and not less for p, less in zip(ps, worse, strict=True))
            expected.append("on" if better else "undecided")
    assert memberships(candidates) == expected
