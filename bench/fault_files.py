"""Faults of files: full and read-only disks, bits flipped and ends cut off, a ledger of a newer version."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.fault_kinds import Fault, Tally, World
from harness.store.ledger import Ledger
from tests.faults.processes import drive, kill, left, numbers, said_by, start, unbroken_run, until, write_suite
from tests.faults.small_disk import run_on_growing_disks


def file_faults(world: World) -> list[Fault]:
    """Each fault of this room."""

    def full_and_read_only_disks() -> Tally:
        sizes = [24, 120] if world.quick else [24, 40, 60, 90, 120, 250, 330, 350, 380]
        folder = world.folder / "disks"
        ended = left(start(run_on_growing_disks, world.unbroken.suite, folder, sizes)) == 0
        found: dict[str, Any] = (
            json.loads((folder / "told.json").read_text()) if ended else {"told": [""], "mounted": False}
        )
        *stopped, last = found["told"]
        lines = [line for line in stopped if line]
        sound = ended and not last and world.whole(folder / "results")
        survived = sum(line.startswith("cannot write") and "\n" not in line for line in lines) if sound else 0
        note = "tmpfs of a few KiB" if found["mounted"] else "substitute: a limit on the size of files"
        return Tally("a full or read-only disk", len(lines), survived, "the stage in progress", note)

    def damaged_artifact() -> Tally:
        survived = injected = 0
        for harm in (flip, cut_off):
            for _ in range(world.count(2)):
                results = copied(f"artifact-{injected}")
                path = world.moments.choice(sorted((results / "artifacts").rglob("network.safetensors")))
                harm(path)
                forget_all_but(path.parent.name, results)
                injected += 1
                named = left(start(drive, world.unbroken.suite, results)) == 0 and any(
                    event.event == "lost" and str(path) in event.payload["reason"]
                    for event in Ledger(results).refresh()
                )
                survived += named and world.same_numbers(results)
        return Tally("a damaged artifact", injected, survived, "its stage", "named in the ledger, made again")

    def damaged_checkpoint() -> Tally:
        survived = injected = 0
        reference = unbroken_run(write_suite(world.folder / "long", dense=250))
        suite = reference.suite
        for harm in (flip, cut_off):
            results = world.folder / f"checkpoint-{injected}"
            driver = start(drive, suite, results)
            until(lambda results=results: list((results / "checkpoints").glob("*/*.safetensors")))
            time.sleep(world.moments.uniform(0, 0.3))
            kill(driver.pid)
            driver.join()
            [path] = (results / "checkpoints").glob("*/epoch.safetensors")
            harm(path)
            injected += 1
            ended = left(start(drive, suite, results)) == 0 and numbers(suite, results) == reference.numbers
            survived += ended and f"{path} is damaged" in said_by(results).read_text()
        return Tally("a damaged checkpoint", injected, survived, "its stage", "named; the stage begins again")

    def damaged_or_newer_ledger() -> Tally:
        survived = injected = 0
        for number, harm in enumerate((flip_row, cut_off, make_newer)):
            results = copied(f"ledger-{number}")
            [path] = sorted((results / "ledger").glob("*.sqlite"))
            harm(path)
            injected += 1
            refused = left(start(drive, world.unbroken.suite, results)) != 0
            said = said_by(results).read_text().splitlines()[-1]
            path.rename(path.with_name(f"{path.name}.damaged"))
            finished = left(start(drive, world.unbroken.suite, results)) == 0 and world.same_numbers(results)
            survived += refused and str(path) in said and finished
        return Tally("a damaged or newer ledger", injected, survived, "what only it knew", "refused by name")

    def copied(name: str) -> Path:
        """A copy of the unbroken run's results."""
        return Path(shutil.copytree(world.unbroken.suite.parent / "unbroken", world.folder / name))

    return [full_and_read_only_disks, damaged_artifact, damaged_checkpoint, damaged_or_newer_ledger]


def flip(path: Path) -> None:
    """Flips a bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_off(path: Path) -> None:
    """Cuts off the last third of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def flip_row(path: Path) -> None:
    """Changes a figure in a row of a ledger."""
    _execute(path, "UPDATE events SET payload = replace(payload, '1', '2') WHERE id = 2")


def make_newer(path: Path) -> None:
    """A ledger as a later version of the harness might write it."""
    _execute(path, "UPDATE meta SET value = '99' WHERE name = 'schema'")


def forget_all_but(key: str, results: Path) -> None:
    """Makes all stages that rest on an artifact open again, so that it is read."""
    ledger = Ledger(results)
    for other in ledger.keys():  # noqa: SIM118 - a ledger is no mapping
        if other != key and ledger.state(other) == "done":
            ledger.append("lost", other, "", {"reason": "injected"})
            shutil.rmtree(results / "artifacts" / other[:2] / other, ignore_errors=True)
    ledger.close()


def _execute(path: Path, words: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(words)
        database.commit()


Harm = Callable[[Path], None]
