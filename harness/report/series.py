"""The points of a table under one name and one look: what a legend has one entry for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.entries import Entry
from harness.report.facts import SuiteFacts
from harness.report.notes import common_cuts
from harness.suite.cell import DEFAULT_CUTS


@dataclass(frozen=True)
class Series:
    """Points of one method.

    Attributes:
        label: for a legend.
        look: the name that `style.styles` knows its look by.
        is_control: whether it takes another method's widths.
        entries: its points, in the suite's order.
    """

    label: str
    look: str
    is_control: bool
    entries: tuple[Entry, ...]

    @property
    def is_steered(self) -> bool:
        """Whether every point was driven to a budget or to a partner's cost."""
        return all(entry.kind != "natural" for entry in self.entries)


def series(measured: Sequence[Entry], facts: SuiteFacts) -> list[Series]:
    """The points by method, controls apart; where points differ in what may be cut, by that too."""
    cuts_differ = common_cuts(measured) is None
    tracks_differ = len({entry.cell.track for entry in measured}) > 1
    looks = looks_of(measured)
    gathered: dict[tuple[str, bool, str, str, str | None], list[Entry]] = {}
    for entry in sorted(measured, key=lambda entry: entry.position):
        cell = entry.cell
        is_control = cell.widths_of is not None or cell.scratch is not None
        key = (cell.method, is_control, looks[entry.point], cell.track, cell.scratch)
        gathered.setdefault(key, []).append(entry)
    found = []
    for (method, is_control, look, track, scratch), group in gathered.items():
        label = facts.method_title(method)
        partner = group[0].cell.widths_of
        if is_control and partner is not None:
            label = f"{facts.widths_title(method)}, {facts.method_title(partner.method)} widths"
        if scratch is not None:
            label += f", new weights ({'equal epochs' if scratch == 'epochs' else 'equal training MACs'})"
        if tracks_differ:
            label += f" ({track})"
        if cuts_differ and not group[0].is_whole:
            label += f" ({group[0].cuts})"
        found.append(Series(label, look, is_control, tuple(group)))
    return found


def looks_of(measured: Sequence[Entry]) -> dict[int, str]:
    """{grid point: what has one look}: the method; where the points differ in cuts, unusual ones are told apart."""
    alike = common_cuts(measured) is not None
    return {
        entry.point: entry.cell.method
        if alike or entry.is_whole or entry.cell.cuts == DEFAULT_CUTS
        else f"{entry.cell.method} {entry.cuts}"
        for entry in measured
    }
