"""The report as Markdown (CommonMark with tables)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.report.blocks import Block
from harness.report.facts import SuiteFacts
from harness.report.table import Table

_SPECIAL = re.compile(r"([\\`*_\[\]{}|#~$!])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line, whatever is in it."""
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()).translate(_ENTITIES))


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
        parts += _below(table.main)
        for block in table.blocks:
            parts += [f"### {escape(block.heading)}", _grid(block), *_below(block)]
        parts += [f"![{escape(caption)}]({path})" for caption, path in (pictures or {}).get(table.backbone, ())]
    return "\n\n".join(part for part in parts if part) + "\n"


def choices_markdown(tables: Sequence[Table], facts: SuiteFacts) -> str:
    """What is left of each supernet, layer by layer, as a page of its own."""
    parts = [f"# {escape(facts.title)}: what is left of the supernet"]
    for table in tables:
        if table.choices and table.title != facts.title:
            parts.append(f"## {escape(table.title)}")
        for block in table.choices:
            parts += [f"### {escape(block.heading)}", _grid(block), *_below(block)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _below(block: Block) -> list[str]:
    """A block's footnotes and its notes."""
    footnotes = "\n".join(f"- <sup>{letter}</sup> {escape(text)}" for letter, text in block.footnotes)
    return [footnotes, "\n".join(f"- {escape(note)}" for note in block.notes)]


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
