"""The fair table: lines of equal budget side by side, with what they cost to train and who is ahead for sure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.report import numbers
from harness.report.blocks import Block, Line
from harness.report.entries import Entry, budget_text
from harness.report.numbers import MISSING
from harness.stats.fronts import Candidate, Membership, memberships
from harness.stats.paired import PairedTest, holm, paired_test

GroupKey = tuple[object, ...]
CONTROLS = ("widths", "scratch")
"""Kinds of lines that take a method's widths to show what its choice is worth; they are nobody's rivals."""

HEADING = "Fair comparison: lines of equal budget, what they reach, and what that cost"
NOTES = (
    "Lines under one budget compete. Missed is how far the executed cost is from the budget. Δ dense is the difference "
    "in top-1 from the dense network, if possible that of the same total of epochs, seed by seed.",
    "The rival is the best other line of the same budget; of a control, the line whose widths it has. Δ rival is the "
    "paired difference from it, p that of Student's paired t-test, corrected by Holm over all {pairs} pairs of lines "
    "of equal budget in this table, so that picking the best rival is paid for.",
    "Front is on, if better than every line that costs no more; dominated, if worse than one of them; else undecided: "
    "each line at the 5 % level, corrected over the lines that cost no more, not over the table.",
)


@dataclass(frozen=True)
class FairLine:
    """One line of the fair table.

    Attributes:
        entry: behind it.
        budget: what it had to meet, in words.
        missed: mean over seeds of the relative gap between cost and budget; None without a budget.
        against_dense: the paired difference in top-1 from the dense network, shares of 1.
        rival: whom it is compared with; None if there is nobody.
        against_rival: the paired difference in top-1 from the rival, shares of 1.
        corrected: its p-value after Holm's correction over the table; None without a test.
        front: whether it is on the Pareto front of the table; None if it is not measured.
    """

    entry: Entry
    budget: str
    missed: float | None
    against_dense: PairedTest | None
    rival: Entry | None
    against_rival: PairedTest | None
    corrected: float | None
    front: Membership | None

    @property
    def is_control(self) -> bool:
        """Whether it takes a method's widths to show what its choice is worth."""
        return self.entry.kind in CONTROLS


@dataclass(frozen=True)
class FairTable:
    """The lines, whole networks first, then budget by budget; and over how many pairs the p-values are corrected."""

    lines: tuple[FairLine, ...]
    pairs: int


def budget_groups(found: Sequence[Entry]) -> dict[GroupKey, list[Entry]]:
    """Entries that met the same budget, in the given order: a share, a count, or what another method reached.

    A natural outcome that nobody matches has no group.
    """
    by_point = {entry.point: entry for entry in found}
    matched = {entry.partner for entry in found if entry.partner is not None}

    def key(entry: Entry) -> GroupKey | None:
        partner = by_point.get(entry.partner) if entry.partner is not None else None
        if partner is not None:
            return key(partner) or ("point", partner.point)
        if entry.partner is not None:
            return ("point", entry.partner)
        if entry.cell.budget is not None:
            return ("budget", entry.cell.budget.metric, entry.cell.budget.value, track_of(entry))
        return ("point", entry.point) if entry.point in matched else None

    groups: dict[GroupKey, list[Entry]] = {}
    for entry in found:
        place = key(entry)
        if place is not None:
            groups.setdefault(place, []).append(entry)
    return groups


def track_of(entry: Entry) -> str:
    """The protocol that a line followed, if its cell states one; else empty."""
    return str(getattr(entry.cell, "track", None) or "")


def tested(a: Entry, b: Entry) -> PairedTest | None:
    """The paired test of two lines' top-1, a - b, shares of 1; None if they share no measured seed."""
    return paired_test(a.by_seed("top1"), b.by_seed("top1"))


