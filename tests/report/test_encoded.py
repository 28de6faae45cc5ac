"""JSON of the report's data."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from harness.report.encoded import encoded

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
SCALARS = SCALARS.filter(lambda value: not isinstance(value, str) or value.isprintable())
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner))


@given(VALUES)
def test_values_are_read_back_as_they_were(value: object) -> None:
    assert json.loads(encoded(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_back_to_the_last_bit_from_few_signs(value: float) -> None:
    assert float(encoded(value)) == value
    assert len(encoded(value)) <= 25


def test_letters_stand_for_themselves_and_nothing_is_between() -> None:
    assert encoded({"λ": ["×", 1, 0.5, None]}) == '{"λ":["×",1,0.5,null]}'


def test_what_json_has_no_form_for_is_its_text() -> None:
    assert encoded([slice(1, 2)]) == '["slice(1, 2, None)"]'
