"""Writes a report: every file whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.errors import UserError, unknown
from harness.report import records
from harness.report.beside import Helpers, helpers
from harness.report.facts import SuiteFacts
from harness.report.latex import latex
from harness.report.markdown import choices_markdown, markdown
from harness.report.page import page
from harness.report.recorded import RECORDED, recorded_json
from harness.report.table import Table, tables
from harness.store.atomic import write_bytes
from harness.store.rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    beside: bool = False,
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
        beside: whether pictures and texts may be made in processes forked beside this one; the files are the same.

    Raises:
        UserError: a format is unknown, a published table does not exist, or a file cannot be written.
    """
    wanted = {ALIASES.get(name, name) for name in formats}
    for name in wanted:
        if name not in FORMATS:
            raise UserError(unknown("format", name, FORMATS))
    made = tables(rows, facts)
    with helpers(beside) as helped:
        kinds = [kind for kind in PICTURE_FORMATS if kind in wanted]
        if kinds:
            for table in made:
                _ = table.entries  # which all that follows needs: worked out before anything is forked
        drawn: Callable[[], dict[str, bytes]] = dict
        told: Callable[[], dict[str, bytes]] = dict
        if kinds:
            drawn = helped.begin(lambda: _drawn(made, facts, kinds, helped))
        if "csv" in wanted:
            told = helped.begin(lambda: {name: text().encode() for name, text in row_texts(rows, facts).items()})
        for table in made:
            _ = table.blocks  # beside the pictures, whose names the texts wait for
        html = {"report.html": page(rows, made, facts, command).encode()} if "html" in wanted else {}
        files = drawn()
        pictures: dict[str, Pictures] = {kind: _named(files, made, kind) for kind in kinds}
        texts = report_texts(made, rows, facts, pictures)
        early = told()
        for name, (kind, text) in texts.items():
            if kind in wanted:
                files[name] = early[name] if name in early else text().encode()
        files |= html
    for name, content in files.items():
        write_bytes(folder / name, content)
    return [folder / name for name in files]


def row_texts(rows: Sequence[Row], facts: SuiteFacts) -> dict[str, Callable[[], str]]:
    """{file name: what makes its content} of the texts that need no table."""
    told = cache(lambda: records.row_records(rows))
    return {
        "rows.csv": lambda: records.rows_csv(told()),
        "rows.jsonl": lambda: records.rows_jsonl(told()),
        "curves.csv": lambda: records.curves_csv(rows),
        RECORDED: lambda: recorded_json(rows, facts),
    }


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
        **{name: ("csv", text) for name, text in row_texts(rows, facts).items()},
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
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return {kind: found for kind in PICTURE_FORMATS if (found := _named(there, made, kind))}


def _named(there: Container[str], made: Sequence[Table], kind: str) -> Pictures:
    """The pictures of one format among files: {backbone: [(caption, file name)]}."""
    from harness.report.plots import CAPTIONS

    found: Pictures = {}
    for table in made:
        for name, caption in CAPTIONS.items():
            file = f"{name}{_suffix(table, made)}.{kind}"
            if file in there:
                found.setdefault(table.backbone, []).append((caption, file))
    return found


def _suffix(table: Table, made: Sequence[Table]) -> str:
    """What a table's pictures have in their names where there are several tables."""
    return "_" + re.sub(r"[^\w.-]", "-", table.backbone, flags=re.ASCII) if len(made) > 1 else ""


def _drawn(
    made: Sequence[Table], facts: SuiteFacts, kinds: Sequence[Literal["png", "pdf"]], helped: Helpers
) -> dict[str, bytes]:
    """{file name: content} of all pictures, table by table."""
    # What all pictures need is imported before they are shared out.
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_pdf  # noqa: F401

    from harness.report.figure import rendered, settings
    from harness.report.plots import figures

    def saved(draw: Callable[[], Figure | None], stem: str) -> dict[str, bytes]:
        figure = draw()
        return {f"{stem}.{kind}": rendered(figure, kind) for kind in kinds} if figure is not None else {}

    with settings():
        jobs = [
            partial(saved, draw, f"{name}{_suffix(table, made)}")
            for table in made
            for name, draw in figures(table, facts).items()
        ]
        return {name: content for part in helped.share(jobs) for name, content in part.items()}
