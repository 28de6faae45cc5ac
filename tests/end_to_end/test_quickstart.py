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


def test_a_worker_that_is_used_again_gives_the_bits_of_a_fresh_process(tmp_path: Path) -> None:
    from tests.faults.processes import numbers

    suite = tmp_path / "reuse.yaml"
    suite.write_text(
        "suite: reuse\ndataset: digits\nbackbones: [vgg_digits]\nseeds: [0]\nresources: {cpu: 2}\n"
        "recipe: {use: short_digits, epochs: {dense: 2, search: 2, finetune: 2, baseline: 4}}\n"
        "methods:\n  - dense\n  - {each: [l1_norm, random, uniform], budget: {macs: 0.5}}\n"
    )
    for executor in ("tune", "inline"):
        done = harness("run", str(suite), "--results", executor, "--executor", executor, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    assert numbers(suite, tmp_path / "tune") == numbers(suite, tmp_path / "inline")
