"""Runs the benchmarks and prints one table of ratios.

    python -m bench [--quick] [--only NAME]...

From the repository's root. Each benchmark is a module of this package with `measure(quick) -> list[Line]` and runs in
a fresh process, so that none warms anything for another. What fails or is not there is a line of the table too.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench.lines import THREADS, Line, markdown

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("step", "finetune", "loader", "cell", "overhead", "sweep", "packing", "scale", "memory", "roofline")
LONG = ("fuzz", "growth")
"""Run only where `--only` names them."""

NOTHING = float("nan")


def absent(name: str, why: str) -> Line:
    """The line of a benchmark that gave none."""
    return Line(name, "–", "–", NOTHING, "–", why)


def found(name: str) -> Callable[[bool], list[Line]] | None:
    """A benchmark's `measure`, or None where it is not there (yet)."""
    if importlib.util.find_spec(f"bench.{name}") is None:
        return None
    measure = getattr(importlib.import_module(f"bench.{name}"), "measure", None)
    return measure if callable(measure) else None


def run_here(name: str, quick: bool, into: Path) -> None:
    """Runs one benchmark in this process and writes its lines, as JSON."""
    measure = found(name)
    lines = [absent(name, "not there")] if measure is None else measure(quick)
    into.write_text(json.dumps([asdict(line) for line in lines]))


def run_apart(name: str, quick: bool) -> list[Line]:
    """Runs one benchmark in a fresh process; its last word is the note where it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "MKL_NUM_THREADS": str(THREADS)}
    with tempfile.TemporaryDirectory() as temporary:
        into = Path(temporary) / "lines.json"
        command = [sys.executable, "-m", "bench", "--one", name, str(into), *(["--quick"] if quick else [])]
        done = subprocess.run(
            command, check=False, cwd=ROOT, env=environment, stdout=sys.stderr, stderr=subprocess.PIPE, text=True
        )
        sys.stderr.write(done.stderr)
        if done.returncode != 0 or not into.exists():
            last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            return [absent(name, f"failed: {last}")]
        return [Line(**values) for values in json.loads(into.read_text())]


def the_machine() -> str:
    """One line on what everything was measured on."""
    import torch

    from harness.measure.environment import commit, processor

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    sha, dirty = commit()
    words = [processor(), f"{cores} cores", f"{THREADS} threads", f"torch {torch.__version__}"]
    words += [torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"]
    words += [f"commit {sha[:12]}{' with changes' if dirty else ''}"] if sha else []
    return ", ".join(words)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the machine and the table."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Run the benchmarks, print a table of ratios.")
    parser.add_argument("--quick", action="store_true", help="seconds each, to see that they work; not to be quoted")
    parser.add_argument("--only", action="append", choices=[*NAMES, *LONG], metavar="NAME", help=f"{NAMES + LONG}")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "INTO"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        run_here(options.one[0], options.quick, Path(options.one[1]))
        return
    print("# Benchmarks\n")
    print(f"What `python -m bench{' --quick' if options.quick else ''}` printed on {the_machine()},")
    print(f"on {datetime.now(UTC):%Y-%m-%d}. How to read it: [performance](../../docs/performance.md).\n")
    lines = []
    for name in options.only or NAMES:
        began = time.perf_counter()
        lines += run_apart(name, options.quick)
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    print(markdown(lines), end="")


if __name__ == "__main__":
    main()
