"""Injects faults for real into runs of a digits suite, and prints what came of each kind.

    python -m bench.faults [--quick] [--only WORD]... [--seed N]

From the repository's root. Processes are killed by SIGKILL at random, seeded moments; disks are small file systems;
bits are flipped in files. A fault is survived if the same command, given again where it ended, ends in the numbers of
an unbroken run in one process, to the last bit: accuracies, costs, widths, every epoch's loss, per-image hits. A method
that misbehaves is survived if its cell fails for that reason, and the cell beside it is done.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.fault_files import file_faults
from bench.fault_kinds import Tally, World
from bench.fault_methods import method_faults
from bench.fault_processes import process_faults
from bench.fault_ray import ray_faults
from tests.faults.faulty import install
from tests.faults.processes import unbroken_run, warm_server, write_methods, write_suite

ROOMS: tuple[Callable[[World], list[Callable[[], Tally]]], ...] = (
    process_faults,
    ray_faults,
    method_faults,
    file_faults,
)


def table(tallies: Sequence[Tally]) -> str:
    """The Markdown table, with a line of totals."""
    lines = ["| fault | injected | survived | lost work at most | note |", "|---|---:|---:|---|---|"]
    lines += [f"| {each.fault} | {each.injected} | {each.survived} | {each.lost} | {each.note} |" for each in tallies]
    injected, survived = (sum(getattr(each, name) for each in tallies) for name in ("injected", "survived"))
    return "\n".join([*lines, f"| **all** | **{injected}** | **{survived}** | | |"])


def main(words: Sequence[str] | None = None) -> int:
    """Prints the table; 0 if every fault was survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few of each kind")
    parser.add_argument("--only", action="append", default=[], help="faults whose name has this word; repeatable")
    parser.add_argument("--seed", type=int, default=0, help="of the moments [0]")
    options = parser.parse_args(words)
    began = time.monotonic()
    with warm_server(), tempfile.TemporaryDirectory(prefix="harness-faults-") as scratch:
        folder = Path(scratch)
        plugins = install(folder / "plugins")
        world = World(
            folder,
            plugins,
            random.Random(options.seed),
            options.quick,
            unbroken_run(write_suite(folder)),
            write_methods(folder / "patient", "patient", seeds=3, budgets="[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]"),
        )
        tallies = []
        for room in ROOMS:
            for fault in room(world):
                name = fault.__name__.replace("_", " ")
                if options.only and not any(word in name for word in options.only):
                    continue
                print(f"{time.monotonic() - began:5.0f} s  {name}", file=sys.stderr, flush=True)
                tallies.append(fault())
                print(f"        {tallies[-1].survived} of {tallies[-1].injected} survived", file=sys.stderr, flush=True)
    print(
        "# Faults\n\nWhat `python -m bench.faults` injected for real into runs of a digits suite, and what came of it."
    )
    print("What is asked of each, and how they are injected, stands in `bench/faults.py`.\n")
    print(table(tallies))
    print(f"\n{time.monotonic() - began:.0f} s, seed {options.seed}.")
    return 0 if all(each.injected == each.survived for each in tallies) else 1


if __name__ == "__main__":
    sys.exit(main())
