"""A disk that is full or may not be written to stops a run with one line and costs nothing."""

from __future__ import annotations

import json
from pathlib import Path

from harness.store.ledger import Ledger
from tests.faults.processes import (
    done_twice,
    left,
    numbers,
    start,
    started_after_done,
    unbroken_run,
    write_suite,
)
from tests.faults.small_disk import run_on_growing_disks

SIZES = [24, 60, 120, 350]
"""KiB: from too little for a ledger to too little for the last artifacts."""


def test_disks_that_fill_up_and_a_read_only_one_stop_a_run_with_one_line_and_lose_nothing(tmp_path: Path) -> None:
    unbroken = unbroken_run(write_suite(tmp_path))
    assert left(start(run_on_growing_disks, unbroken.suite, tmp_path / "small", SIZES)) == 0
    found = json.loads((tmp_path / "small" / "told.json").read_text())
    *stopped, last = found["told"]
    assert last == ""
    assert len([line for line in stopped if line]) >= 3, found
    for line in filter(None, stopped):
        assert line.startswith("cannot write"), line
        assert "\n" not in line, line
        assert any(cause in line for cause in ("No space left", "too large", "full", "Read-only", "readonly")), line
    results = tmp_path / "small" / "results"
    assert numbers(unbroken.suite, results) == unbroken.numbers
    assert started_after_done(results) == done_twice(results) == []
    assert [event for event in Ledger(results).refresh() if event.event == "failed"] == []
