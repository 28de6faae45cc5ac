"""The page's tables: the printed lines with what they are sorted and filtered by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.report.blocks import Block, Line
from harness.report.entries import Entry
from harness.report.facts import SuiteFacts
from harness.report.numbers import MISSING
from harness.report.published import PublishedRow
from harness.report.table import Table

_SUM = re.compile(r"\d+(?:\+\d+)+")
_NUMBER = re.compile(r"[+−-]?\d+(?:,\d{3})*(?:\.\d+)?")


@dataclass(frozen=True)
class PageCell:
    """One field of a table: its text, and what the column is sorted by ("" comes last whatever the order)."""

    text: str
    key: str


@dataclass(frozen=True)
class PageLine:
    """One line of a table.

    Attributes:
        cells: one a column.
        marks: footnote letters.
        published: quoted from a paper.
        point: number of the grid point; None for a published line.
        method: name of the method, by which lines are filtered; "published" for a published line.
        seeds: (seed, identifier of the cell's section), of all cells of the line.
        reasons: why cells of it failed, each once.
        failed: whether no cell of it succeeded.
    """

    cells: tuple[PageCell, ...]
    marks: tuple[str, ...] = ()
    published: bool = False
    point: int | None = None
    method: str = ""
    seeds: tuple[tuple[int, str], ...] = ()
    reasons: tuple[str, ...] = ()
    failed: bool = False


@dataclass(frozen=True)
class PageBlock:
    """A block of the report as the page shows it; `words` says of each column whether it holds words."""

    heading: str
    header: tuple[str, ...]
    words: tuple[bool, ...]
    lines: tuple[PageLine, ...]
    notes: tuple[str, ...]
    footnotes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PageTable:
    """What the page shows of one backbone; `methods`: {name: title} to filter by."""

    title: str
    above: tuple[str, ...]
    main: PageBlock
    others: tuple[PageBlock, ...]
    methods: dict[str, str]


def page_tables(tables: Sequence[Table], identifiers: Mapping[int, str], facts: SuiteFacts) -> list[PageTable]:
    """One for each backbone.

    Args:
        tables: of the report.
        identifiers: {id of a row: identifier of its section}.
        facts: of the suite.
    """
    return [_page_table(table, identifiers, facts) for table in tables]


def sort_key(text: str, words: bool) -> str:
    """What a field is sorted by: a number as text, or folded words; empty where there is nothing.

    The number is the first that stands in the text ("93.75 ± 0.21"), or the sum of the epochs that count
    ("100+140 (+14)").
    """
    if text in ("", MISSING):
        return ""
    if words:
        return text.casefold()
    if summed := _SUM.match(text):
        return str(sum(map(int, summed[0].split("+"))))
    found = _NUMBER.search(text)
    return found[0].replace(",", "").replace("−", "-").lstrip("+") if found is not None else ""


def _page_table(table: Table, identifiers: Mapping[int, str], facts: SuiteFacts) -> PageTable:
    own = iter(table.entries)
    lines = tuple(
        _published(line, table.main) if line.published else _own(line, table.main, next(own), identifiers)
        for line in table.main.lines
    )
    methods = {entry.cell.method: facts.method_title(entry.cell.method) for entry in table.entries}
    if any(line.published for line in lines):
        methods["published"] = "published rows"
    return PageTable(
        title=table.title,
        above=table.above,
        main=_block(table.main, lines),
        others=tuple(_block(block, tuple(_plain(line, block) for line in block.lines)) for block in table.blocks),
        methods=methods,
    )


def _block(block: Block, lines: tuple[PageLine, ...]) -> PageBlock:
    words = tuple(column < block.text_columns for column in range(len(block.header)))
    return PageBlock(block.heading, block.header, words, lines, block.notes, block.footnotes)


def _cells(line: Line, block: Block) -> tuple[PageCell, ...]:
    return tuple(
        PageCell(text, sort_key(text, words=column < block.text_columns)) for column, text in enumerate(line.cells)
    )


def _plain(line: Line, block: Block) -> PageLine:
    return _published(line, block) if line.published else PageLine(_cells(line, block), line.marks)


def _published(line: Line, block: Block) -> PageLine:
    return PageLine(_cells(line, block), line.marks, published=True, method="published")


def _own(line: Line, block: Block, entry: Entry, identifiers: Mapping[int, str]) -> PageLine:
    return PageLine(
        _cells(line, block),
        line.marks,
        point=entry.point,
        method=entry.cell.method,
        seeds=tuple((row.cell.seed, identifiers[id(row)]) for row in entry.rows),
        reasons=tuple(dict.fromkeys(row.reason or "no reason given" for row in entry.failed)),
        failed=not entry.done,
    )


def published_hover(row: PublishedRow, reference: str) -> list[str]:
    """What the chart says of a published point, line by line."""
    told = [row.method, f"published ({reference}), not run here", f"top-1 {row.top1} %"]
    told += [f"FLOPs {row.flops_printed}"] if row.flops_printed else []
    told += [f"params {row.params_printed}"] if row.params_printed else []
    return told + ([row.note] if row.note else [])
