"""Methods compared seed by seed with the cell whose MACs or widths they took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.entries import Entry
from harness.stats.intervals import Interval, paired_difference


@dataclass(frozen=True)
class Difference:
    """How a method differs from its partner.

    Attributes:
        entry: the method's point.
        partner: the point whose MACs or widths it took.
        top1: of per-seed differences, method − partner, shares of 1.
        macs_gap: mean over seeds of the relative difference in executed MACs.
    """

    entry: Entry
    partner: Entry
    top1: Interval
    macs_gap: float


def differences(found: Sequence[Entry]) -> list[Difference]:
    """One for each entry that has a partner and at least one seed measured in both; in the given order."""
    by_point = {entry.point: entry for entry in found}
    compared = []
    for entry in found:
        partner = by_point.get(entry.partner) if entry.partner is not None else None
        if partner is None:
            continue
        top1 = paired_difference(entry.by_seed("top1"), partner.by_seed("top1"))
        if top1 is None:
            continue
        ours = {row.cell.seed: row.macs for row in entry.done if row.macs}
        theirs = {row.cell.seed: row.macs for row in partner.done if row.macs}
        gaps = [ours[seed] / theirs[seed] - 1 for seed in ours.keys() & theirs.keys()]
        compared.append(Difference(entry, partner, top1, sum(gaps) / len(gaps) if gaps else 0.0))
    return compared
