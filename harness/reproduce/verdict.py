"""What a second run of a row says about the first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.stats.intervals import Interval, next_mean_interval
from harness.store.rows import Row
from harness.suite.naming import line_of

if TYPE_CHECKING:
    from harness.stats.hits import Hits

Outcome = Literal["bit-equal", "within its interval", "different"]

FIGURES = ("top1", "top5", "macs", "params", "widths", "curve", "epochs", "training_macs")
"""The fields of a row that depend on nothing but its recipe, its seed, its code and its machine's arithmetic."""

_MEASURED = ("top1", "macs")
"""What an interval is asked of: the accuracy, and the cost that it was bought with."""


@dataclass(frozen=True)
class Spread:
    """One figure of a line against its stored seeds.

    Attributes:
        figure: "top1" (a share) or "macs".
        again: the mean of the second runs.
        interval: where that mean lies in 95 % of the cases if both runs are of one kind, by the stored seeds.
    """

    figure: str
    again: float
    interval: Interval

    @property
    def inside(self) -> bool:
        """Whether the second runs are where the first lead one to expect them."""
        # the mean of equal counts may be off by its last bit
        slack = 1e-12 * abs(self.interval.mean)
        return self.interval.low - slack <= self.again <= self.interval.high + slack


@dataclass(frozen=True)
class Repeated:
    """One cell, before and again.

    Attributes:
        unequal: the figures that differ in any bit; "hits" where other test images are classified right.
        compared: the figures that were there to be compared.
        environment: {name: (then, now)} of what differs between the two.
    """

    before: Row
    again: Row
    unequal: tuple[str, ...]
    compared: tuple[str, ...]
    environment: dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Verdict:
    """One line of a table, before and again.

    Attributes:
        line: backbone/data set/variant.
        spreads: empty where the stored seeds are fewer than two, or where all bits are equal.
    """

    line: str
    outcome: Outcome
    cells: tuple[Repeated, ...]
    spreads: tuple[Spread, ...]


def repeated(before: Row, again: Row, hits: Hits | None = None, hits_again: Hits | None = None) -> Repeated:
    """Compares two runs of one cell, bit by bit.

    Args:
        hits: which test images the first run's network classifies right; None if that was not kept.
        hits_again: likewise of the second.
    """
    compared = [name for name in FIGURES if getattr(before, name) not in (None, (), {})]
    unequal = [name for name in compared if getattr(before, name) != getattr(again, name)]
    if hits is not None and hits_again is not None:
        compared.append("hits")
        if hits.shape != hits_again.shape or bool((hits != hits_again).any()):
            unequal.append("hits")
    environment = _differences(_flat(before.provenance), _flat(again.provenance))
    if before.key != again.key:
        environment["key"] = (before.key[:12], again.key[:12])
    return Repeated(before, again, tuple(unequal), tuple(compared), environment)


def verdicts(cells: Sequence[Repeated], stored: Sequence[Row]) -> list[Verdict]:
    """One verdict a line.

    Args:
        stored: all rows of the first run; those of a line are what its interval comes from.
    """
    lines: dict[str, list[Repeated]] = {}
    for cell in cells:
        lines.setdefault(line_of(cell.before.cell), []).append(cell)
    return [_verdict(line, members, stored) for line, members in lines.items()]


def _verdict(line: str, members: Sequence[Repeated], stored: Sequence[Row]) -> Verdict:
    if not any(member.unequal for member in members):
        return Verdict(line, "bit-equal", tuple(members), ())
    seeds = [row for row in stored if line_of(row.cell) == line and row.state == "done"]
    if len(seeds) < 2 or any(member.again.state != "done" for member in members):
        return Verdict(line, "different", tuple(members), ())
    spreads = []
    for figure in _MEASURED:
        again = [float(getattr(member.again, figure)) for member in members]
        interval = next_mean_interval([float(getattr(row, figure)) for row in seeds], len(again))
        spreads.append(Spread(figure, math.fsum(again) / len(again), interval))
    inside = all(spread.inside for spread in spreads)
    return Verdict(line, "within its interval" if inside else "different", tuple(members), tuple(spreads))


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    versions = facts.get("versions", {})
    own = {name: value for name, value in facts.items() if name not in {"versions", "load_average"}}
    return own | {f"version of {name}": value for name, value in versions.items()}


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*then, *(name for name in now if name not in then)]
    return {name: (then.get(name), now.get(name)) for name in names if then.get(name) != now.get(name)}
