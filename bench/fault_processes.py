"""Faults of processes without Ray: kills, signals, time budgets, clocks, several drivers."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from bench.fault_kinds import Fault, Tally, World
from tests.faults.command import command
from tests.faults.processes import (
    drive,
    drive_a_day_ahead,
    epochs_redone,
    kill,
    left,
    start,
    until,
    working,
)


def process_faults(world: World) -> list[Fault]:
    """Each fault of this room."""
    unbroken = world.unbroken

    def kill_of_the_driver() -> Tally:
        wanted, killed, survived, most, rounds = world.count(20), 0, 0, 0, 0
        while killed < wanted:
            results, here = world.folder / f"kills-{rounds}", 0
            rounds += 1
            while True:
                driver = start(drive, unbroken.suite, results)
                driver.join(world.moments.uniform(0.05, 0.9) * unbroken.seconds if killed < wanted else None)
                if not driver.is_alive():
                    break
                kill(driver.pid)
                driver.join()
                killed, here = killed + 1, here + 1
            again = epochs_redone(results)
            survived += here if world.whole(results) and again <= here else 0
            most = max(most, again)
        lost = f"{most} epochs by all kills of a run" if most != 1 else "1 epoch"
        return Tally("kill -9 of the driver, without Ray", killed, survived, lost, "every epoch saved")

    def kill_of_one_of_three_drivers() -> Tally:
        killed, survived, redone = 0, 0, 0
        for number in range(world.count(3)):
            results = world.folder / f"drivers-{number}"
            drivers = [start(drive, unbroken.suite, results) for _ in range(3)]
            [first, *_] = until(lambda results=results: working(results))
            time.sleep(world.moments.uniform(0, unbroken.seconds / 4))
            kill(first)
            statuses = sorted(left(driver) or 0 for driver in drivers)
            killed += statuses[0] == -9
            survived += statuses == [-9, 0, 0] and world.whole(results)
            redone = max(redone, epochs_redone(results))
        return Tally("kill -9 of one of three drivers", killed, survived, f"{redone} epochs", "one results folder")

    def signal_or_time_budget() -> Tally:
        survived, longest, wanted = 0, 0.0, 3
        for number, ends in enumerate((signal.SIGINT, signal.SIGTERM, None)):
            results, said = world.folder / f"signal-{number}", world.folder / f"signal-{number}.txt"
            budget = () if ends is not None else ("--time-budget", "2s")
            words = ("run", str(unbroken.suite), "--executor", "inline", "--results", str(results), *LONG, *budget)
            began = time.monotonic() + (0 if ends is not None else 2)
            driver = start(command, said, 8.0, world.plugins, *words)
            if ends is not None:
                until(lambda results=results: working(results))
                began = time.monotonic()
                kill(driver.pid, ends)
            status = left(driver)
            longest = max(longest, time.monotonic() - began)
            told = "the same command goes on from here" in said.read_text()
            finished = left(start(drive, unbroken.suite, results)) == 0 and world.whole(results)
            survived += status == (3 if ends is None else 130) and told and finished
        return Tally(
            "SIGINT, SIGTERM, time budget", wanted, survived, "what was not saved", f"≤ {longest:.1f} s to end"
        )

    def clock_set_back_by_a_day() -> Tally:
        survived, wanted = 0, world.count(2)
        for number in range(wanted):
            results = world.folder / f"clock-{number}"
            ahead = start(drive_a_day_ahead, unbroken.suite, results)
            until(lambda results=results: working(results))
            time.sleep(world.moments.uniform(0, unbroken.seconds / 2))
            kill(ahead.pid)
            ahead.join()
            set_ahead(results)
            survived += left(start(drive, unbroken.suite, results)) == 0 and world.whole(results)
        return Tally(
            "clock set back by a day, after a kill", wanted, survived, "1 epoch", "events and files of tomorrow"
        )

    return [kill_of_the_driver, kill_of_one_of_three_drivers, signal_or_time_budget, clock_set_back_by_a_day]


LONG = ("--set", "recipe.epochs.dense=3000", "--set", "recipe.epochs.baseline=3001", "--checkpoint-every", "0")
"""Makes a run of stages that no other run has, long enough to be interrupted."""


def set_ahead(results: Path) -> None:
    """All files are as if written tomorrow."""
    for path in results.rglob("*"):
        os.utime(path, (time.time() + 86400, time.time() + 86400))
