"""Joins cells that lean on other cells of the suite: to the ones whose cost they match or whose widths they take."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.errors import Location, nearest
from harness.suite.cell import Cell
from harness.suite.problems import Problems
from harness.suite.protocol import Scratch

Reference = tuple[str, Location]
"""A method's name, and where it is stated."""


@dataclass(frozen=True)
class Draft:
    """A point of the grid whose partners are still names.

    Attributes:
        cell: what is known of it.
        at: where the method's name stands.
        varying: where the values stand that set it apart within its entry.
        match: the method whose cost it meets.
        widths_of: the method whose widths it takes.
        candidates: its natural cells, if a strength sets how much is cut.
        scratch: the controls from new weights that stand beside each of its cells.
        sound: whether its entry is free of problems; if not, a stand-in may hold the place of what is wrong.
    """

    cell: Cell
    at: Location
    varying: tuple[Location, ...] = ()
    match: Reference | None = None
    widths_of: Reference | None = None
    candidates: tuple[Cell, ...] = ()
    scratch: tuple[Scratch, ...] = ()
    sound: bool = True

    @property
    def partner(self) -> Reference | None:
        """The method that it leans on."""
        return self.match or self.widths_of


def resolve_partners(drafts: Sequence[Draft], named: Sequence[str], problems: Problems, most: int) -> tuple[Cell, ...]:
    """The cells of all drafts in their order; a draft with a partner gives one cell for each of the partner's.

    Args:
        drafts: all points of all entries.
        named: the methods that the suite names, usable or not.
        problems: where what is wrong is noted.
        most: how many cells there may be.
    """
    natural: dict[str, Cell] = {}
    for draft in drafts:
        if draft.partner is None and not draft.candidates and draft.cell.budget is None and draft.cell.tuned is None:
            natural.setdefault(_identity(draft.cell), draft.cell)
    partners: dict[str, list[Cell]] = {}
    settled: dict[int, Cell] = {}
    for index, draft in enumerate(drafts):
        if draft.partner is None:
            settled[index] = _with_candidates(draft, natural, problems)
            partners.setdefault(draft.cell.method, []).append(settled[index])
    for method, listed in partners.items():
        # at a budget everybody meets the same cost anyway: only the outcomes that the method chose itself are matched
        partners[method] = [cell for cell in listed if cell.budget is None] or listed
    cells: list[Cell] = []
    seen = _Seen(problems)
    leaning = {draft.cell.method for draft in drafts if draft.partner is not None}
    for index, draft in enumerate(drafts):
        if draft.partner is None:
            found = [settled[index]]
        else:
            name, where = draft.partner
            found = list(_joined(draft, partners.get(name, []), natural, problems))
            if not found:
                what = _without_partner(draft, name, named, name in leaning, partners.get(name, []))
                if what:
                    problems.add(where, what)
        found = [each for cell in found for each in (cell, *map(cell.from_scratch, draft.scratch))]
        for cell in found if draft.sound else ():
            seen.add(cell, draft)
        cells.extend(found)
        if len(cells) > most:
            problems.add(draft.at, f"the methods up to this one make more than {most} points; a suite may have {most}")
            break
    return tuple(cells)


def _with_candidates(draft: Draft, natural: dict[str, Cell], problems: Problems) -> Cell:
    """The draft's cell with its candidates, each the very cell that the suite lists if it lists it."""
    chosen: dict[str, Cell] = {}
    for candidate in draft.candidates:
        identity = _identity(candidate)
        if identity in chosen:
            problems.add(draft.at, f"{candidate.variant} is stated twice among the strengths to choose from")
        chosen[identity] = natural.setdefault(identity, candidate)
    return replace(draft.cell, candidates=tuple(chosen.values()))


def _joined(draft: Draft, partners: Sequence[Cell], natural: dict[str, Cell], problems: Problems) -> Iterator[Cell]:
    assert draft.partner is not None
    if draft.partner[0] == draft.cell.method:
        return
    cell = _with_candidates(draft, natural, problems)
    for partner in (each for each in partners if each.track == cell.track):
        yield replace(cell, match=partner) if draft.match else replace(cell, widths_of=partner)


def _without_partner(draft: Draft, name: str, named: Sequence[str], leans: bool, listed: Sequence[Cell]) -> str | None:
    """Why a draft has no partner; None if the partner's own entry is wrong, which is said there."""
    verb = "match" if draft.match else "take the widths of"
    if name == draft.cell.method:
        return f"{name} cannot {verb} itself"
    if name not in named:
        meant = nearest(name, [other for other in named if other != draft.cell.method])
        advice = f"did you mean {meant!r}?" if meant else f"add `- {name}` to the methods"
        return f"{draft.cell.method} is to {verb} {name!r}, which is not among the methods of this suite; {advice}"
    if listed:
        tracks = " and ".join(dict.fromkeys(cell.track for cell in listed))
        return (
            f"{draft.cell.method} in track {draft.cell.track} is to {verb} {name!r}, which this suite has in track "
            f"{tracks} only; partners are of one track"
        )
    if leans:
        return (
            f"{draft.cell.method} is to {verb} {name!r}, which itself only leans on other methods; "
            f"list {name!r} with a budget of its own, too"
        )
    return None


class _Seen:
    """Notes cells that are stated twice, or that no name tells apart."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._identities: dict[str, Draft] = {}
        self._variants: dict[str, Draft] = {}

    def add(self, cell: Cell, draft: Draft) -> None:
        identity, variant = _identity(cell), cell.variant
        first = self._identities.setdefault(identity, draft)
        namesake = self._variants.setdefault(variant, draft)
        if first is not draft:
            self._problems.add(*_told(f"{variant} is stated twice; it already stands at", first, draft))
        elif namesake is not draft:
            self._problems.add(*_told(f"{variant} has the same name as a different cell at", namesake, draft))


def _told(what: str, first: Draft, second: Draft) -> tuple[Location, str]:
    """Place and sentence for two cells that should be one: at the value that differs, if one entry states both."""
    pairs = list(zip(first.varying, second.varying, strict=False))
    differing = next(((a, b) for a, b in pairs if a != b), None) if first.at == second.at else None
    earlier, later = differing or (first.at, second.at)
    line = f"line {earlier.line}" if earlier.file == later.file else str(earlier)
    return later, f"{what} {line}"


def _identity(cell: Cell) -> str:
    """Equal for cells that ask for the same work, whichever parameters their entries state or leave to defaults."""
    return json.dumps(
        [
            cell.method,
            cell.params,
            cell.cuts,
            [cell.budget.metric, cell.budget.value] if cell.budget else None,
            cell.allocate,
            cell.normalise,
            [cell.profile.rates, cell.profile.most] if cell.profile else None,
            cell.track,
            cell.scratch,
            _identity(cell.match) if cell.match else None,
            _identity(cell.widths_of) if cell.widths_of else None,
            [_identity(candidate) for candidate in cell.candidates],
            [cell.solve.within, cell.solve.searches, cell.solve.start] if cell.solve else None,
            [cell.tuned.study.name, cell.tuned.rank, str(cell.tuned.study.space)] if cell.tuned else None,
        ],
        sort_keys=True,
    )
