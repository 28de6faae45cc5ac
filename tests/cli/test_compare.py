"""`harness compare` of recorded rows and of a results folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from harness.cli.compare import stored_hits
from harness.errors import UserError
from harness.report.write import write_report
from harness.store.artifacts import artifact_folder, write_artifact
from tests.cli.calling import call
from tests.report.made_up import cell, done, facts, grid

KEY = "ab" * 32


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A folder with recorded rows in `rows/`."""
    write_report(grid(strengths=(1e-5, 1e-4)), facts(), tmp_path / "rows", ["csv"])
    return tmp_path


def test_two_methods_of_recorded_rows_are_compared(recorded: Path) -> None:
    found = call(recorded, "compare", "rows", "l1_norm", "dnal")
    assert (found.status, found.err) == (0, "")
    assert found.out.startswith("VGG16 on CIFAR-10: L1-norm − DNAL")
    assert "as DNAL (λ = 1e-5)" in found.out


def test_as_json_it_is_one_document(recorded: Path) -> None:
    document = call(recorded, "compare", "rows", "l1_norm", "dnal", "--json").document
    assert document["suite"] == "made_up"
    assert len(document["comparisons"][0]["budgets"]) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rows", "l1_nrm", "dnal"), "did you mean 'l1_norm'?"),
        (("quickstar", "l1_norm", "dnal"), "did you mean 'quickstart'?"),
        (("quickstart", "l1_norm", "dnal"), "there are no results of quickstart"),
    ],
)
def test_mistakes_are_one_line(words: tuple[str, ...], message: str, recorded: Path) -> None:
    found = call(recorded, "compare", *words)
    assert found.status == 2
    assert message in found.err
    assert len(found.err.splitlines()) == 1


def test_hits_are_read_from_the_artifact_of_the_measuring_stage(tmp_path: Path) -> None:
    write_artifact(tmp_path, KEY, {"hits.safetensors": save({"hits": np.array([0b10100000], np.uint8)})})
    found = stored_hits(tmp_path, done(cell("dense"), 0.9, key=KEY))
    assert found is not None
    assert found.tolist() == [True, False, True, *[False] * 5]


def test_a_folder_without_the_artifact_has_no_hits(tmp_path: Path) -> None:
    assert stored_hits(tmp_path, done(cell("dense"), 0.9, key=KEY)) is None
    assert stored_hits(tmp_path, done(cell("dense"), 0.9)) is None


def test_damaged_hits_are_refused_by_name(tmp_path: Path) -> None:
    write_artifact(tmp_path, KEY, {"hits.safetensors": b"nothing"})
    with pytest.raises(UserError, match="vgg16/cifar10/dense/seed=0: not a file of hits"):
        stored_hits(tmp_path, done(cell("dense"), 0.9, key=KEY))
    (artifact_folder(tmp_path, KEY) / "hits.safetensors").write_bytes(b"longer than it was")
    with pytest.raises(UserError, match="is damaged"):
        stored_hits(tmp_path, done(cell("dense"), 0.9, key=KEY))
