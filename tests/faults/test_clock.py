"""A clock that is set back between two runs, or while one waits, costs nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.faults.processes import (
    DAY,
    done_twice,
    drive,
    drive_a_day_ahead,
    epochs_redone,
    kill,
    left,
    numbers,
    start,
    started_after_done,
    unbroken_run,
    until,
    working,
    write_suite,
)


def test_a_run_goes_on_after_its_machines_clock_was_set_back_by_a_day(tmp_path: Path) -> None:
    unbroken = unbroken_run(write_suite(tmp_path, dense=60))
    results = tmp_path / "results"
    ahead = start(drive_a_day_ahead, unbroken.suite, results)
    until(lambda: working(results) and list((results / "checkpoints").glob("*/*.safetensors")))
    kill(ahead.pid)
    ahead.join()
    for path in results.rglob("*"):
        os.utime(path, (time.time() + DAY, time.time() + DAY))
    assert left(start(drive, unbroken.suite, results)) == 0
    assert numbers(unbroken.suite, results) == unbroken.numbers
    assert started_after_done(results) == done_twice(results) == []
    assert epochs_redone(results) <= 1
