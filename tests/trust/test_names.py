"""Names in a suite that would lead elsewhere: one line, and nothing is written anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calling import SUITE, call, files

NAMES = [
    "../../x",
    "/tmp/trust-x",
    "..",
    ".",
    ".hidden",
    "a/b",
    "a\\b",
    "~root",
    "$HOME",
    "x" * 300,
    '"a\\0b"',
    '"a\\nb"',
    '"\\e[2J"',
    '"\\u202Efdp"',
    "''",
    "file:///etc/passwd",
    "*",
]


def with_name(place: str, name: str) -> str:
    """The suite with a name in one of its places, as YAML writes it."""
    quoted = name if name.startswith(("'", '"')) else f"'{name}'"
    old, new = {
        "suite": ("suite: tiny", f"suite: {quoted}"),
        "dataset": ("name: digits,", f"name: {quoted},"),
        "folder": ("name: digits,", f"name: {quoted.replace(quoted[0], quoted[0] + 'folder/', 1)},"),
        "backbone": ("[vgg_digits]", f"[{quoted}]"),
        "method": ("- dense", f"- {quoted}"),
        "profile": ("one_seed:", f"{quoted}:"),
        "published": ("title:", f"published: {quoted}\ntitle:"),
        "recipe": ("recipe: short_digits", f"recipe: {quoted}"),
    }[place]
    assert old in SUITE
    return SUITE.replace(old, new)


PLACES = ["suite", "dataset", "folder", "backbone", "method", "profile", "published", "recipe"]
# Three words with strokes between them are a reference to a table, looked up among those that ship.
CASES = [(place, name) for place in PLACES for name in NAMES if (place, name) != ("published", "../../x")]


@pytest.mark.parametrize(("place", "name"), CASES)
def test_a_name_that_leads_elsewhere_is_one_line_and_nothing_is_written(tmp_path: Path, place: str, name: str) -> None:
    at = tmp_path / "a" / "b" / "c"
    at.mkdir(parents=True)
    (at / "tiny.yaml").write_text(with_name(place, name), encoding="utf-8")
    before = files(tmp_path)
    called = call(at, "run", "tiny.yaml", "--executor", "inline")
    assert called.status == 2
    assert "Traceback" not in called.err
    assert all(sign.isprintable() or sign == "\n" for sign in called.err)
    assert len(called.err) < 3000
    assert files(tmp_path) == before
    assert not Path("/tmp/trust-x").exists()


@pytest.mark.parametrize("name", ["con", "NUL", "aux.yaml", "Com1", "lpt9.x.y", "tiny."])
def test_a_name_that_windows_keeps_for_itself_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "tiny.yaml").write_text(with_name("suite", name))
    called = call(tmp_path, "plan", "tiny.yaml")
    assert (called.status, called.out) == (2, "")
    assert "cannot name a folder on Windows" in called.err


@pytest.mark.parametrize("name", ["console", "nullable", "com", "tiny.v2", "1st", "a" * 100])
def test_an_ordinary_name_is_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / "tiny.yaml").write_text(with_name("suite", name))
    called = call(tmp_path, "plan", "tiny.yaml")
    assert called.status == 0, called.err


def test_a_profile_that_is_asked_for_by_a_path_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SUITE)
    called = call(tmp_path, "plan", "tiny.yaml", "--profile", "../../x")
    assert called.status == 2
    assert files(tmp_path) == ["tiny.yaml"]
