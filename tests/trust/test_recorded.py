"""A `recorded.json` of a stranger: it is read as figures that rows can have, or refused in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.printable import printable_values
from harness.report import recorded
from harness.report.hits import HITS, hits_in
from harness.report.recorded import RECORDED, read_recorded, recorded_json
from harness.report.records import report_json
from harness.report.write import write_report
from tests.cli.calling import call
from tests.report.made_up import budgeted, cell, done, facts, failed

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def document() -> dict[str, Any]:
    made = [done(cell("dense"), 0.93), failed(budgeted("random", 0.1))]
    found: dict[str, Any] = json.loads(recorded_json(made, facts()))
    found["rows"][0]["curve"] = [["dense", 0, 1.5, 0.3, None], ["dense", 1, 1.2, 0.4, 0.5, [0.0, 1.0, 2, 3]]]
    return found


def written(document: dict[str, Any], folder: Path) -> Path:
    (folder / RECORDED).write_text(json.dumps(document))
    return folder / RECORDED


def test_the_document_that_the_others_change_is_read(document: dict[str, Any], tmp_path: Path) -> None:
    rows, suite = read_recorded(written(document, tmp_path))
    assert [row.state for row in rows] == ["done", "failed"]
    assert [point.gates is not None for point in rows[0].curve] == [False, True]
    assert report_json(rows, suite)["suite"] == "made_up"


def row(**values: object) -> Change:
    return lambda document: document["rows"][0].update(values)


def deep(document: dict[str, Any]) -> None:
    """Cells whose names double from each to the next."""
    base = document["cells"][0]
    document["cells"] = [base] + [base | {"match": n, "widths_of": n} for n in range(64)]
    document["rows"][0]["cell"] = 64


@pytest.mark.parametrize(
    "change",
    [
        row(top1="<script>"),
        row(top1=float("nan")),
        row(top1=float("inf")),
        row(top1=7.0),
        row(top1=None),
        row(macs=0),
        row(macs=-5),
        row(macs=10**40),
        row(macs="many"),
        row(params=1.5),
        row(key="../../../etc/passwd"),
        row(key="ab"),
        row(cell=-1),
        row(cell=99),
        row(cell="0"),
        row(cell=True),
        row(state="exploded"),
        row(widths={"a": [1]}),
        row(widths={"a": ["x", 2]}),
        row(epochs={"dense": -1}),
        row(device_seconds=-1.0),
        row(provenance=[1]),
        row(notes="text"),
        row(curve=3),
        row(curve=["x"]),
        row(curve=[["dense", 0, 1.0]]),
        row(curve=[["dense", -1, 1.0, 0.1, 0.1]]),
        row(curve=[["dense", 0, "<b>", 0.1, 0.1]]),
        row(curve=[["dense", 0, 1.0, 0.1, 7.0]]),
        row(curve=[["dense", 0, 1.0, 0.1, 0.1, [0.0]]]),
        row(curve=[["dense", 0, float("nan"), 0.1, 0.1]]),
        row(curve=[["dense", 0, 1e308, 0.1, 0.1]]),
        row(curve=[["dense", 10**9, 1.0, 0.1, 0.1]]),
        row(curve=[["dense", 0, 1.0, 5.0, 0.1]]),
        row(curve=[["dense", 0, 1.0, 0.1, 0.1, [0.0, 0.0, 1]]]),
        row(curve=[["dense", 0, 1.0, 0.1, 0.1, [0.0, 1.0, -1]]]),
        row(curve=[[{"a": 1}, 0, 1.0, 0.1, 0.1]]),
        row(curve=[["x" * 1000, 0, 1.0, 0.1, 0.1]]),
        lambda document: document["cells"][0].update(match=0),
        lambda document: document["cells"][0].update(candidates=[0] * 5),
        lambda document: document["cells"][0].update(candidates="x"),
        lambda document: document["cells"][0].update(seed="x"),
        lambda document: document["cells"].insert(0, 3),
        lambda document: document["rows"].insert(0, None),
        lambda document: document.update(cells=None),
        lambda document: document.update(rows={"a": 1}),
        lambda document: document.update(suite=[]),
        lambda document: document.update(format=2),
        lambda document: document.pop("suite"),
        deep,
    ],
)
def test_what_no_row_can_be_is_refused_in_one_line(document: dict[str, Any], tmp_path: Path, change: Change) -> None:
    change(document)
    path = written(document, tmp_path)
    with pytest.raises(UserError) as caught:
        read_recorded(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{" * 100_000, "[" * 100_000, '{"format": 1, "a": ' + "9" * 5000 + "}"]
)
def test_a_text_that_is_no_record_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORDED).write_text(text)
    called = call(tmp_path, "report", "--recorded", ".")
    assert called.status == 2
    assert called.err.count("\n") == 1
    assert "Traceback" not in called.err


@pytest.mark.parametrize("what", ["pipe", "link", "folder", "huge"])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path, what: str) -> None:
    for name in (RECORDED, HITS):
        path = tmp_path / name
        if what == "pipe":
            os.mkfifo(path)
        elif what == "link":
            path.symlink_to("/etc/passwd")
        elif what == "folder":
            path.mkdir()
        else:
            path.touch()
            os.truncate(path, 2**40)
    with pytest.raises(UserError, match=r"not a plain file|is a symbolic link|more than the"):
        read_recorded(tmp_path / RECORDED)
    with pytest.raises(UserError, match=r"not a plain file|is a symbolic link|more than the"):
        hits_in(tmp_path)


def test_texts_of_it_move_no_cursor_and_ordinary_ones_are_as_they_were(
    document: dict[str, Any], tmp_path: Path
) -> None:
    document["suite"]["title"] = "\x1b[2J\u202eVGG16 – λ̃ × é"
    document["rows"][1]["reason"] = "\x9b31m"
    rows, suite = read_recorded(written(document, tmp_path))
    assert suite.title == "\ufffd[2J\ufffdVGG16 – λ̃ × é"
    assert rows[1].reason == "\ufffd31m"


def test_a_report_replaces_links_in_its_folder_and_follows_none(document: dict[str, Any], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "report.md").symlink_to(outside)
    rows, suite = read_recorded(written(document, tmp_path))
    write_report(rows, suite, folder, ("md", "csv"))
    assert outside.read_text() == "precious"
    assert not (folder / "report.md").is_symlink()


signs = st.text(st.sampled_from('aé1\n\t\r\b\x1b\u202e\u200b\\"e '), max_size=6)
values = st.recursive(
    signs | st.sampled_from([0, -1, 10**29, 1.5, 1e300]),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(signs, each, max_size=3),
)


@given(values, st.booleans())
def test_every_text_in_it_is_made_printable_however_it_is_escaped(value: Any, ascii_only: bool) -> None:
    assert recorded._values(json.dumps(value, ensure_ascii=ascii_only)) == printable_values(value)


@pytest.mark.parametrize("text", ["[1e999]", "[ -1E+400 ]", '{"a": 1e999}', "[" + 40 * "9" + "]", "[NaN]", "-Infinity"])
def test_numbers_beyond_all_figures_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no figure of a row|more than thirty digits"):
        recorded._values(text)
