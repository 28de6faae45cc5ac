"""What the harness costs beside the training: a hundred cells that have nothing to do, through Ray Tune.

A no-op cell is a real one: a method (`bench/no_op.py`, found as an out-of-tree package's is) that keeps every channel
of the digits' VGG, one epoch of one batch, all stages, all checks, all artifacts. `cut` is the same with `random` at a
hundred budgets, so that each cell also cuts and counts a network of its own. Slot-seconds a cell are the slots times
the wall clock from the first stage's start to the last one's end, divided by the cells: nothing is taken off, the
training (some milliseconds) included. Starting and the final report are paid once a run and are stated apart.

Beside it, what a user would write: a Ray Tune function trial a cell, each in a fresh process that imports torch, and
one Python process a cell, in a row. Theirs train and store nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.lines import Line
from harness.store.ledger import Ledger

ROOT = Path(__file__).resolve().parents[1]
BAR = 0.3
CORES = os.cpu_count() or 1
CPU = max(1, CORES // 2)
"""Cores of a cell, so that two run at once (three where there are three cores)."""
SLOTS = CORES // CPU
METHODS = {
    "no-op": "no_op: {{number: [{numbers}]}}",
    "cut": "random: {{budget: {{macs: [{budgets}]}}}}",
}
SUITE = """\
suite: overhead
dataset: {{name: digits, train_images: 64}}
backbones: [vgg_digits]
seeds: [0]
recipe: {{use: short_digits, epochs: {{dense: 1, search: 1, finetune: 0}}, batch: 64}}
methods:
  - {method}
resources: {{cpu: {cpu}}}
"""
NAIVE = """\
import json, logging, time
import ray
from ray import tune
def trial(config):
    import torch
    torch.zeros(1)
    tune.report({"done": 1})
began = time.perf_counter()
ray.init(address="local", num_cpus=SLOTS, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
up = time.perf_counter()
results = tune.Tuner(
    tune.with_resources(trial, {"cpu": 1}),
    param_space={"number": tune.grid_search(list(range(CELLS)))},
    run_config=tune.RunConfig(verbose=0, storage_path=FOLDER),
).fit()
assert len(results) == CELLS and not results.errors
print(json.dumps({"start": up - began, "wall": time.perf_counter() - up}))
"""


@dataclass(frozen=True)
class Spent:
    """Where the time of one run went, in seconds.

    Attributes:
        cells: how many were run.
        start: from the command to the first stage: imports, planning, Ray, a worker with torch.
        wall: from there to the end of the last stage.
        end: the report and shutting down.
        stages: of all stages, as the ledger has them: building, checking, training; {kind: seconds}.
    """

    cells: int
    start: float
    wall: float
    end: float
    stages: dict[str, float]

    @property
    def slot_seconds(self) -> float:
        """What a slot is busy for a cell, everything included."""
        return SLOTS * self.wall / self.cells


def measure(quick: bool) -> list[Line]:
    """Slot-seconds a cell: two kinds of cells here, two ways to do without the harness."""
    cells, few = (10, 2) if quick else (100, 8)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        ours = {kind: run(kind, cells, folder / kind) for kind in METHODS}
        tuned = naive_tune(few, folder)
        plain = naive_processes(few)
    lines = []
    for kind, spent in ours.items():
        within = ", ".join(f"{stage} {seconds / cells:.3f}" for stage, seconds in spent.stages.items())
        note = (
            f"{cells} cells, {SLOTS} slots; of it seconds in stages: {within}; once a run: {spent.start:.1f} s to the "
            f"first stage, {spent.end:.1f} s for the report and the end"
        )
        mine = f"{spent.slot_seconds:.3f} slot-s a cell"
        bar = f"≤ {BAR} slot-s" if kind == "no-op" else "–"
        lines.append(
            Line(
                f"{kind} cell against a Ray Tune function trial in a fresh process",
                mine,
                f"{tuned:.2f} slot-s",
                tuned / spent.slot_seconds,
                bar,
                note,
            )
        )
        lines.append(
            Line(
                f"{kind} cell against a Python process a cell, in a row",
                mine,
                f"{plain:.2f} s",
                plain / spent.slot_seconds,
                "–",
                "theirs imports torch and ends",
            )
        )
    return lines


def run(kind: str, cells: int, folder: Path) -> Spent:
    """Runs a grid of the kind with the command line, as a user does."""
    folder.mkdir()
    numbers = ", ".join(str(number) for number in range(cells))
    budgets = ", ".join(f"{0.2 + 0.7 * number / cells:.4f}" for number in range(cells))
    method = METHODS[kind].format(numbers=numbers, budgets=budgets)
    suite = folder / "overhead.yaml"
    suite.write_text(SUITE.format(method=method, cpu=CPU))
    words = ["run", str(suite), "--results", str(folder / "results")]
    began = time.time()
    subprocess.run([sys.executable, "-m", "harness", *words], check=True, env=environment(folder), capture_output=True)
    ended = time.time()
    events = Ledger(folder / "results").refresh()
    done = [event for event in events if event.event == "done"]
    finished = {event.key for event in done if event.kind == "measure"}
    assert len(finished) == cells, f"{len(finished)} of {cells} cells are done"
    stages: dict[str, float] = {}
    for event in done:
        stages[event.kind] = stages.get(event.kind, 0.0) + float(event.payload["seconds"])
    first = min(event.time for event in events if event.event == "started")
    last = max(event.time for event in done)
    return Spent(
        cells=cells,
        start=first - began,
        wall=last - first,
        end=ended - last,
        stages=stages,
    )


def environment(folder: Path) -> dict[str, str]:
    """Where the no-op method is installed, as pip would: a folder on the path with an entry point."""
    installed = folder / "installed"
    about = installed / "harness_no_op-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: harness-no-op\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[harness.methods]\nno_op = bench.no_op:NoOp\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(installed))), "OMP_NUM_THREADS": "1"}


def naive_tune(cells: int, folder: Path) -> float:
    """Slot-seconds of a function trial; Ray's start is not counted."""
    text = NAIVE.replace("SLOTS", str(SLOTS)).replace("CELLS", str(cells)).replace("FOLDER", repr(str(folder / "tune")))
    done = subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True)
    spent = json.loads(done.stdout.strip().splitlines()[-1])
    return SLOTS * float(spent["wall"]) / cells


def naive_processes(cells: int) -> float:
    """Seconds of a process that imports torch."""
    began = time.perf_counter()
    for _ in range(cells):
        subprocess.run([sys.executable, "-c", "import torch; torch.zeros(1)"], check=True)
    return (time.perf_counter() - began) / cells


if __name__ == "__main__":
    for line in measure("--quick" in sys.argv):
        print(line)
