"""Faults of methods: they hang, diverge, want too much memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.fault_kinds import Fault, Tally, World
from harness.store.ledger import Ledger
from tests.faults.processes import drive, drive_in_little_space, left, reasons, start, write_methods


def method_faults(world: World) -> list[Fault]:
    """Each fault of this room: one cell fails for a stated reason, the cell beside it is done."""

    def ended(name: str, reason: str, lives: list[int], target: Callable[..., None], *given: Any) -> int:
        results = world.folder / f"{name}-{target.__name__}-{'-'.join(map(str, given))}"
        suite = write_methods(results.with_suffix(".suite"), name, "l1_norm")
        statuses = [left(start(target, suite, results, *given, world.plugins)) for _ in lives]
        found = reasons(suite, results, world.plugins)
        return int(statuses == lives and found["l1_norm"] == "done" and found[name].startswith(reason))

    def hang() -> Tally:
        survived = ended("sleeping", "hung", [0], drive, "inline", 5.0)
        survived += ended("stubborn", "hung", [3, 0], drive, "inline", 5.0)
        survived += ended("sleeping", "hung", [0], drive, "tune", 8.0)
        survived += ended("stubborn", "hung", [0], drive, "tune", 8.0)
        return Tally("a method that hangs", 4, survived, "its own cell", "2 of them cannot be interrupted; 2 under Ray")

    def divergence() -> Tally:
        survived = ended("diverging", "diverged", [0], drive, "inline", None)
        return Tally("a loss that is no number", 1, survived, "its own cell")

    def too_little_memory() -> Tally:
        survived = ended("greedy", "out of memory", [0], drive_in_little_space)
        return Tally("a method that wants 64 GiB", 1, survived, "its own cell", "limit on the address space")

    def leak() -> Tally:
        results = world.folder / "leak"
        suite = write_methods(world.folder / "leak.suite", "leaking", budgets="[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]")
        ended = left(start(drive, suite, results, "tune", None, world.plugins, 50 * 2**20)) == 0
        started = [event for event in Ledger(results).refresh() if event.event == "started"]
        lives = len({event.payload["pid"] for event in started})
        survived = ended and lives > 2 and len(started) == len({event.key for event in started}) == 1 + 6 * 3
        return Tally("a method that leaks 96 MiB a cell", 1, int(survived), "nothing", f"{lives} workers for 6 cells")

    return [hang, divergence, too_little_memory, leak]
