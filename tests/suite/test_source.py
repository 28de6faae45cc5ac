from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import Location, SuiteError, UserError
from harness.suite.problems import Problems
from harness.suite.source import LARGEST_FILE, Node, parse, plain, read


def parsed(text: str, column: int = 0) -> Node:
    problems = Problems("f")
    node = parse(text, "f", problems, column)
    problems.raise_any()
    assert node is not None
    return node


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("5E+3", 5000.0),
        (".5", 0.5),
        ("-3", -3),
        ("010", 10),
        ("50_000", 50_000),
        (".inf", math.inf),
        ("true", True),
        ("yes", "yes"),
        ("~", None),
        ("2024-01-31", "2024-01-31"),
        ("12:30", "12:30"),
        ("0x10", "0x10"),
        ("1.2.3", "1.2.3"),
        ("'1e-4'", "1e-4"),
        ("9" * 500, "9" * 500),
    ],
)
def test_scalars_mean_what_a_researcher_writes(text: str, value: object) -> None:
    found = plain(parsed(f"[{text}]"))[0]
    assert found == value
    assert type(found) is type(value)


def test_every_key_and_value_knows_its_place() -> None:
    root = parsed("a: 1\nb:\n  - x\n  - {c: 2}\n")
    assert isinstance(root.value, dict)
    b = root.value["b"]
    assert isinstance(b.value, list)
    inner = b.value[1]
    assert isinstance(inner.value, dict)
    assert b.key_at == Location("f", 2, 1)
    assert b.value[0].at == Location("f", 3, 5)
    assert inner.value["c"].key_at == Location("f", 4, 6)
    assert inner.value["c"].at == Location("f", 4, 9)


def test_an_empty_value_is_placed_at_its_key() -> None:
    root = parsed("a:\n\n\nb: 1\n")
    assert isinstance(root.value, dict)
    assert root.value["a"].at == Location("f", 1, 1)


def test_columns_of_the_first_line_count_what_stands_before() -> None:
    assert parsed("[x]", column=6).at == Location("f", 1, 7)


def test_an_alias_repeats_its_anchor() -> None:
    assert plain(parsed("a: &x [1, 2]\nb: *x\n")) == {"a": [1, 2], "b": [1, 2]}


def test_a_file_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (LARGEST_FILE + 1))
    with pytest.raises(UserError, match="larger than 1 MB"):
        read(path, Problems(str(path)))


def test_bytes_that_are_no_text_are_refused_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"suite: x\ntitle: caf\xe9\n")
    with pytest.raises(SuiteError, match=r"latin\.yaml:2:11: this byte is not UTF-8"):
        read(path, Problems(str(path)))


def test_a_raw_control_character_is_refused_with_its_place() -> None:
    with pytest.raises(SuiteError, match="f:2:4: this character is not allowed"):
        parsed("a: 1\nb: \x01\n")


def test_an_escaped_half_of_a_character_is_refused() -> None:
    with pytest.raises(SuiteError, match="f:1:4: "):
        parsed('a: "\\ud800"')


texts = st.text("abe1:#-[]{}'\" \n,&*!", max_size=6)
data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(data)
def test_json_is_read_as_what_it_says(value: Any) -> None:
    found = plain(parsed(json.dumps([value])))
    assert repr(found) == repr([value])


@given(st.text(max_size=60) | st.text("a: -[]{}\n\t'\"&*!|>%@#,?\\x", max_size=40))
def test_no_text_raises_anything_but_a_suite_error(text: str) -> None:
    places: list[Location] = []
    try:
        parsed(text)
    except SuiteError as error:
        places = [where for where, _ in error.problems]
    assert all(where.line >= 1 and where.column >= 1 for where in places)
