"""Methods compared seed by seed with the cell whose MACs or widths they took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.entries import Entry
from harness.stats.intervals import Interval
from harness.stats.paired import PairedTest, holm, paired_test


@dataclass(frozen=True)
class Difference:
    """How a method differs from its partner.

    Attributes:
        entry: the method's point.
        partner: the point whose MACs or widths it took.
        test: of per-seed differences in top-1, method − partner, shares of 1.
        corrected: its p-value after Holm's correction over all differences of the table; None without a test.
        macs_gap: mean over seeds of the relative difference in executed MACs.
    """

    entry: Entry
    partner: Entry
    test: PairedTest
    corrected: float | None
    macs_gap: float

    @property
    def top1(self) -> Interval:
        """The difference and its 95 % interval, shares of 1."""
        return self.test.difference


def differences(found: Sequence[Entry]) -> list[Difference]:
    """One for each entry that has a partner and at least one seed measured in both; in the given order."""
    by_point = {entry.point: entry for entry in found}
    compared: list[tuple[Entry, Entry, PairedTest]] = []
    for entry in found:
        partner = by_point.get(entry.partner) if entry.partner is not None else None
        test = paired_test(entry.by_seed("top1"), partner.by_seed("top1")) if partner is not None else None
        if partner is not None and test is not None:
            compared.append((entry, partner, test))
    corrected = holm([test.p for _, _, test in compared])
    return [
        Difference(entry, partner, test, p, macs_gap(entry, partner))
        for (entry, partner, test), p in zip(compared, corrected, strict=True)
    ]


def macs_gap(entry: Entry, partner: Entry) -> float:
    """Mean over shared seeds of the relative difference in executed MACs; 0 if no seed has both."""
    ours = {row.cell.seed: row.macs for row in entry.done if row.macs}
    theirs = {row.cell.seed: row.macs for row in partner.done if row.macs}
    gaps = [ours[seed] / theirs[seed] - 1 for seed in sorted(ours.keys() & theirs.keys())]
    return sum(gaps) / len(gaps) if gaps else 0.0
