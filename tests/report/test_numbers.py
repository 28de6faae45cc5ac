"""How numbers are printed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import numbers
from harness.stats.intervals import Interval

UNITS = {unit.symbol: unit for unit in (*numbers.UNITS, numbers.PLAIN)}


@pytest.mark.parametrize(
    ("largest", "symbol"),
    [(12, ""), (499, ""), (500, "k"), (31_000, "k"), (850_000, "M"), (313_470_000, "M"), (15_470_000_000, "G")],
)
def test_a_column_has_the_unit_of_its_largest_value(largest: int, symbol: str) -> None:
    assert numbers.unit_for([largest / 100, None, largest]).symbol == symbol


@pytest.mark.parametrize(
    ("value", "symbol", "printed"),
    [
        (313_472_778, "M", "313.47"),
        (853_018, "M", "0.85"),
        (60_000, "M", "0.060"),
        (7_100, "M", "0.0071"),
        (99_600, "M", "0.10"),
        (1_234, "", "1234"),
        (0, "M", "0.00"),
    ],
)
def test_counts_keep_two_significant_digits(value: int, symbol: str, printed: str) -> None:
    assert numbers.count(value, UNITS[symbol]) == printed


@given(st.floats(1e-9, 1e15))
def test_nothing_but_nought_prints_as_nought(value: float) -> None:
    assert float(numbers.count(value, UNITS["M"])) > 0


@pytest.mark.parametrize("digits", ["313.47", "190", "0.060", "62.7", "2.10", "0.007"])
def test_published_digits_come_back_as_they_were(digits: str) -> None:
    assert numbers.printed_count(f"{digits} M", UNITS["M"]) == digits


def test_published_digits_survive_another_unit() -> None:
    assert numbers.printed_count("15.47 G", UNITS["M"]) == "15470"
    assert numbers.printed_count("62.7 M", UNITS["G"]) == "0.0627"


def test_a_single_run_shows_no_plus_minus() -> None:
    assert numbers.interval(Interval(0.93751, None, 1)) == "93.75"
    assert numbers.interval(Interval(0.93751, 0.00208, 3)) == "93.75 ± 0.21"


def test_differences_show_their_sign_unless_they_are_nought() -> None:
    assert numbers.signed_interval(Interval(-0.0031, 0.004, 3)) == "−0.31 ± 0.40"
    assert numbers.signed(0.5) == "+0.50"
    assert numbers.signed(-0.001) == "0.00"


@pytest.mark.parametrize(
    ("value", "printed"), [(1e-4, "1e-4"), (2.5e-5, "2.5e-5"), (0.5, "0.5"), (0.0, "0"), (3, "3"), ("a", "a")]
)
def test_parameters_are_printed_as_short_as_possible(value: object, printed: str) -> None:
    assert numbers.plain(value) == printed
