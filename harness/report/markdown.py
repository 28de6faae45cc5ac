"""The report as Markdown (CommonMark with tables)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.report.facts import SuiteFacts
from harness.report.table import Block, Table

_SPECIAL = re.compile(r"([\\`*_\[\]{}|#~$!])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line, whatever is in it."""
    joined = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    safe = "".join(_ENTITIES.get(letter, letter) for letter in joined)
    return _SPECIAL.sub(r"\\\1", safe)


def markdown(
    tables: Sequence[Table], facts: SuiteFacts, pictures: Mapping[str, Sequence[tuple[str, str]]] | None = None
) -> str:
    """The whole report.

    Args:
        tables: one a backbone.
        facts: of the suite.
        pictures: {backbone: [(caption, path relative to the report)]}.
    """
    parts = [f"# {escape(facts.title)}"]
    for table in tables:
        if table.title != facts.title:
            parts.append(f"## {escape(table.title)}")
        parts += [escape(line) for line in table.above]
        if table.main.lines:
            parts.append(_grid(table.main))
        if table.footnotes:
            parts.append("\n".join(f"- <sup>{letter}</sup> {escape(text)}" for letter, text in table.footnotes))
        parts.append("\n".join(f"- {escape(note)}" for note in table.main.notes))
        for block in (*table.paired, *((table.published,) if table.published is not None else ())):
            parts += [f"### {escape(block.heading)}", _grid(block)]
            parts.append("\n".join(f"- {escape(note)}" for note in block.notes))
        parts += [f"![{escape(caption)}]({path})" for caption, path in (pictures or {}).get(table.backbone, ())]
    return "\n\n".join(part for part in parts if part) + "\n"


def _grid(block: Block) -> str:
    lines = [_line([escape(cell) for cell in block.header])]
    numbers = len(block.header) - block.text_columns
    lines.append(_line([":---"] * block.text_columns + ["---:"] * numbers))
    for line in block.lines:
        cells = [escape(cell) for cell in line.cells]
        if line.published:
            cells = [f"*{cell}*" for cell in cells]
            cells[0] += " ‡"
        if line.marks:
            cells[0] += f" <sup>{','.join(line.marks)}</sup>"
        lines.append(_line(cells))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
