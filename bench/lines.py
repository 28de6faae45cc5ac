"""A line of the benchmarks' table, and the measuring that several of them share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

THREADS = 2
"""Threads of torch on both sides of every comparison."""


@dataclass(frozen=True)
class Line:
    """One comparison.

    Attributes:
        what: what is measured.
        ours: the harness's figure, with its unit.
        theirs: the figure of what a user would run instead, with its unit; "–" where a bar is absolute.
        ratio: one figure by the other, as `bar` reads it; not a number where nothing is compared.
        bar: what was asked of the ratio, or of `ours`; "–" where nothing was asked.
        note: what explains the figure.
    """

    what: str
    ours: str
    theirs: str
    ratio: float
    bar: str
    note: str = ""


def interleaved(ours: Callable[[], object], theirs: Callable[[], object], pairs: int) -> tuple[float, float]:
    """Median seconds of two acts that run in turn, so that what slows the machine down slows down both.

    Each is run once beforehand, unmeasured.

    Args:
        pairs: measured runs of each, at least 1.
    """
    for act in (ours, theirs):
        act()
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(pairs):
        for act, seconds in zip((ours, theirs), taken, strict=True):
            began = time.perf_counter()
            act()
            seconds.append(time.perf_counter() - began)
    return statistics.median(taken[0]), statistics.median(taken[1])


def cell_of_table(text: str) -> str:
    """Text that does not break a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def markdown(lines: list[Line]) -> str:
    """The table: what, ours, what a user would run instead, ratio, bar, note."""
    rows = ["| what | ours | what a user would run instead | ratio | bar | note |", "|---|---:|---:|---:|---|---|"]
    for line in lines:
        ratio = f"{line.ratio:.2f}" if line.ratio == line.ratio else "–"
        words = (line.what, line.ours, line.theirs, ratio, line.bar, line.note)
        rows.append("| " + " | ".join(map(cell_of_table, words)) + " |")
    return "\n".join(rows) + "\n"
