"""Two methods against each other: at each budget, network by network, and over all budgets."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import UserError, nearest
from harness.report.entries import Entry, entries
from harness.report.facts import SuiteFacts
from harness.report.fair import CONTROLS, budget_groups, tested, track_of
from harness.report.paired import macs_gap
from harness.stats.fronts import Points, area_difference, common_range, hypervolume_difference
from harness.stats.hits import McNemar, mcnemar
from harness.stats.paired import PairedTest, Verdict, holm, verdict
from harness.store.rows import Row

if TYPE_CHECKING:
    from harness.stats.hits import Hits


@dataclass(frozen=True)
class Pairing:
    """Two lines of one budget.

    Attributes:
        budget: in words.
        a: line of the first method.
        b: line of the second one.
        test: of per-seed differences in top-1, a − b, shares of 1; None if no seed is measured in both.
        corrected: its p-value after Holm's correction over all pairings of the comparison.
        macs_gap: mean relative difference in executed MACs, a over b.
    """

    budget: str
    a: Entry
    b: Entry
    test: PairedTest | None
    corrected: float | None
    macs_gap: float

    @property
    def has_control(self) -> bool:
        """Whether one of the two is a control, which asks another question than which method is better."""
        return self.a.kind in CONTROLS or self.b.kind in CONTROLS

    @property
    def outcome(self) -> Verdict:
        """Who is ahead, by the corrected p-value, as seen by the first method."""
        return verdict(self.test.difference.mean, self.corrected) if self.test is not None else "tie"


@dataclass(frozen=True)
class Networks:
    """Two networks of one seed on the same test images.

    Attributes:
        pairing: their lines.
        seed: of both.
        test: McNemar's.
        corrected: its p-value after Holm's correction over all networks of the comparison.
    """

    pairing: Pairing
    seed: int
    test: McNemar
    corrected: float | None


@dataclass(frozen=True)
class Curves:
    """The methods' own lines (no controls) over all budgets, within one track and pair of spaces.

    Attributes:
        of: which lines, in words; empty if there is one sort.
        area: test of the mean top-1 over log MACs between the costs that both reach, a − b, shares of 1.
        reach: those costs, smallest and largest.
        volume: test of hypervolumes, in decades of MACs × shares of 1, against the whole network's MACs and the lowest
            top-1 of either method.
    """

    of: str
    area: PairedTest | None
    reach: tuple[float, float] | None
    volume: PairedTest | None


@dataclass(frozen=True)
class Comparison:
    """All of one backbone.

    Attributes:
        backbone: its name.
        title: backbone and data set, for people.
        a: title of the first method.
        b: title of the second one.
        pairings: budget by budget, in the table's order.
        networks: empty where the results folder has no hits of both.
        curves: of the methods' own lines.
    """

    backbone: str
    title: str
    a: str
    b: str
    pairings: tuple[Pairing, ...]
    networks: tuple[Networks, ...]
    curves: tuple[Curves, ...]

    def count(self, outcome: Verdict) -> int:
        """How many budgets the first method wins, ties or loses; controls do not count."""
        return sum(pairing.outcome == outcome and not pairing.has_control for pairing in self.pairings)


def compare(
    rows: Sequence[Row], facts: SuiteFacts, a: str, b: str, hits: Callable[[Row], Hits | None]
) -> list[Comparison]:
    """One comparison for each backbone where the two have a budget in common.

    Args:
        rows: of the suite.
        facts: of the suite.
        a: the first method: its name, or a pattern of variants such as `l1_norm[match=*]`.
        b: the second one.
        hits: what is stored of a network's hits on the test images; None if nothing is.

    Raises:
        UserError: a method is not in the suite, or the two share no budget.
    """
    for name in (a, b):
        _known(name, rows)
    if a == b:
        raise UserError(f"{a} is compared with itself; name two methods")
    found = []
    for backbone in dict.fromkeys(row.cell.backbone for row in rows):
        shown = entries([row for row in rows if row.cell.backbone == backbone], facts)
        pairings = _pairings(shown, a, b)
        if pairings:
            title = f"{facts.backbone_title(backbone)} on {facts.data_title}"
            first, second = (facts.method_title(entry.cell.method) for entry in (pairings[0].a, pairings[0].b))
            networks = tuple(_networks(pairings, hits))
            found.append(Comparison(backbone, title, first, second, tuple(pairings), networks, _curves(pairings)))
    if not found:
        raise UserError(f"{a} and {b} have met no budget in common: give both a `budget`, or let one `match` the other")
    return found


def _known(name: str, rows: Sequence[Row]) -> None:
    """Raises a UserError that says what was meant, unless a cell goes by that name."""
    cells = {row.cell.variant: row.cell.method for row in rows}
    if any(_goes_by(method, variant, name) for variant, method in cells.items()):
        return
    methods = sorted(set(cells.values()))
    meant = nearest(name, methods) or nearest(name, cells)
    hint = f"did you mean {meant!r}?" if meant else f"it has {', '.join(methods)}"
    raise UserError(f"the suite has no method {name!r}; {hint}")


def _goes_by(method: str, variant: str, name: str) -> bool:
    return name == method or fnmatch.fnmatchcase(variant, name.replace("[", "[[]"))


def _pairings(shown: Sequence[Entry], a: str, b: str) -> list[Pairing]:
    """Every line of the one with every line of the other under one budget; a control only with whose widths it has."""

    def named(entry: Entry, name: str) -> bool:
        return bool(entry.done) and _goes_by(entry.cell.method, entry.cell.variant, name)

    pairs: list[tuple[str, Entry, Entry]] = []
    for group in budget_groups(shown).values():
        for ours in (entry for entry in group if named(entry, a)):
            for theirs in (entry for entry in group if named(entry, b) and entry is not ours):
                if _comparable(ours, theirs):
                    pairs.append((_budget(group, ours, theirs), ours, theirs))
    tests = [tested(ours, theirs) for _, ours, theirs in pairs]
    corrected = holm([test.p if test is not None else None for test in tests])
    return [
        Pairing(budget, ours, theirs, test, p, macs_gap(ours, theirs))
        for (budget, ours, theirs), test, p in zip(pairs, tests, corrected, strict=True)
    ]


def _comparable(a: Entry, b: Entry) -> bool:
    controls = [entry for entry in (a, b) if entry.kind in CONTROLS]
    if len(controls) == 1:
        other = b if controls[0] is a else a
        return controls[0].partner == other.point
    return not controls or a.partner == b.partner


def _budget(group: Sequence[Entry], a: Entry, b: Entry) -> str:
    cells = [entry.cell for entry in (a, b)]
    for cell in cells:
        if cell.budget is not None:
            return str(cell.budget)
    partner = a.partner if a.partner is not None else b.partner
    return next((f"as {entry.title}" for entry in group if entry.point == partner), "as its partner")


def _networks(pairings: Iterable[Pairing], hits: Callable[[Row], Hits | None]) -> list[Networks]:
    found: list[tuple[Pairing, int, McNemar]] = []
    for pairing in pairings:
        theirs = {row.cell.seed: row for row in pairing.b.done}
        for row in pairing.a.done:
            if row.cell.seed not in theirs:
                continue
            ours, others = hits(row), hits(theirs[row.cell.seed])
            if ours is not None and others is not None:
                found.append((pairing, row.cell.seed, mcnemar(ours, others)))
    corrected = holm([test.p for _, _, test in found])
    return [Networks(*one, p) for one, p in zip(found, corrected, strict=True)]


def _curves(pairings: Sequence[Pairing]) -> tuple[Curves, ...]:
    sorts: dict[tuple[str, str, str], list[Pairing]] = {}
    for pairing in pairings:
        if not pairing.has_control:
            sort = (pairing.a.cuts, pairing.b.cuts, track_of(pairing.a))
            sorts.setdefault(sort, []).append(pairing)
    found = []
    for (ours, theirs, track), group in sorts.items():
        a, b = (_points(pairing.a for pairing in group), _points(pairing.b for pairing in group))
        every = [point for of in (a, b) for points in of.values() for point in points]
        dense = [row.dense_macs for pairing in group for row in pairing.a.done if row.dense_macs is not None]
        if not every or not dense:
            continue
        words = f"cuts {ours} against {theirs}" + (f", {track}" if track else "")
        volume = hypervolume_difference(a, b, max(dense), min(accuracy for _, accuracy in every))
        found.append(Curves(words if len(sorts) > 1 else "", area_difference(a, b), common_range(a, b), volume))
    return tuple(found)


def _points(lines: Iterable[Entry]) -> dict[int, Points]:
    """{seed: (executed MACs, top-1)} of the seeds in which every line is measured."""
    unique = list({line.point: line for line in lines}.values())
    seeds = set.intersection(*(set(line.seeds) for line in unique))
    found: dict[int, list[tuple[float, float]]] = {}
    for line in unique:
        for row in line.done:
            if row.cell.seed in seeds and row.macs is not None and row.top1 is not None:
                found.setdefault(row.cell.seed, []).append((row.macs, row.top1))
    return dict(found)
