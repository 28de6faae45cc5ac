"""The table of a suite: lines of text that every format prints alike, and the entries behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.report import notes, numbers
from harness.report.blocks import Block, Letters, Line
from harness.report.choices import Choices, choice_blocks, choices
from harness.report.columns import Column, apart_columns, main_columns
from harness.report.counts import shown_counts
from harness.report.entries import Entry, entries, sorted_by_cost, sorted_by_held_out
from harness.report.facts import SuiteFacts
from harness.report.fair import FairTable, fair_block, fair_table
from harness.report.paired import Difference, differences
from harness.report.published import PublishedRow, not_comparable, published_rows
from harness.report.studies import studies, study_blocks
from harness.store.rows import Row
from harness.store.studies import StudyRecord


@dataclass(frozen=True)
class Table:
    """What a suite found for one backbone; what is not asked for is not worked out.

    Attributes:
        backbone: its name.
        rows: all of the backbone, in the suite's order.
        facts: of the suite.
        quoted: all published rows.
        reasons: why published rows cannot stand among ours; empty where they can.
    """

    backbone: str
    rows: tuple[Row, ...]
    facts: SuiteFacts
    quoted: tuple[PublishedRow, ...]
    reasons: tuple[str, ...]

    @cached_property
    def title(self) -> str:
        """Backbone and data set, for people."""
        return f"{self.facts.backbone_title(self.backbone)} on {self.facts.data_title}"

    @cached_property
    def _found(self) -> list[Entry]:
        order = sorted_by_held_out if self.facts.rows == "held_out" else sorted_by_cost
        return order(entries(self.rows, self.facts))

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """One a printed line of our own, in the order printed."""
        return tuple(entry for entry in self._found if entry.done or entry.failed)

    @cached_property
    def above(self) -> tuple[str, ...]:
        """What comes before the table."""
        return notes.above(self.rows, [entry for entry in self._found if not (entry.done or entry.failed)])

    @cached_property
    def _cuts_differ(self) -> bool:
        return notes.common_cuts(self.entries) is None

    def title_of(self, entry: Entry) -> str:
        """What a picture calls an entry: its title, and what may be cut if the lines differ in that."""
        alike = entry.is_whole or not self._cuts_differ
        return " ".join((entry.title if alike else f"{entry.title} ({entry.cuts})").split())

    @property
    def beside(self) -> tuple[PublishedRow, ...]:
        """The published rows that may stand among ours."""
        return () if self.reasons else self.quoted

    @cached_property
    def _lettered(self) -> tuple[Block, dict[int, tuple[str, ...]], Block | None]:
        """The main block, {grid point: its marks}, and the block of published rows, whose letters go on."""
        letters = Letters()
        main = _main(self.entries, self.facts, self.quoted, not self.reasons, letters)
        marks = {entry.point: tuple(map(letters.letter, notes.footnotes(entry))) for entry in self.entries}
        return main, marks, _apart(self.quoted, self.reasons, self.facts, letters) if self.reasons else None

    @property
    def main(self) -> Block:
        """The table itself; published rows among ours where they are comparable."""
        return self._lettered[0]

    @property
    def published(self) -> Block | None:
        """The published rows' own block, where they are not comparable."""
        return self._lettered[2]

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """Each entry that has a partner, compared with it seed by seed."""
        return tuple(differences(self.entries))

    @cached_property
    def paired(self) -> tuple[Block, ...]:
        """One block for each method that others are compared with."""
        return _paired(self.differences, self.facts, self._cuts_differ)

    @cached_property
    def fair_lines(self) -> FairTable | None:
        """Lines of equal budget side by side; None where no two compete."""
        return fair_table(self.entries)

    @cached_property
    def fair(self) -> Block | None:
        """`fair_lines` as text."""
        return fair_block(self.fair_lines, self._lettered[1], self._cuts_differ) if self.fair_lines else None

    @cached_property
    def studies(self) -> tuple[StudyRecord, ...]:
        """The studies that lines rest on."""
        return tuple(studies(self.rows))

    @cached_property
    def studied(self) -> tuple[Block, ...]:
        """One block for each of `studies`."""
        return study_blocks(self.rows, self.facts)

    @cached_property
    def chosen(self) -> tuple[Choices, ...]:
        """What each point kept of a supernet; empty for other networks."""
        return tuple(choices(self.entries, marked_cuts=self._cuts_differ))

    @property
    def footnotes(self) -> tuple[tuple[str, str], ...]:
        """(letter, text) of the main block."""
        return self.main.footnotes

    @cached_property
    def choices(self) -> tuple[Block, ...]:
        """One block for each of `chosen`."""
        return choice_blocks(self.chosen)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """All that comes after the main block, in the order printed."""
        fair = (self.fair,) if self.fair is not None else ()
        apart = (self.published,) if self.published is not None else ()
        return (*fair, *self.paired, *self.studied, *self.choices, *apart)


