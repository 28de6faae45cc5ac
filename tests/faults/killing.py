"""Runs a small suite as a user would, kills the whole process tree at a given moment, runs it again, compares.

Also a program: `python -m tests.faults.killing --kills 20 --executor inline` prints the table of all kills.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness.store.grid import look, rows_of
from harness.store.ledger import Ledger
from harness.suite.load import load_suite
from harness.train.checkpoint import Checkpoint

SUITE = """\
suite: kills
dataset: digits
backbones: [vgg_digits]
seeds: [0]
recipe: {use: short_digits, epochs: {dense: 6, search: 5, finetune: 6, baseline: 12}}
methods:
  - dnal: {lambda_a: 2e-4}
  - l1_norm: {budget: {match: dnal}}
"""


STAGES = 7
"""Of the suite: a dense stage, and three of each cell."""


@dataclass(frozen=True)
class Kill:
    """One kill and what came of it.

    Attributes:
        seconds: after the start of the run.
        finished: stages that were done when the kill came.
        running: kind and epoch (saved / reached) of the stages in progress.
        started_again: finished stages that the second run started again; must be empty.
        equal: whether all numbers are those of the unbroken run, to the last bit.
    """

    seconds: float
    finished: int
    running: str
    started_again: tuple[str, ...]
    equal: bool


def numbers(suite: Path, results: Path) -> list[object]:
    """All figures of a finished grid but times: accuracies, costs, widths, every epoch's loss, per-image hits."""
    from harness.store.artifacts import read_artifact

    ledger = Ledger(results)
    rows = rows_of(look(list(load_suite(str(suite)).cells), results, ledger), ledger)
    assert all(row.state == "done" for row in rows), [row.reason for row in rows]
    figures: list[object] = []
    for row in rows:
        hits = read_artifact(results, row.key, "hits.safetensors")
        figures += [
            row.top1,
            row.top5,
            row.macs,
            row.params,
            row.widths,
            row.curve,
            row.training_macs,
            row.epochs,
            hits,
        ]
    return figures


def command(suite: Path, results: Path, executor: str) -> list[str]:
    """The command line of a run that saves every epoch."""
    words = [sys.executable, "-m", "harness", "run", str(suite), "--results", str(results)]
    return [*words, "--executor", executor, "--checkpoint-every", "0"]


def run(suite: Path, results: Path, executor: str) -> float:
    """Runs the suite to its end; seconds."""
    started = time.monotonic()
    done = subprocess.run(command(suite, results, executor), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - started


def kill(suite: Path, results: Path, executor: str, seconds: float, expected: list[object]) -> Kill:
    """Starts a run, kills its process group (and Ray's processes) after `seconds`, runs it again and compares."""
    process = subprocess.Popen(
        command(suite, results, executor),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(seconds)
    family = _descendants(process.pid)
    for member in [process.pid, *family]:
        _kill(member)
    process.wait()
    before = Ledger(results)
    finished = {key for key in before.keys() if before.state(key) == "done"}  # noqa: SIM118 - a ledger is no mapping
    running = _running(results, before)
    events_before = _starts(results)
    run(suite, results, executor)
    events_after = _starts(results)
    again = tuple(key for key in finished if events_after.get(key, 0) > events_before.get(key, 0))
    return Kill(seconds, len(finished), running, again, numbers(suite, results) == expected)


def _running(results: Path, ledger: Ledger) -> str:
    """What was in progress: `finetune 3/4` has three epochs saved and was in the fourth."""
    described = []
    for folder in sorted((results / "checkpoints").glob("*")):
        if ledger.state(folder.name) == "done":
            continue
        saved = [Checkpoint(path).load() for path in sorted(folder.glob("*.safetensors"))]
        epochs = sum(int(facts["epochs"]) for loaded in saved if loaded is not None for facts in [loaded[1]])
        stage = next((facts["curve"][-1]["stage"] for entry in saved if entry for facts in [entry[1]]), "?")
        described.append(f"{stage}, {epochs} epochs saved")
    if described:
        return "; ".join(described)
    return "the report" if sum(ledger.state(key) == "done" for key in ledger.keys()) == STAGES else "no epoch saved yet"  # noqa: SIM118


def _starts(results: Path) -> dict[str, int]:
    """How often each stage was started, over all writers."""
    counts: dict[str, int] = {}
    for event in Ledger(results).refresh():
        if event.event == "started":
            counts[event.key] = counts.get(event.key, 0) + 1
    return counts


def _descendants(root: int) -> list[int]:
    """All processes below `root`, also those that left its session, as Ray's do."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError, ValueError):
                continue
    found, waiting = [], [root]
    while waiting:
        parent = waiting.pop()
        children = [child for child, its_parent in parents.items() if its_parent == parent]
        found += children
        waiting += children
    return found


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--executor", choices=("inline", "tune"), default="inline")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        suite = folder / "kills.yaml"
        suite.write_text(SUITE)
        whole = run(suite, folder / "unbroken", options.executor)
        expected = numbers(suite, folder / "unbroken")
        moments = random.Random(options.seed)
        print(f"Unbroken run: {whole:.1f} s, executor {options.executor}.\n")
        print("| # | killed after (s) | stages done | in progress | finished stages redone | numbers equal |")
        print("|---|---|---|---|---|---|")
        for number in range(options.kills):
            # the first third is imports and the last the report, where there is little to lose
            seconds = moments.uniform(0.3 * whole, 0.75 * whole)
            result = kill(suite, folder / f"kill-{number}", options.executor, seconds, expected)
            redone, equal = len(result.started_again), "yes" if result.equal else "NO"
            row = (number + 1, f"{seconds:.1f}", result.finished, result.running, redone, equal)
            print("| " + " | ".join(str(value) for value in row) + " |", flush=True)


if __name__ == "__main__":
    main()
