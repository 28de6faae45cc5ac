"""Figures that a document quotes from a table, each marked with where it comes from.

A marked figure reads `<!--rows FOLDER | COLUMN | LINE-->64.51<!--/rows-->`: FOLDER has the recorded rows, COLUMN is a
heading of one of its tables, LINE what the first cells of a line say (several cells separated by `|`). A Markdown
reader sees the figure alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from harness.errors import UserError, nearest
from harness.report.blocks import Block
from harness.report.recorded import RECORDED, read_recorded
from harness.report.table import tables

_MARKED = re.compile(r"<!--\s*rows\s(?P<place>.*?)-->(?P<figure>.*?)<!--\s*/rows\s*-->", re.DOTALL)
_OPENED = re.compile(r"<!--\s*rows\s")


def wrong_quotes(documents: Sequence[Path], folder: Path) -> tuple[int, list[str]]:
    """How many figures are marked, and one line `file:line: what is wrong` for each that is not in its table.

    Args:
        documents: Markdown files.
        folder: whose folders have the recorded rows.
    """
    known: dict[str, list[Block] | str] = {}
    count, problems = 0, []
    for document in documents:
        text = document.read_text(encoding="utf-8")
        found = list(_MARKED.finditer(text))
        count += len(found)
        if len(found) != len(_OPENED.findall(text)):
            problems.append(f"{document}: a figure is marked with <!--rows …--> and no <!--/rows--> ends it")
        for match in found:
            problem = _wrong(match["place"], match["figure"], folder, known)
            if problem:
                line = text.count("\n", 0, match.start()) + 1
                problems.append(f"{document}:{line}: {problem}")
    return count, problems


def _wrong(place: str, figure: str, folder: Path, known: dict[str, list[Block] | str]) -> str | None:
    parts = [" ".join(part.split()) for part in place.split("|")]
    if len(parts) < 3 or not all(parts):
        return f"'{' '.join(place.split())}' has not the form FOLDER | COLUMN | LINE"
    name, column, *line = parts
    if name not in known:
        known[name] = _blocks(folder / name)
    blocks = known[name]
    if isinstance(blocks, str):
        return blocks
    found = _looked_up(blocks, column, line)
    if isinstance(found, str):
        return f"{name}: {found}"
    quoted = " ".join(figure.split())
    if any(says(quoted, cell) for cell in found):
        return None
    return f"{quoted!r} is quoted, and {column} of {' | '.join(line)} in {name} is {found[0]!r}"


def _blocks(folder: Path) -> list[Block] | str:
    """All blocks of a folder's tables, or what is wrong with it."""
    try:
        rows, facts = read_recorded(folder / RECORDED)
    except UserError as error:
        return str(error)
    return [block for table in tables(rows, facts) for block in (table.main, *table.blocks)]


def _looked_up(blocks: Sequence[Block], column: str, line: Sequence[str]) -> list[str] | str:
    """The different texts in that column of the lines that begin so (one in all), or what is wrong."""
    having = [block for block in blocks if column in block.header]
    if not having:
        headings = {heading for block in blocks for heading in block.header}
        meant = nearest(column, headings)
        return f"no table has a column {column!r}" + (f"; did you mean {meant!r}?" if meant else "")
    found: list[str] = []
    names = []
    for block in having:
        position = block.header.index(column)
        for printed in block.lines:
            names.append(printed.cells[0])
            if list(printed.cells[: len(line)]) == list(line):
                found.append(printed.cells[position])
    if not found:
        meant = nearest(line[0], names)
        return f"no line of {column} begins with {' | '.join(line)!r}" + (f"; did you mean {meant!r}?" if meant else "")
    different = list(dict.fromkeys(found))
    if len(different) > 1:
        return f"several lines begin with {' | '.join(line)!r}: {', '.join(different)}"
    return different


def says(quoted: str, cell: str) -> bool:
    """Whether a quotation is what a cell says: the same, its mean alone, or either rounded to fewer decimals.

    A plus sign may be left out, a minus sign may not.
    """
    wanted, printed = quoted.removeprefix("+"), cell.removeprefix("+")
    ours, theirs = wanted.split(" ± "), printed.split(" (")[0].split(" ± ")
    if len(ours) > len(theirs):
        return False
    return wanted == printed or all(_rounds(own, their) for own, their in zip(ours, theirs, strict=False))


def _rounds(quoted: str, printed: str) -> bool:
    try:
        short, long = (
            Decimal(text.replace("−", "-").replace(",", "").removesuffix(" %")) for text in (quoted, printed)
        )
    except InvalidOperation:
        return quoted == printed
    places = -int(short.as_tuple().exponent)
    return places <= -int(long.as_tuple().exponent) and round(long, places) == short
