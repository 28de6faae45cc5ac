"""`harness compare` of recorded rows and of a results folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.report.write import write_report
from tests.cli.calling import call
from tests.report.made_up import facts, grid


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
