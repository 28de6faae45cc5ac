"""Files that were made to break a reader are refused at once, in a few lines, and nothing is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.suite.load import load_suite
from harness.suite.problems import MOST_PROBLEMS
from tests.cli.calling import SUITE, call, files


def refused(folder: Path, text: str, *overrides: str) -> str:
    """What is said of a suite that must not load."""
    (folder / "suite.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        load_suite(str(folder / "suite.yaml"), None, overrides)
    return str(caught.value)


def test_thousands_of_unknown_keys_get_a_hundred_lines(tmp_path: Path) -> None:
    said = refused(tmp_path, SUITE + "".join(f"key{number}: 1\n" for number in range(5000)))
    assert len(said.splitlines()) == MOST_PROBLEMS + 1
    assert said.splitlines()[-1].endswith(f"mend these {MOST_PROBLEMS} first")


def test_a_key_of_a_million_letters_is_not_read_back_to_its_author(tmp_path: Path) -> None:
    said = refused(tmp_path, f"{SUITE}? {'a' * 900_000}\n: 1\n")
    assert "unknown key 'aaa" in said
    assert len(said) < 500


@pytest.mark.parametrize("entry", ["dense", "short_digits", "vgg_digits"])
def test_a_name_of_a_million_letters_is_not_read_back_either(tmp_path: Path, entry: str) -> None:
    said = refused(tmp_path, SUITE.replace(entry, "a" * 900_000))
    assert "unknown" in said
    assert len(said) < 1500


def test_aliases_that_multiply_are_counted_before_they_are_written_out(tmp_path: Path) -> None:
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for before, name in zip("abcdefghijkl", "bcdefghijklm", strict=True):
        lines.append(f"{name}: &{name} [{', '.join(9 * [f'*{before}'])}]")
    assert "values, aliases written out" in refused(tmp_path, "\n".join(lines))


@pytest.mark.parametrize("text", ["suite: " + "[" * 100_000, "suite: " + "{a: " * 100_000])
def test_nesting_without_end_is_refused_where_it_becomes_too_deep(tmp_path: Path, text: str) -> None:
    assert "levels deep" in refused(tmp_path, text)


def test_an_override_of_a_thousand_steps_is_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, SUITE, ".".join(["a"] * 5000) + "=1")
    assert "nested 5,000 levels deep" in said
    assert len(said) < 500


def test_a_grid_without_end_is_counted_and_not_made(tmp_path: Path) -> None:
    axes = SUITE.replace("[0, 1]", str(list(range(2000)))).replace(
        "0.5", str([(index + 1) / 2001 for index in range(2000)])
    )
    assert "the grid has 4002000 cells" in refused(tmp_path, axes)


def test_a_file_of_a_hundred_megabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(UserError, match="is larger than 1 MB"):
        load_suite(str(tmp_path / "huge.yaml"))


@pytest.mark.parametrize("what", ["pipe", "folder", "/dev/zero", "binary"])
def test_what_is_no_text_file_is_refused_and_waits_for_nobody(tmp_path: Path, what: str) -> None:
    place = tmp_path / "suite.yaml"
    if what == "pipe":
        os.mkfifo(place)
    elif what == "folder":
        place.mkdir()
    elif what == "binary":
        place.write_bytes(bytes(range(256)) * 100)
    else:
        place = Path(what)
    # a process of its own, because a read that waits could not be ended here
    words = [sys.executable, "-m", "harness", "plan", str(place)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("suite: tiny", "suite: ../../escaped"),
        ("suite: tiny", "suite: /tmp/escaped"),
        ("suite: tiny", 'suite: "a\\0b"'),
        ("name: digits", "name: ../../digits"),
        ("vgg_digits", "../vgg_digits"),
        ("- dense", "- ../../dense"),
        ("one_seed", "../one_seed"),
    ],
)
def test_a_name_that_leaves_its_folder_is_refused_and_nothing_is_written(tmp_path: Path, old: str, new: str) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    (inside / "suite.yaml").write_text(SUITE.replace(old, new))
    before = files(tmp_path)
    called = call(inside, "run", "suite.yaml", "--executor", "inline")
    assert called.status == 2, called.out
    assert files(tmp_path) == before
