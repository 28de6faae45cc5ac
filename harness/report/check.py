"""Whether committed reports, and the figures that documents quote from them, are what the recorded rows give."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.inside import LARGEST_RECORD, read_bytes
from harness.printable import printable
from harness.report.facts import SuiteFacts
from harness.report.quotes import wrong_quotes
from harness.report.recorded import RECORDED, read_recorded
from harness.report.table import tables
from harness.report.write import pictures_in, report_texts
from harness.store.rows import Row

_MOST_LINES = 40
"""Lines of a difference that are shown."""
_TEXTS = {".md", ".tex", ".csv", ".json", ".jsonl"}


@dataclass(frozen=True)
class Checked:
    """What was compared, and what differs.

    Attributes:
        texts: files that were made again.
        quotes: figures in documents that were looked up.
        problems: one text for each that differs, the first line naming it.
    """

    texts: int
    quotes: int
    problems: tuple[str, ...]


def check_folder(folder: Path) -> Checked:
    """Compares a report with its own recorded rows; a UserError if those are absent or damaged."""
    rows, facts = read_recorded(folder / RECORDED)
    return check_report(folder, rows, facts)


def check_report(folder: Path, rows: Sequence[Row], facts: SuiteFacts) -> Checked:
    """Compares the texts of a report with what the rows give.

    Texts that the report was written without are not missed, but report.md must be there, and no text may be there
    that the rows do not give. Pictures are not compared: their bytes depend on the fonts of the machine.

    Args:
        folder: of the report.
        rows: one a cell, in the suite's order.
        facts: of the suite.
    """
    made = tables(rows, facts)
    expected = report_texts(made, rows, facts, pictures_in(folder, made))
    there = sorted(path.name for path in folder.iterdir() if path.suffix in _TEXTS) if folder.is_dir() else []
    problems = [] if "report.md" in there else [f"{folder / 'report.md'}: is absent"]
    for name in there:
        if name not in expected:
            problems.append(f"{folder / name}: the rows give no such file")
            continue
        try:
            committed = read_bytes(folder / name, LARGEST_RECORD).decode("utf-8", errors="replace")
        except OSError as error:
            problems.append(f"{folder / name}: cannot be read: {error.strerror}")
            continue
        problems += _difference(folder / name, committed, expected[name][1]())
    return Checked(len(there), 0, tuple(problems))


def check_quotes(documents: Sequence[Path], folder: Path) -> Checked:
    """Compares marked figures of documents with the tables that they are quoted from.

    Args:
        documents: Markdown files.
        folder: whose folders have the recorded rows.
    """
    count, problems = wrong_quotes(documents, folder)
    return Checked(0, count, tuple(problems))


def _difference(path: Path, committed: str, expected: str) -> list[str]:
    if committed == expected:
        return []
    lines = list(
        difflib.unified_diff(
            committed.splitlines(), expected.splitlines(), str(path), "what the rows give", lineterm="", n=0
        )
    ) or [f"{path}: differs in its line ends"]
    more = [f"… and {len(lines) - _MOST_LINES} more lines"] if len(lines) > _MOST_LINES else []
    return ["\n".join([*(printable(line[:400]) for line in lines[:_MOST_LINES]), *more])]