def tables(rows: Sequence[Row], facts: SuiteFacts) -> list[Table]:
    """One table for each backbone, in the suite's order.

    Raises:
        UserError: the suite names a published table that does not exist.
    """
    published = published_rows(facts.published) if facts.published is not None else []
    by_backbone: dict[str, list[Row]] = {name: [] for name in facts.backbones}
    for row in rows:
        by_backbone.setdefault(row.cell.backbone, []).append(row)
    return [_table(backbone, own, facts, published) for backbone, own in by_backbone.items()]


def _table(backbone: str, rows: Sequence[Row], facts: SuiteFacts, published: list[PublishedRow]) -> Table:
    reasons = not_comparable(facts, backbone, published) if published else ()
    return Table(backbone, tuple(rows), facts, tuple(published), tuple(reasons))


def _main(
    shown: Sequence[Entry], facts: SuiteFacts, published: Sequence[PublishedRow], comparable: bool, letters: Letters
) -> Block:
    beside = published if comparable else ()
    counts = shown_counts(shown, bool(published))
    columns = main_columns(shown, published, bool(beside), counts, facts)
    by_params = not any(row.flops for row in beside)
    lines: list[tuple[Line, float | None]] = []
    for entry in shown:
        marks = tuple(letters.letter(text) for text in notes.footnotes(entry))
        cost = entry.spread("paper_params") if beside and by_params else entry.spread("paper_flops")
        cost = cost or entry.spread("macs")
        line = Line(tuple(column.ours(entry) for column in columns), marks)
        lines.append((line, math.inf if entry.is_whole else cost.mean if cost is not None else None))
    for row in beside:
        _insert(lines, _quoted(row, columns, letters), row.params if by_params else row.flops)
    return Block(
        heading="",
        header=tuple(column.heading for column in columns),
        lines=tuple(line for line, _ in lines),
        notes=notes.footer(shown, facts, facts.published if beside else None, counts),
        text_columns=sum(column.words for column in columns),
        footnotes=letters.texts,
    )


def _quoted(row: PublishedRow, columns: Sequence[Column], letters: Letters) -> Line:
    marks = (letters.letter(row.note),) if row.note else ()
    return Line(tuple(column.theirs(row) for column in columns), marks, published=True)


def _insert(lines: list[tuple[Line, float | None]], line: Line, cost: int | None) -> None:
    """Puts a published line before the first that costs less."""
    place = len(lines)
    for position, (_, own) in enumerate(lines):
        if cost is not None and own is not None and own < cost:
            place = position
            break
    lines.insert(place, (line, float(cost) if cost is not None else None))


def _paired(compared: Sequence[Difference], facts: SuiteFacts, cuts_differ: bool) -> tuple[Block, ...]:
    by_method: dict[str, list[Difference]] = {}
    for difference in compared:
        by_method.setdefault(difference.partner.cell.method, []).append(difference)
    blocks = []
    for method, found in by_method.items():
        title = facts.method_title(method)
        lines = tuple(
            Line(
                (
                    difference.entry.name + (", same widths" if difference.entry.kind == "widths" else ""),
                    difference.partner.title,
                    *([difference.entry.cuts] if cuts_differ else []),
                    numbers.signed_interval(difference.top1),
                    numbers.probability(difference.corrected),
                    numbers.detectable(difference.test),
                    f"{numbers.signed(100 * difference.macs_gap)} %",
                    str(difference.top1.n),
                )
            )
            for difference in found
        )
        words = ("Method", "Against", *(["Cuts"] if cuts_differ else []))
        header = (*words, "Δ top-1 (points)", "p (Holm)", "Detectable (points)", "Δ MACs", "Seeds")
        heading = f"Paired differences against {title} at equal MACs"
        blocks.append(Block(heading, header, lines, notes.paired(title), text_columns=len(words)))
    return tuple(blocks)


def _apart(published: Sequence[PublishedRow], reasons: Sequence[str], facts: SuiteFacts, letters: Letters) -> Block:
    columns = apart_columns(published)
    known = len(letters.texts)
    lines = tuple(_quoted(row, columns, letters) for row in published)
    return Block(
        heading=f"Published (not comparable: {'; '.join(reasons)})",
        header=tuple(column.heading for column in columns),
        lines=lines,
        notes=(notes.published(facts.published or ""),),
        text_columns=sum(column.words for column in columns),
        footnotes=letters.texts[known:],
    )
