"""How time and memory grow with the size of what is asked: planned cells, stored events, reported rows, cells run.

    python -m bench.growth [--quick] [--into results/measured]

Writes `growth.md` and `growth.png`. Each command is a process of its own; its memory is the most that it ever had. The
ledger is written event by event, as by a run, with what a real stage told. Cells run through Ray are those of
`bench.overhead` that have nothing to do.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import overhead, scale
from bench.lines import Line

ROOT = Path(__file__).resolve().parents[1]
READ = """\
import sys
from pathlib import Path
from harness.store.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
ledger.refresh()
assert all(ledger.state(key) == "done" for key in ledger.keys())
"""


@dataclass
class Growth:
    """One thing at growing sizes.

    Attributes:
        what: in words.
        unit: of the sizes.
        seconds: {size: wall clock of the whole process, or of the act}.
        megabytes: {size: peak of the process's memory}; empty where it is not known.
    """

    what: str
    unit: str
    seconds: dict[int, float] = field(default_factory=dict)
    megabytes: dict[int, float] = field(default_factory=dict)

    @property
    def exponent(self) -> float:
        """By which power of the size the time grows between the two largest: 1 is linear."""
        import math

        (small, fast), (large, slow) = sorted(self.seconds.items())[-2:]
        return math.log(slow / fast) / math.log(large / small)


def timed(words: list[str], folder: Path) -> tuple[float, float]:
    """Seconds and peak megabytes of a Python process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise RuntimeError(said.decode()[-500:])
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def planned(sizes: list[int], folder: Path) -> Growth:
    """`plan` of so many cells, nothing of which is done."""
    growth = Growth("`plan` of a suite", "cells")
    for size in sizes:
        (folder / "planned.yaml").write_text(scale.planned_suite(size))
        timed(["-m", "harness", "plan", "planned.yaml", "--json"], folder)
        growth.seconds[size], growth.megabytes[size] = timed(
            ["-m", "harness", "plan", "planned.yaml", "--json"], folder
        )
    return growth


def stored(sizes: list[int], folder: Path) -> tuple[Growth, Growth, Growth]:
    """Writing, reading and planning on a ledger of so many finished stages."""
    from harness.store.ledger import Ledger

    spent = folder / "example"
    overhead.run("no-op", 2, spent)
    examples = [event for event in Ledger(spent / "results").refresh() if event.event == "done"]
    written = Growth("appending events to a ledger, each on the disk before the next", "events")
    read = Growth("reading and checking a ledger", "events")
    plan = Growth("`plan` of 1,000 cells beside so many stored results", "events")
    results = folder / "results"
    results.mkdir()
    ledger, count, seconds = Ledger(results), 0, 0.0
    for size in sizes:
        began = time.perf_counter()
        for number in range(count, size):
            example = examples[number % len(examples)]
            ledger.append("done", hashlib.sha256(str(number).encode()).hexdigest(), example.kind, example.payload)
        seconds, count = seconds + time.perf_counter() - began, size
        written.seconds[size] = seconds
        read.seconds[size], read.megabytes[size] = timed(["-c", READ, str(results)], folder)
        (folder / "beside.yaml").write_text(scale.planned_suite(1000))
        words = ["-m", "harness", "plan", "beside.yaml", "--json", "--results", str(results)]
        plan.seconds[size], plan.megabytes[size] = timed(words, folder)
    return written, read, plan


def reported(sizes: list[int], folder: Path) -> Growth:
    """A report's texts of so many rows."""
    growth = Growth("`report` without pictures", "rows")
    for size in sizes:
        here, rows = scale.recorded_folder(size, folder)
        words = ["-m", "harness", "report", "--recorded", str(here), "--into", str(here / "made")]
        found = timed([*words, "--format", "md,latex,csv"], folder)
        growth.seconds[rows], growth.megabytes[rows] = found
    return growth


def run_through_ray(sizes: list[int], folder: Path) -> Growth:
    """Cells with nothing to do, through Ray Tune: from the first stage's start to the last one's end."""
    growth = Growth("cells with nothing to do, through Ray Tune", "cells")
    for size in sizes:
        growth.seconds[size] = overhead.run("no-op", size, folder / f"ray-{size}").wall
    return growth


def grown(quick: bool) -> list[Growth]:
    """Everything that is measured here."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        return [
            planned([100, 1000] if quick else [100, 1000, 10_000], folder),
            *stored([100, 1000] if quick else [1000, 10_000, 100_000], folder),
            reported([100, 500] if quick else [100, 1000, 10_000], folder),
            run_through_ray([4, 8] if quick else [30, 100, 1000], folder),
        ]


def measure(quick: bool) -> list[Line]:
    """One line each: the time of the largest, and by which power it grows."""
    lines = []
    for growth in grown(quick):
        size, took = max(growth.seconds.items())
        what = f"{growth.what}: {size:,} {growth.unit}"
        lines.append(
            Line(what, f"{took:.2f} s", "–", growth.exponent, "at most linear (1)", "ratio: power of the size")
        )
    return lines


def page(growths: list[Growth]) -> str:
    """The table, in Markdown."""
    lines = ["| what | size | seconds | ms each | peak memory (MB) |", "|---|---:|---:|---:|---:|"]
    for growth in growths:
        for size, seconds in growth.seconds.items():
            memory = f"{growth.megabytes[size]:,.0f}" if size in growth.megabytes else "–"
            each = f"{1000 * seconds / size:.2f}"
            lines.append(f"| {growth.what} | {size:,} {growth.unit} | {seconds:.2f} | {each} | {memory} |")
    return "\n".join(lines)


def picture(growths: list[Growth], place: Path) -> None:
    """Time and memory over size, both logarithmic, with lines of slope one to compare with."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    axes = figure.subplots(1, 2)
    looks = ("o-", "s-", "^-", "D-", "v-", "P-")
    for growth, look in zip(growths, looks, strict=True):
        name = growth.what.replace("`", "").split(", ")[0]
        axes[0].plot(list(growth.seconds), list(growth.seconds.values()), look, label=name, markersize=4)
        if growth.megabytes:
            axes[1].plot(list(growth.megabytes), list(growth.megabytes.values()), look, markersize=4)
        else:
            axes[1].plot([], [])  # keeps the colours of both sides the same
    for axis, what in zip(axes, ("seconds", "peak memory (MB)"), strict=True):
        axis.set(xscale="log", yscale="log", xlabel="cells, events or rows", ylabel=what)
        axis.grid(alpha=0.3)
        low, high = axis.get_ylim()
        for start in (1e-4, 1e-3, 1e-2, 1e-1, 1):
            axis.plot([10, 1e6], [10 * start, 1e6 * start], ":", color="0.7", linewidth=0.8, zorder=0)
        axis.set(xlim=(20, 2e5), ylim=(low, high))
    axes[0].set_title("dotted: linear", fontsize=8, loc="right", color="0.5")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.savefig(place, dpi=150)


def main() -> None:
    """Writes both files."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description="Measure how time and memory grow.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--into", type=Path, default=ROOT / "results" / "measured")
    options = parser.parse_args()
    growths = grown(options.quick)
    told = (
        "# How time and memory grow\n\nWhat `python -m bench.growth` measured on "
        f"{len(os.sched_getaffinity(0))} cores; whole processes, wall clock.\n\n"
        "![time and memory over size](growth.png)\n\n"
    )
    (options.into / "growth.md").write_text(f"{told}{page(growths)}\n")
    picture(growths, options.into / "growth.png")


if __name__ == "__main__":
    main()
