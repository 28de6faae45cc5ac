"""A suite file goes in, a table and plots come out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SMALL = ["--set", "seeds=[0]", "--set", "recipe.epochs={dense: 2, search: 2, finetune: 2, baseline: 4}"]


def harness(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a user would."""
    command = [sys.executable, "-m", "harness", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=folder, check=False)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The quickstart with short epochs, run by name through Ray Tune from an empty folder."""
    folder = tmp_path_factory.mktemp("empty")
    return folder, harness("run", "quickstart", *SMALL, folder=folder)


def test_the_quickstart_runs_by_name_from_an_empty_folder(
    ran: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = ran
    assert done.returncode == 0, done.stderr
    report = folder / "results" / "runs" / "quickstart" / "report"
    assert {path.name for path in report.iterdir()} >= {"report.md", "report.tex", "table.csv", "pareto_macs.png"}
    assert "DNAL" in (report / "report.md").read_text()


def test_the_same_command_again_does_nothing_and_says_so(
    ran: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = ran
    done = harness("run", "quickstart", *SMALL, folder=folder)
    assert done.returncode == 0
    assert "nothing to do" in done.stdout


def test_ray_leaves_nothing_in_the_results_folder(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = ran
    names = {path.name for path in (folder / "results" / "runs" / "quickstart").iterdir()}
    assert names <= {"ledger", "leases", "artifacts", "checkpoints", "report"}


def test_a_run_in_one_process_ends_without_a_complaint_of_its_libraries(tmp_path: Path) -> None:
    done = harness("run", "quickstart", *SMALL, "--only", "*/dense/*", "--executor", "inline", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "leak" not in done.stderr
