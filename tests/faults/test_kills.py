"""kill -9 of a driver at random moments: the same command ends in the numbers of an unbroken run."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from harness.store.ledger import Ledger
from tests.faults.command import command
from tests.faults.faulty import install
from tests.faults.processes import (
    Unbroken,
    alive,
    done_twice,
    drive,
    epochs_redone,
    kill,
    numbers,
    said_by,
    start,
    started_after_done,
    unbroken_run,
    until,
    working,
    write_methods,
    write_suite,
)

KILLS = 14


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    """A suite, its numbers, and how long it takes."""
    return unbroken_run(write_suite(tmp_path_factory.mktemp("unbroken")))


def test_drivers_killed_at_random_moments_lose_an_epoch_each_at_most(unbroken: Unbroken, tmp_path: Path) -> None:
    moments = random.Random(7)
    killed = rounds = 0
    while killed < KILLS:
        results, killed_here = tmp_path / f"round-{rounds}", 0
        rounds += 1
        while True:
            driver = start(drive, unbroken.suite, results)
            driver.join(moments.uniform(0.05, 0.9) * unbroken.seconds if killed < KILLS else None)
            if not driver.is_alive():
                break
            driver.kill()
            driver.join()
            killed, killed_here = killed + 1, killed_here + 1
        assert driver.exitcode == 0, said_by(results).read_text()
        assert numbers(unbroken.suite, results) == unbroken.numbers
        assert started_after_done(results) == done_twice(results) == []
        assert epochs_redone(results) <= killed_here


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_run_cleanly_and_the_same_command_goes_on(
    number: signal.Signals, unbroken: Unbroken, tmp_path: Path
) -> None:
    suite, said, results = write_suite(tmp_path, dense=2000), tmp_path / "said.txt", tmp_path / "results"
    words = ("run", str(suite), "--executor", "inline", "--results", str(results), "--checkpoint-every", "0")
    driver = start(command, said, 600.0, install(tmp_path / "plugins"), *words)
    until(lambda: working(results))
    kill(driver.pid, number)
    driver.join(120)
    assert driver.exitcode == 130
    assert "interrupted; the same command goes on from here" in said.read_text()
    assert "Traceback" not in said.read_text()
    assert list((results / "leases").glob("*.lease")) == []
    # the suite with shorter stages shares nothing with this one but the folder
    driver = start(drive, unbroken.suite, results)
    driver.join(120)
    assert numbers(unbroken.suite, results) == unbroken.numbers


@pytest.mark.parametrize(("stops", "status"), [("SIGTERM", 130), ("budget", 3)])
def test_a_stage_that_does_not_stop_holds_nobody_up(stops: str, status: int, tmp_path: Path) -> None:
    suite, said, results = write_methods(tmp_path, "stubborn"), tmp_path / "said.txt", tmp_path / "results"
    budget = ("--time-budget", "2s") if stops == "budget" else ()
    words = ("run", str(suite), "--executor", "inline", "--results", str(results), *budget)
    driver = start(command, said, 0.5, install(tmp_path / "plugins"), *words)
    until(lambda: _runs(results, "compress") or not driver.is_alive())
    if not budget:
        kill(driver.pid, signal.SIGTERM)
    driver.join(120)
    assert driver.exitcode == status
    assert "the same command goes on from here" in said.read_text()
    assert not alive(driver.pid or 0)


def _runs(results: Path, kind: str) -> bool:
    return any(event.event == "started" and event.kind == kind for event in Ledger(results).refresh())
