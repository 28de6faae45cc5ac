"""Rows recorded in one file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.report.recorded import read_recorded, recorded_json
from harness.report.records import report_json
from harness.store.rows import Row
from harness.store.studies import StudyRecord, TrialRecord
from harness.suite.cell import Budget, DataChoice
from harness.suite.study import Domain, Stopping, Study, Tuned

from .made_up import SHORT, budgeted, cell, done, facts, failed, grid, waiting


def recorded(made: list[Row], folder: Path, /, **changes: object) -> Path:
    path = folder / "recorded.json"
    path.write_text(recorded_json(made, facts(**changes)), encoding="utf-8")
    return path


def test_rows_and_facts_come_back_equal(tmp_path: Path) -> None:
    rows = [*grid(recipe=SHORT, factor=19.9), failed(budgeted("random", 0.1)), waiting(cell("dnal", 7))]
    changes = {"recipe": SHORT, "profile": "cpu", "data": DataChoice("cifar10", 1_000), "rows": "held_out"}
    found, suite = read_recorded(recorded(rows, tmp_path, **changes))
    assert found == rows
    assert suite == facts(**changes)


def test_partners_and_candidates_that_are_no_rows_come_back(tmp_path: Path) -> None:
    candidates = tuple(cell("dnal", params={"lambda_a": strength}) for strength in (1e-5, 1e-4))
    trimmed = cell("dnal", budget=Budget("macs", 0.5), candidates=candidates)
    rows = [done(trimmed, 0.9), done(cell("random", match=trimmed, cuts=("inner",)), 0.8)]
    found, _ = read_recorded(recorded(rows, tmp_path))
    assert found == rows
    assert found[1].cell.match == found[0].cell


def test_a_report_of_the_recorded_rows_is_the_report(tmp_path: Path) -> None:
    rows = grid()
    found, suite = read_recorded(recorded(rows, tmp_path))
    assert report_json(found, suite) == report_json(rows, facts())


def test_each_cell_is_recorded_once(tmp_path: Path) -> None:
    rows = grid(strengths=(1e-4,), seeds=(0,))
    document = json.loads(recorded(rows, tmp_path).read_text())
    assert len(document["cells"]) == len(document["rows"]) == len(rows)


def test_a_field_that_was_added_later_may_be_absent(tmp_path: Path) -> None:
    document = json.loads(recorded([done(cell("dense"), 0.9)], tmp_path).read_text())
    assert {"match", "cuts", "allocate", "candidates"}.isdisjoint(document["cells"][0])
    assert {"strength", "notes", "curve"}.isdisjoint(document["rows"][0])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is damaged"),
        ("[]", "is no record of rows"),
        ('{"format": 2}', "is no record of rows of format 1"),
        ('{"format": 1}', "is damaged: KeyError"),
        ('{"format": 1, "suite": {}, "cells": [], "rows": [{"cell": 0}]}', "a row is of cell 0, and there are 0"),
        ('{"format": 1, "suite": {}, "cells": [{"seed": "none"}], "rows": []}', "is damaged: backbone"),
    ],
)
def test_a_damaged_file_is_one_line(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "recorded.json"
    path.write_text(content)
    with pytest.raises(UserError, match=words) as caught:
        read_recorded(path)
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_recorded(tmp_path / "recorded.json")


def test_a_study_comes_back_with_its_trials(tmp_path: Path) -> None:
    study = Study(
        name="found",
        space=(("lambda_a", Domain("loguniform", (1e-5, 1e-3))), ("kind", Domain("choice", (1, 0.5, "a", True, None)))),
        objectives=("top1", "macs"),
        trials=2,
        best=1,
        parallel=2,
        stopping=Stopping(1, 3),
        seed=None,
        trial=cell("dnal", params={"lambda_a": 1e-4}),
    )
    trials = (TrialRecord(0, {"lambda_a": 2e-4}, "complete", "", 0.9, 10, 20, 3),)
    stages = {"ab" * 32: {"kind": "dense", "epochs": 3, "training_macs": 5, "seconds": 1.5}}
    record = StudyRecord("cd" * 32, study, trials, (0,), stages)
    rows = [done(cell("dnal", tuned=Tuned(study, 0)), 0.9, study=record, tuning_epochs=3)]
    found, _ = read_recorded(recorded(rows, tmp_path))
    assert found == rows
