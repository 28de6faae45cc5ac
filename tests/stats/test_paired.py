"""Paired tests over few seeds, their correction, and what they could have shown."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from harness.stats.paired import holm, one_sample, paired_test, smallest_detectable, verdict

SLEEP = (
    (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0),
    (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4),
)
"""Hours of sleep gained under two drugs (Student, Biometrika 6, 1908)."""

probabilities = st.floats(0, 1)


def test_students_own_example() -> None:
    found = paired_test(*(dict(enumerate(hours)) for hours in SLEEP))
    assert found is not None
    assert found.difference.mean == pytest.approx(-1.58)
    assert (found.difference.low, found.difference.high) == pytest.approx((-2.4598858, -0.7001142), abs=1e-7)
    assert found.p == pytest.approx(0.00283289, abs=1e-8)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=10, unique=True))
def test_agrees_with_scipy(differences: list[float]) -> None:
    found = one_sample(differences)
    if found.p is not None and np.std(differences) > 1e-6:
        assert found.p == pytest.approx(float(scipy.stats.ttest_1samp(differences, 0).pvalue), rel=1e-6, abs=1e-12)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=10, unique=True))
def test_the_interval_leaves_out_0_exactly_if_p_is_below_5_per_cent(differences: list[float]) -> None:
    found = one_sample(differences)
    if found.p is not None and abs(found.p - 0.05) > 1e-9:
        assert (not found.difference.low <= 0 <= found.difference.high) == (found.p < 0.05)


def test_only_seeds_that_both_have_are_compared() -> None:
    found = paired_test({0: 1.0, 1: 2.0, 5: 9.0}, {0: 0.5, 1: 1.7, 6: -9.0})
    assert found is not None
    assert found.difference.n == 2
    assert found.difference.mean == pytest.approx(0.4)


def test_without_a_shared_seed_there_is_no_test() -> None:
    assert paired_test({0: 1.0}, {1: 1.0}) is None


def test_a_single_seed_decides_nothing() -> None:
    found = one_sample([0.3])
    assert (found.difference.mean, found.p, found.detectable) == (0.3, None, None)


@pytest.mark.parametrize("differences", [[0.0, 0.0], [0.91 - 0.90, 0.81 - 0.80, 0.01]])
def test_differences_that_do_not_vary_decide_nothing(differences: list[float]) -> None:
    assert one_sample(differences).p is None


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_the_smallest_detectable_difference_is_found_with_80_per_cent(n: int) -> None:
    expected = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
    assert smallest_detectable(1.0, n) == pytest.approx(expected, rel=1e-5)


def test_a_test_knows_what_it_could_have_shown() -> None:
    differences = [0.1, 0.4, -0.2]
    assert one_sample(differences).detectable == pytest.approx(
        smallest_detectable(float(np.std(differences, ddof=1)), 3), rel=1e-9
    )


def test_a_single_seed_can_show_no_difference() -> None:
    with pytest.raises(ValueError, match="single seed"):
        smallest_detectable(1.0, 1)


def test_holms_correction_of_rs_manual() -> None:
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])


@settings(max_examples=12)  # its statsmodels takes a tenth of a second a call
@given(st.lists(probabilities, min_size=1, max_size=20))
def test_holm_agrees_with_statsmodels(values: list[float]) -> None:
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1].tolist(), rel=1e-12, abs=1e-300)


@given(st.lists(st.one_of(st.none(), probabilities), max_size=12))
def test_what_could_not_be_tested_counts_for_no_test(values: list[float | None]) -> None:
    known = [value for value in values if value is not None]
    corrected = holm(values)
    assert [value for value in corrected if value is not None] == holm(known)
    assert [value is None for value in corrected] == [value is None for value in values]


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, value])


@pytest.mark.parametrize(
    ("difference", "corrected", "expected"),
    [(1.0, 0.01, "win"), (-1.0, 0.01, "loss"), (1.0, 0.05, "tie"), (-1.0, None, "tie")],
)
def test_who_is_ahead_is_said_by_the_corrected_p(difference: float, corrected: float | None, expected: str) -> None:
    assert verdict(difference, corrected) == expected
