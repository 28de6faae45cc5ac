"""Writes a report: every file whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from harness.errors import UserError, unknown
from harness.report import records
from harness.report.facts import SuiteFacts
from harness.report.latex import latex
from harness.report.markdown import choices_markdown, markdown
from harness.report.page import page
from harness.report.recorded import RECORDED, recorded_json
from harness.report.table import Table, tables
from harness.store.atomic import write_bytes
from harness.store.rows import Row

PICTURE_FORMATS: tuple[Literal["png", "pdf"], ...] = ("png", "pdf")
DEFAULT_FORMATS = ("md", "latex", "csv", *PICTURE_FORMATS)
FORMATS = (*DEFAULT_FORMATS, "html")
"""The page holds five megabytes of script and every cell's curve: it is written when asked for."""
ALIASES = {"markdown": "md", "tex": "latex"}
Pictures = dict[str, list[tuple[str, str]]]


def write_report(
    rows: Sequence[Row],
    facts: SuiteFacts,
    folder: Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    command: Sequence[str] = (),
) -> list[Path]:
    """Writes the report's files and gives their paths.

    `md`: report.md. `latex`: report.tex. `csv`: table.csv, differences.csv, rows.csv, rows.jsonl, curves.csv and
    recorded.json, and fair.csv where lines compete at equal budgets.
    `png`, `pdf`: pareto_macs, pareto_params, widths, gates, curves, cost, and pareto_latency where it was timed; with
    several backbones, each with the backbone's name. `html`: report.html, one page that needs no other file.
    With published rows also published.csv; with studies studies.csv;
    with a supernet also choices.md, choices.csv and the pictures of choices.

    Args:
        rows: one a cell, in the suite's order.
        facts: of the suite.
        folder: where the files go; made if it is not there.
        formats: which; the report shows the pictures that are written with it.
        command: the words of what runs the suite, for the page; empty where it is not known.

    Raises:
        UserError: a format is unknown, a published table does not exist, or a file cannot be written.
    """
    wanted = {ALIASES.get(name, name) for name in formats}
    for name in wanted:
        if name not in FORMATS:
            raise UserError(unknown("format", name, FORMATS))
    made = tables(rows, facts)
    files: dict[str, bytes] = {}
    pictures = _pictures(made, facts, [kind for kind in PICTURE_FORMATS if kind in wanted], files)
    texts = report_texts(made, rows, facts, pictures)
    files |= {name: text().encode() for name, (kind, text) in texts.items() if kind in wanted}
    if "html" in wanted:
        files["report.html"] = page(rows, made, facts, command).encode()
    for name, content in files.items():
        write_bytes(folder / name, content)
    return [folder / name for name in files]


def report_texts(
    made: Sequence[Table], rows: Sequence[Row], facts: SuiteFacts, pictures: Mapping[str, Pictures]
) -> dict[str, tuple[str, Callable[[], str]]]:
    """{file name: (format, what makes its content)} of all that is not a picture.

    Args:
        made: the tables.
        rows: behind them.
        facts: of the suite.
        pictures: {format: pictures} that stand beside the texts.
    """
    texts: dict[str, tuple[str, Callable[[], str]]] = {
        "report.md": ("md", lambda: markdown(made, facts, pictures.get("png"))),
        "report.tex": ("latex", lambda: latex(made, facts, pictures.get("pdf") or pictures.get("png"))),
        "table.csv": ("csv", lambda: records.table_csv(made)),
        "differences.csv": ("csv", lambda: records.differences_csv(made)),
        "rows.csv": ("csv", lambda: records.rows_csv(rows)),
        "rows.jsonl": ("csv", lambda: records.rows_jsonl(rows)),
        "curves.csv": ("csv", lambda: records.curves_csv(rows)),
        RECORDED: ("csv", lambda: recorded_json(rows, facts)),
    }
    if any(table.fair_lines is not None for table in made):
        texts["fair.csv"] = ("csv", lambda: records.fair_csv(made))
    if facts.published is not None:
        texts["published.csv"] = ("csv", lambda: records.published_csv(made))
    if any(table.studies for table in made):
        texts["studies.csv"] = ("csv", lambda: records.studies_csv(made))
    if any(table.chosen for table in made):
        texts["choices.md"] = ("md", lambda: choices_markdown(made, facts))
        texts["choices.csv"] = ("csv", lambda: records.choices_csv(made))
    return texts


def pictures_in(folder: Path, made: Sequence[Table]) -> dict[str, Pictures]:
    """The pictures of a report that was written: {format: {backbone: [(caption, file name)]}}."""
    from harness.report.plots import CAPTIONS

    found: dict[str, Pictures] = {}
    for kind in PICTURE_FORMATS:
        for table in made:
            for name, caption in CAPTIONS.items():
                file = f"{name}{_suffix(table, made)}.{kind}"
                if (folder / file).is_file():
                    found.setdefault(kind, {}).setdefault(table.backbone, []).append((caption, file))
    return found


def _suffix(table: Table, made: Sequence[Table]) -> str:
    """What a table's pictures have in their names where there are several tables."""
    return "_" + re.sub(r"[^\w.-]", "-", table.backbone, flags=re.ASCII) if len(made) > 1 else ""


def _pictures(
    made: Sequence[Table], facts: SuiteFacts, kinds: Sequence[Literal["png", "pdf"]], files: dict[str, bytes]
) -> dict[str, Pictures]:
    """Draws all pictures into `files` and gives {format: {backbone: [(caption, file name)]}}."""
    if not kinds:
        return {}
    from harness.report.figure import rendered, settings
    from harness.report.plots import CAPTIONS, figures

    found: dict[str, Pictures] = {kind: {} for kind in kinds}
    with settings():
        for table in made:
            for name, figure in figures(table, facts).items():
                for kind in kinds:
                    file = f"{name}{_suffix(table, made)}.{kind}"
                    files[file] = rendered(figure, kind)
                    found[kind].setdefault(table.backbone, []).append((CAPTIONS[name], file))
    return found