def fair_table(found: Sequence[Entry]) -> FairTable | None:
    """The fair table of the shown entries; None where no two of them compete."""
    groups = budget_groups(found)
    tests: dict[tuple[int, int], PairedTest | None] = {}
    for group in groups.values():
        rivals = [entry for entry in group if entry.kind not in CONTROLS and entry.done]
        pairs = list(itertools.combinations(rivals, 2))
        for entry in group:
            pairs += [(entry, rival) for rival in rivals if entry.kind in CONTROLS and rival.point == entry.partner]
        tests |= {(a.point, b.point): tested(a, b) for a, b in pairs}
    if not tests:
        return None
    corrected = dict(zip(tests, holm([test.p if test else None for test in tests.values()]), strict=True))
    fronts = _fronts(found)
    whole = [entry for entry in found if entry.is_whole]
    grouped = {entry.point for group in groups.values() for entry in group}
    lines = [_line(entry, [], whole, tests, corrected, fronts) for entry in found if entry.point not in grouped]
    for group in groups.values():
        for entry in sorted(group, key=lambda entry: (entry.kind in CONTROLS, entry.partner is not None)):
            lines.append(_line(entry, group, whole, tests, corrected, fronts))
    return FairTable(tuple(lines), sum(test is not None and test.p is not None for test in tests.values()))


def _line(
    entry: Entry,
    group: Sequence[Entry],
    whole: Sequence[Entry],
    tests: dict[tuple[int, int], PairedTest | None],
    corrected: dict[tuple[int, int], float | None],
    fronts: dict[int, Membership],
) -> FairLine:
    dense = _dense(entry, whole)
    rival = _rival(entry, group)
    test, p = None, None
    if rival is not None:
        pair = (entry.point, rival.point)
        # Each pair is tested once, so that it counts once; the other direction differs in its sign alone.
        known = pair if pair in tests else pair[::-1]
        p = corrected.get(known)
        test = tested(entry, rival)
    return FairLine(
        entry=entry,
        budget=_budget(entry, group),
        missed=_missed(entry),
        against_dense=tested(entry, dense) if dense is not None else None,
        rival=rival,
        against_rival=test,
        corrected=p,
        front=fronts.get(entry.point),
    )


def _rival(entry: Entry, group: Sequence[Entry]) -> Entry | None:
    """The best other line of the group; of a control, the line whose widths it has."""
    if not entry.done:
        return None
    others = [other for other in group if other is not entry and other.done and other.kind not in CONTROLS]
    if entry.kind in CONTROLS:
        others = [other for other in others if other.point == entry.partner]
    return max(others, key=_mean_top1, default=None)


def _mean_top1(entry: Entry) -> float:
    found = entry.accuracy("top1")
    return found.mean if found is not None else float("-inf")


def _dense(entry: Entry, whole: Sequence[Entry]) -> Entry | None:
    """The whole network of the same track, if possible of the same total of epochs, else of the largest."""
    whole = [other for other in whole if track_of(other) == track_of(entry)]
    if not entry.done or entry.is_whole or not whole:
        return None
    wanted = sum(entry.done[0].epochs.values())
    totals = [sum(other.done[0].epochs.values()) for other in whole]
    return max(zip(totals, whole, strict=True), key=lambda one: (one[0] == wanted, one[0]))[1]


def _budget(entry: Entry, group: Sequence[Entry]) -> str:
    if entry.cell.budget is not None:
        return budget_text(entry.cell.budget.value, entry.cell.budget.metric)
    if entry.partner is not None:
        partners = [other.title for other in group if other.point == entry.partner]
        return f"as {partners[0]}" if partners else "as its partner"
    return MISSING


def _missed(entry: Entry) -> float | None:
    gaps = [
        reached / row.target - 1
        for row in entry.done
        if row.target and (reached := row.params if row.target_metric == "params" else row.macs) is not None
    ]
    return sum(gaps) / len(gaps) if gaps else None


def _fronts(found: Sequence[Entry]) -> dict[int, Membership]:
    measured = [(entry, cost.mean) for entry in found if (cost := entry.spread("macs")) is not None]
    told = memberships([Candidate(cost, entry.by_seed("top1")) for entry, cost in measured])
    return {entry.point: membership for (entry, _), membership in zip(measured, told, strict=True)}


