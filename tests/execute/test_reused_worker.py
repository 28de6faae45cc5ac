"""A cell ends in the same bits in a fresh process and in one that has run other cells, whatever those left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.store.ledger import Ledger
from tests.execute.reused import bad_company, cells, outcome, run

ALONE = """
import sys
from pathlib import Path
from tests.execute.reused import cells, run
run(cells, Path(sys.argv[1]))
"""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells that behave badly, run in this process."""
    results = tmp_path_factory.mktemp("company")
    run(bad_company, results)
    return results


def test_a_cell_in_a_reused_process_ends_in_the_bits_of_a_fresh_one(company: Path, tmp_path: Path) -> None:
    fresh, reused = tmp_path / "fresh", tmp_path / "reused"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    subprocess.run([sys.executable, "-c", ALONE, str(fresh)], cwd=ROOT, env=environment, check=True)
    run(cells, reused)
    expected, found = outcome(fresh), outcome(reused)
    assert found["figures"] == expected["figures"]
    assert len(found["files"]) == 7, "one dense stage, and three of each cell"
    assert found["files"] == expected["files"]


def test_the_ledger_names_what_a_stage_left_changed(company: Path) -> None:
    done = [event for event in Ledger(company).refresh() if event.event == "done"]
    messy = [event for event in done if event.payload["cell"].split("/")[2].startswith("messy[")]
    put_back = {event.kind: event.payload.get("put_back", []) for event in messy if "compress" in event.kind}
    assert {"default dtype", "gradient mode", "threads", "current folder", "environment"} <= set(put_back["compress"])
    assert all("put_back" not in event.payload for event in done if event not in messy)


def test_bad_company_ends_as_it_should(company: Path) -> None:
    kinds = [(event.event, event.payload["cell"].split("/")[2].split("[")[0]) for event in Ledger(company).refresh()]
    assert {name for kind, name in kinds if kind == "failed"} == {"messy_and_failing", "crashing", "failing"}
