"""Too little memory is tried again: first alone, then with smaller micro-batches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.execute import job, ray_worker
from harness.execute.board import Board
from harness.execute.job import Report
from harness.execute.place import Place
from harness.execute.stages import Outcome, run_stage
from harness.store.ledger import Ledger
from tests.execute.small import fake_stage, small, starts, work
from tests.execute.test_board import do
from tests.faults.faulty import install
from tests.faults.processes import drive, drive_in_little_space, left, reasons, start, write_methods


def test_a_method_that_wants_too_much_memory_fails_its_own_cell_alone(tmp_path: Path) -> None:
    suite, results, plugins = write_methods(tmp_path, "greedy", "l1_norm"), tmp_path / "results", install(tmp_path)
    assert left(start(drive_in_little_space, suite, results, plugins)) == 0
    found = reasons(suite, results, plugins)
    assert found["greedy"].startswith("out of memory: ")
    assert found["l1_norm"] == "done"


def test_a_loss_that_is_no_number_is_a_row_that_says_so(tmp_path: Path) -> None:
    suite, results, plugins = write_methods(tmp_path, "l1_norm"), tmp_path / "results", install(tmp_path)
    suite.write_text(suite.read_text() + "  - diverging\n")
    assert left(start(drive, suite, results, "inline", None, plugins)) == 0
    found = reasons(suite, results, plugins)
    assert found["diverging"].startswith("diverged: the loss is nan in epoch")
    assert found["l1_norm"] == "done"


def test_a_worker_that_grows_with_every_job_is_told_from_one_that_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    held = 10**9
    monkeypatch.setattr(ray_worker, "resident_bytes", lambda: held)
    growth = ray_worker.Growth()
    assert not growth.exceeds(100), "what the first job takes, imports and images, stays"
    held += 100
    assert not growth.exceeds(100)
    held += 1
    assert growth.exceeds(100)


def test_what_a_process_holds_is_measured() -> None:
    before = ray_worker.resident_bytes()
    taken = bytearray(b"x" * 2**26)
    assert ray_worker.resident_bytes() - before > 0.9 * len(taken)


class FullDevice:
    """Simulates a GPU: `torch.cuda.OutOfMemoryError` where a stage asks for more images at once than fit."""

    def __init__(self, fits: int, kind: str = "dense", times: int = 10**6) -> None:
        self.fits, self.kind, self.times = fits, kind, times
        self.asked: list[int] = []

    def __call__(
        self, place: Place, kind: str, key: str, config: Mapping[str, Any], parents: tuple[str, ...]
    ) -> Outcome:
        if kind == self.kind:
            images = config["batch"] // config.get("accumulate", 1)
            self.asked.append(images)
            if images > self.fits and len(self.asked) <= self.times:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB (simulated)")
        return self.work(place, kind, key, config, parents)

    work = staticmethod(fake_stage)


def test_a_stage_that_found_too_little_memory_is_tried_again_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = FullDevice(fits=1, times=1)
    monkeypatch.setattr(job, "run_stage", device)
    grid = work([small("l1_norm", budget=0.5)], tmp_path)
    assert grid.count("done") == 1
    assert device.asked == [64, 64]


def test_it_waits_until_nothing_else_runs_and_then_nothing_else_is_handed_out(tmp_path: Path) -> None:
    crowded, *others = [small("l1_norm", budget=0.5), small("dense", seed=1), small("dense", seed=2)]
    ledger = Ledger(tmp_path)
    board = Board([crowded, *others], ledger, tmp_path)
    jobs = {job.cell: job for job in (board.next(), board.next(), board.next()) if job is not None}
    assert not any(job.alone for job in jobs.values())
    board.finished(Report(crowded.label, "crowded"))
    for other in others:
        assert board.next() is None, "others run"
        assert not board.complete
        board.finished(do(ledger, jobs[other.label]))
    again = board.next()
    assert again is not None
    assert (again.cell, again.alone, again.stages) == (crowded.label, True, jobs[crowded.label].stages)


def test_nothing_runs_beside_a_job_that_must_be_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    board = Board([small("l1_norm", budget=0.5), small("random", budget=0.5)], ledger, tmp_path)
    for _ in range(2):
        job = board.next()
        assert job is not None
        assert not job.alone, "what has not been tried yet comes first"
        board.finished(Report(job.cell, "crowded"))
    first = board.next()
    assert first is not None
    assert first.alone
    ledger.append("done", first.stages[0].key, "dense", {"macs": 1000})
    assert board.next() is None, "the other cell, which now has its dense stage, waits"
    board.finished(do(ledger, first))
    second = board.next()
    assert second is not None
    assert second.alone
    assert second.cell != first.cell


def test_a_stage_that_does_not_fit_alone_takes_smaller_micro_batches_and_its_row_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = FullDevice(fits=16)
    device.work = run_stage  # type: ignore[method-assign]
    monkeypatch.setattr(job, "run_stage", device)
    wanted = small("l1_norm", budget=0.5)
    grid = work([wanted], tmp_path)
    assert device.asked == [64, 64, 32, 16]
    facts = Ledger(tmp_path).result(grid.chains[0].stages[0].key) or {}
    assert facts["micro_batch"] == 16
    assert facts["notes"] == [
        "dense in micro-batches of 16 images for want of memory: batch norm saw so many at a time"
    ]
    assert starts(tmp_path)[grid.chains[0].stages[0].key] == 2
    assert list((tmp_path / "checkpoints").glob("*")) == []
