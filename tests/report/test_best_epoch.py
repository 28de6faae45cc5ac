"""The best epoch on the test images: printed beside the last one, marked, and used for nothing."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from harness.report.latex import latex
from harness.report.markdown import markdown
from harness.report.recorded import read_recorded, recorded_json
from harness.report.records import curves_csv, report_json, table_csv
from harness.report.table import tables
from harness.store.rows import Row

from .made_up import cell, done, facts, grid

HEADING = "Best test epoch (%) †"


def with_tests(row: Row, *shares: float) -> Row:
    """The row with top-1 on test images in its last epochs."""
    plain, last = row.curve[: -len(shares)], row.curve[-len(shares) :]
    curve = (*plain, *(point._replace(test_top1=share) for point, share in zip(last, shares, strict=True)))
    return replace(row, curve=curve)


@pytest.fixture
def rows() -> list[Row]:
    return [with_tests(row, 0.95, 0.5) if row.cell.method == "dense" else row for row in grid(seeds=(0, 1))]


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_best_is_over_all_epochs_and_the_measured_one() -> None:
    row = grid(seeds=(0,))[0]
    assert with_tests(row, 0.7, 0.99, 0.8).best_test == 0.99
    assert with_tests(row, 0.1, 0.2).best_test == row.top1
    assert row.best_test is None
    assert done(cell("dense"), 0.9).best_test is None


def test_a_column_and_its_note_are_there_where_any_line_has_it(rows: list[Row]) -> None:
    made = tables(rows, facts())
    for text in (markdown(made, facts()), latex(made, facts())):
        assert "Best test epoch" in text
        assert "chosen on the test images themselves" in text
    main = made[0].main
    at = main.header.index(HEADING)
    shown = {line.cells[0]: line.cells[at] for line in main.lines}
    assert shown.pop("Dense").startswith("95.00")
    assert set(shown.values()) == {"—"}


def test_without_it_the_report_says_that_test_images_are_read_once() -> None:
    text = markdown(tables(grid(), facts()), facts())
    assert "Best test epoch" not in text
    assert "the test split, which is read once for each cell" in text
    assert not any(name.startswith("best_test") for name in lines(table_csv(tables(grid(), facts())))[0])
    assert "test_top1" not in lines(curves_csv(grid()))[0]


def test_nothing_but_the_column_and_its_note_changes(rows: list[Row]) -> None:
    made, plain = tables(rows, facts())[0], tables(grid(seeds=(0, 1)), facts())[0]
    at = made.main.header.index(HEADING)
    without = [line.cells[:at] + line.cells[at + 1 :] for line in made.main.lines]
    assert without == [line.cells for line in plain.main.lines]
    assert made.blocks == plain.blocks


def test_it_is_in_the_data(rows: list[Row]) -> None:
    table = {line["model"]: line for line in lines(table_csv(tables(rows, facts())))}
    assert float(table["Dense"]["best_test_epoch_mean"]) == 0.95
    assert {line["best_test_epoch_mean"] for name, line in table.items() if name != "Dense"} == {""}
    curve = [line["test_top1"] for line in lines(curves_csv(rows[:1]))]
    assert curve[-2:] == ["0.95", "0.5"]
    assert set(curve[:-2]) == {""}
    assert report_json(rows, facts())["tables"][0]["entries"][0].keys() >= {"best_test_epoch_mean"}


def test_it_is_recorded_and_comes_back_beside_gates_too(rows: list[Row], tmp_path: Path) -> None:
    searching = next(row for row in rows if any(point.gates is not None for point in row.curve))
    made = [*rows, with_tests(searching, *(number / 1000 for number in range(len(searching.curve))))]
    (tmp_path / "recorded.json").write_text(recorded_json(made, facts()), encoding="utf-8")
    found, _ = read_recorded(tmp_path / "recorded.json")
    assert found == made
