"""Hits on test images: of a run's artifacts, and recorded beside a report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from harness.errors import UserError
from harness.report.hits import hits_in, record_hits
from harness.store.artifacts import artifact_folder, write_artifact
from harness.store.rows import Row

from .made_up import cell, done, waiting

KEYS = ("ab" * 32, "cd" * 32)
BITS = {KEYS[0]: [0b10100000], KEYS[1]: [0b00000001]}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with the hits of two networks."""
    for key, bits in BITS.items():
        write_artifact(tmp_path, key, {"hits.safetensors": save({"hits": np.array(bits, np.uint8)})})
    return tmp_path


def rows() -> list[Row]:
    return [done(cell("dense", seed), 0.9, key=key) for seed, key in enumerate(KEYS)]


def test_hits_are_read_from_the_artifact_of_the_measuring_stage(results: Path) -> None:
    found = hits_in(results)(rows()[0])
    assert found is not None
    assert found.tolist() == [True, False, True, *[False] * 5]


def test_recorded_hits_are_those_of_the_artifacts(results: Path) -> None:
    report = results / "report"
    report.mkdir()
    assert record_hits([*rows(), waiting(cell("random"))], results, report) == report / "hits.safetensors"
    for row in rows():
        found, stored = hits_in(report)(row), hits_in(results)(row)
        assert found is not None
        assert stored is not None
        assert found.tolist() == stored.tolist()


def test_rows_without_an_artifact_have_no_hits(results: Path) -> None:
    of = hits_in(results)
    assert of(done(cell("dense"), 0.9, key="ef" * 32)) is None
    assert of(waiting(cell("dense"))) is None


def test_where_nothing_is_stored_nothing_is_recorded(tmp_path: Path) -> None:
    assert record_hits(rows(), tmp_path, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_was_not_recorded_has_no_hits(results: Path) -> None:
    (results / "report").mkdir()
    record_hits(rows()[:1], results, results / "report")
    assert hits_in(results / "report")(rows()[1]) is None


def test_damaged_hits_are_refused_by_name(results: Path) -> None:
    (artifact_folder(results, KEYS[0]) / "hits.safetensors").write_bytes(b"longer than it was")
    with pytest.raises(UserError, match="is damaged"):
        hits_in(results)(rows()[0])


def test_damaged_recorded_hits_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "hits.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"hits\.safetensors: not a file of hits"):
        hits_in(tmp_path)
