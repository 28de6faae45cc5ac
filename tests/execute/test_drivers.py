"""Two drivers on one results folder share the work."""

from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

from harness.execute import job
from harness.store.grid import look
from harness.store.ledger import Ledger
from harness.suite.cell import Cell
from tests.execute.small import events, slow_fake_stage, small, work


def grid() -> list[Cell]:
    cells = []
    for seed in range(3):
        partner = small("dnal", seed=seed, params={"lambda_a": 2e-4}, shown=("lambda_a",))
        cells += [small("dense", seed=seed), partner, small("l1_norm", seed=seed, match=partner)]
        cells += [small("uniform", seed=seed, budget=0.5)]
    return cells


def drive(results: Path, together: Barrier) -> None:
    """What one driver's process does."""
    job.run_stage = slow_fake_stage
    together.wait(timeout=600)
    assert work(grid(), results).count("done") == len(grid())


def test_two_drivers_at_once_run_no_stage_twice(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("spawn")
    together = processes.Barrier(2)
    drivers = [processes.Process(target=drive, args=(tmp_path, together)) for _ in range(2)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join(timeout=600)
    assert [driver.exitcode for driver in drivers] == [0, 0]
    found = look(grid(), tmp_path, Ledger(tmp_path))
    stages = {stage.key for chain in found.chains for stage in chain.stages}
    assert events(tmp_path, "started") == dict.fromkeys(stages, 1)
    assert events(tmp_path, "done") == dict.fromkeys(stages, 1)
    workers = {event.payload["pid"] for event in Ledger(tmp_path).refresh() if event.event == "started"}
    assert len(workers) == 2, "one of the drivers did nothing, so nothing was shown"