def fair_block(table: FairTable, marks: dict[int, tuple[str, ...]], with_cuts: bool) -> Block:
    """The fair table as text.

    Args:
        table: the lines.
        marks: {grid point: footnote letters} of the main table, where the footnotes stand.
        with_cuts: whether the lines differ in what may be cut.
    """
    with_track = len({track_of(line.entry) for line in table.lines}) > 1
    macs = numbers.unit_for([cost.mean for line in table.lines if (cost := line.entry.spread("macs"))])
    training = numbers.unit_for([cost.mean for line in table.lines if (cost := line.entry.spread("training_macs"))])
    symbol, size = numbers.time_unit(
        cost.mean for line in table.lines if (cost := line.entry.spread("device_seconds")) is not None
    )
    words = ["Line", "Budget", *(["Cuts"] if with_cuts else []), *(["Track"] if with_track else []), "Front", "Rival"]
    header = (
        *words,
        macs.named("MACs"),
        "Missed (%)",
        "Top-1 (%)",
        "n",
        "Δ dense (points)",
        "Δ rival (points)",
        "p (Holm)",
        training.named("Training MACs"),
        f"Device time ({symbol})",
    )
    lines = []
    for line in table.lines:
        entry, top1 = line.entry, line.entry.accuracy("top1")
        cost, trained, seconds = (entry.spread(name) for name in ("macs", "training_macs", "device_seconds"))
        cells = (
            line_name(entry),
            line.budget,
            *([MISSING if entry.is_whole else entry.cuts] if with_cuts else []),
            *([track_of(entry) or MISSING] if with_track else []),
            line.front or MISSING,
            _rival_name(line.rival, with_cuts),
            numbers.count(cost.mean, macs) if cost is not None else MISSING,
            numbers.signed(100 * line.missed) if line.missed is not None else MISSING,
            numbers.interval(top1) if top1 is not None else MISSING,
            str(len(entry.done)),
            _points(line.against_dense),
            _points(line.against_rival),
            numbers.probability(line.corrected),
            numbers.count(trained.mean, training) if trained is not None else MISSING,
            f"{seconds.mean / size:.1f}" if seconds is not None else MISSING,
        )
        lines.append(Line(cells, marks.get(entry.point, ())))
    notes = tuple(note.format(pairs=table.pairs) for note in NOTES)
    return Block(HEADING, header, tuple(lines), notes, text_columns=len(words))


def line_name(entry: Entry) -> str:
    """A line without its budget, which has a column of its own."""
    return entry.name + (", same widths" if entry.kind == "widths" else "")


def _rival_name(rival: Entry | None, with_cuts: bool) -> str:
    if rival is None:
        return MISSING
    return f"{line_name(rival)} ({rival.cuts})" if with_cuts else line_name(rival)


def _points(test: PairedTest | None) -> str:
    return numbers.signed_interval(test.difference) if test is not None else MISSING


def fair_records(backbone: str, table: FairTable) -> list[dict[str, Any]]:
    """The fair table at full precision: shares of 1, counts, seconds."""

    def difference(test: PairedTest | None, name: str) -> dict[str, Any]:
        return {
            f"{name}_mean": test.difference.mean if test is not None else None,
            f"{name}_half_width": test.difference.half_width if test is not None else None,
        }

    return [
        {
            "backbone": backbone,
            "line": line_name(line.entry),
            "budget": line.budget,
            "cuts": list(line.entry.cell.cuts),
            "track": track_of(line.entry),
            "control": line.is_control,
            "front": line.front,
            "rival": line_name(line.rival) if line.rival is not None else None,
            "macs_mean": cost.mean if (cost := line.entry.spread("macs")) is not None else None,
            "missed_mean": line.missed,
            "top1_mean": top1.mean if (top1 := line.entry.accuracy("top1")) is not None else None,
            "top1_half_width": top1.half_width if top1 is not None else None,
            "seeds": len(line.entry.done),
            **difference(line.against_dense, "dense_difference"),
            **difference(line.against_rival, "rival_difference"),
            "rival_p": line.against_rival.p if line.against_rival is not None else None,
            "rival_p_holm": line.corrected,
            "rival_detectable": line.against_rival.detectable if line.against_rival is not None else None,
            "training_macs_mean": trained.mean if (trained := line.entry.spread("training_macs")) is not None else None,
            "device_seconds_mean": spent.mean if (spent := line.entry.spread("device_seconds")) is not None else None,
            "failed": [row.reason for row in line.entry.failed],
        }
        for line in table.lines
    ]
