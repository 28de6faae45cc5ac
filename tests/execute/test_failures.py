"""A cell that fails is a row with its reason; the others go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.execute import place
from harness.execute.board import Board
from harness.execute.inline import run_inline
from harness.execute.job import Job, run_job
from harness.execute.place import Place
from harness.plan.stages import chain_of
from harness.store.ledger import Ledger
from harness.suite.cell import Cell
from tests.cells import Finished, run
from tests.execute.small import Crashing, small, starts

pytestmark = pytest.mark.usefixtures("made_up_methods")


def deciding(cell: Cell) -> str:
    """The key of the stage in which the method decides."""
    key = chain_of(cell, {}).deciding
    assert key is not None
    return key


@pytest.fixture
def grid() -> list[Cell]:
    crashing = small("crashing", budget=0.5)
    return [crashing, small("l1_norm", match=crashing), small("random", budget=0.5)]


@pytest.fixture
def finished(grid: list[Cell], tmp_path: Path) -> Finished:
    return run(grid, tmp_path)


def test_a_method_that_raises_is_a_failed_row_and_the_others_finish(finished: Finished) -> None:
    crashed, matching, other = finished.rows
    assert (crashed.state, crashed.reason) == ("failed", "crashed: ValueError: the author slipped")
    assert crashed.top1 is None
    assert (matching.state, matching.reason) == ("failed", f"its partner {crashed.cell.label} failed")
    assert other.state == "done"


def test_the_ledger_keeps_the_traceback_and_where_it_happened(finished: Finished) -> None:
    failure = finished.ledger.failure(deciding(finished.rows[0].cell))
    assert failure is not None
    assert "tests/execute/small.py" in failure["traceback"]
    assert "the author slipped" in failure["traceback"]
    assert failure["provenance"]["device"] == "cpu"
    assert failure["cell"] == finished.rows[0].cell.label


def test_a_failed_stage_is_not_tried_again_by_itself(finished: Finished, grid: list[Cell]) -> None:
    before = starts(finished.results)
    again = run(grid, finished.results)
    assert starts(finished.results) == before
    assert [row.state for row in again.rows] == ["failed", "failed", "done"]


def test_a_failed_stage_that_is_forgotten_is_tried_again(
    finished: Finished, grid: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = starts(finished.results)
    key = deciding(grid[0])
    finished.ledger.append("lost", key, "", {"reason": "to be tried again"})
    monkeypatch.setattr(Crashing, "score", lambda self, task: {group.name: group.size * [0.0] for group in task.groups})
    still = run(grid, finished.results)
    assert still.rows[0].reason.startswith("crashed: AttributeError")
    finished.ledger.refresh()
    finished.ledger.append("lost", key, "", {"reason": "to be tried again"})
    import torch

    monkeypatch.setattr(
        Crashing, "score", lambda self, task: {group.name: torch.arange(group.size) for group in task.groups}
    )
    mended = run(grid, finished.results)
    assert [row.state for row in mended.rows] == ["done"] * 3
    assert starts(finished.results)[key] == before[key] + 2
    dense = mended.chains[0].stages[0].key
    assert starts(finished.results)[dense] == before[dense] == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("failing", "invalid network: nothing is left"),
        ("hungry", "out of memory: MemoryError:"),
        ("unsure", "crashed: the method allocates to a budget, and the cell has none"),
    ],
)
def test_the_row_says_what_kind_of_failure_it_was(name: str, reason: str, tmp_path: Path) -> None:
    wanted = small(name, budget=None if name == "unsure" else 0.5)
    [row] = run([wanted], tmp_path).rows
    assert (row.state, row.reason) == ("failed", reason)


def test_torchs_own_words_for_a_full_device_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def score(self: Crashing, task: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB\nand so on")

    monkeypatch.setattr(Crashing, "score", score)
    [row] = run([small("crashing", budget=0.5)], tmp_path).rows
    assert row.reason == "out of memory: RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB"


def test_a_failed_stage_leaves_no_checkpoint_and_no_lease(finished: Finished) -> None:
    assert list((finished.results / "checkpoints").glob("*")) == []
    assert list((finished.results / "leases").glob("*.lease")) == []


def test_what_is_wrong_with_the_machine_halts_the_run_and_fails_no_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str, folder: Path) -> None:
        raise UserError(f"data set {name!r} is absent")

    place._training_loaders.cache_clear()
    monkeypatch.setattr(place, "load_data", absent)
    ledger = Ledger(tmp_path)
    board = Board([small("random", budget=0.5), small("dense")], ledger, tmp_path)
    run_inline(board, Place(tmp_path, tmp_path), ledger)
    assert board.halted == "data set 'digits' is absent"
    assert [ledger.state(key) for key in starts(tmp_path)] == ["waiting"]


def test_a_job_that_another_driver_holds_is_busy(tmp_path: Path) -> None:
    from harness.store.leases import acquire

    stages = chain_of(small("random", budget=0.5), {}).stages
    ledger = Ledger(tmp_path)
    lease = acquire(tmp_path, stages[0].key)
    assert lease is not None
    with lease:
        report = run_job(Job("random", stages), Place(tmp_path, tmp_path), ledger)
    assert (report.status, report.message) == ("busy", "dense of random is run by another driver")
    assert starts(tmp_path) == {}
