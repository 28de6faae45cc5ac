"""Writes a report: every file whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.errors import UserError, unknown
from harness.report import records
from harness.report.beside import Helpers, helpers
from harness.report.facts import SuiteFacts
from harness.report.latex import latex
from harness.report.markdown import choices_markdown, markdown
from harness.report.recorded import RECORDED, recorded_json
from harness.report.table import Table, tables
from harness.stats.special import special
from harness.store.atomic import write_bytes
from harness.store.rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE_FORMATS: tuple[Literal["png", "pdf"], ...] = ("png", "pdf")
DEFAULT_FORMATS = ("md", "latex", "csv", *PICTURE_FORMATS)
FORMATS = (*DEFAULT_FORMATS, "html")
"""The page holds five megabytes of script and every cell's curve: it is written when asked for."""
ALIASES = {"markdown": "md", "tex": "latex"}
_TO_DRAW = (
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "PIL.PngImagePlugin",
    "harness.report.plots",
)
Pictures = dict[str, list[tuple[str, str]]]


def write_report(
    rows: Sequence[Row],
    facts: SuiteFacts,
    folder: Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    command: Sequence[str] = (),
    helped: Helpers | None = None,
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
        helped: makes pictures and texts in processes beside this one; the files are the same. If it was prepared, then
            by `ready_to_draw`.

    Raises:
        UserError: a format is unknown, a published table does not exist, or a file cannot be written.
    """
    wanted = {ALIASES.get(name, name) for name in formats}
    for name in wanted:
        if name not in FORMATS:
            raise UserError(unknown("format", name, FORMATS))
    made = tables(rows, facts)
    helped = helped or Helpers(fork=False)
    kinds = [kind for kind in PICTURE_FORMATS if kind in wanted]
    drawn: Callable[[], dict[str, bytes]] = dict
    told: Callable[[], dict[str, bytes]] = dict
    if kinds:
        for table in made:
            _ = table.entries  # which all that follows needs: worked out before it is handed on
        drawn = helped.begin_prepared(partial(_drawn, made, facts, kinds, helped.fork))
    if "csv" in wanted:
        told = helped.begin(lambda: {name: text().encode() for name, text in row_texts(rows, facts).items()})
    # Beside the pictures, whose names the other texts wait for.
    for table in made:
        _ = table.blocks
    html = {"report.html": _page(rows, made, facts, command)} if "html" in wanted else {}
    data = {name: text().encode() for name, text in table_texts(made, facts).items()} if "csv" in wanted else {}
    files = drawn()
    pictures: dict[str, Pictures] = {kind: _named(files, made, kind) for kind in kinds}
    for name, (kind, text) in printed_texts(made, facts, pictures).items():
        if kind in wanted:
            files[name] = text().encode()
    files |= data | told() | html
    for name, content in files.items():
        write_bytes(folder / name, content)
    return [folder / name for name in files]


def _page(rows: Sequence[Row], made: Sequence[Table], facts: SuiteFacts, command: Sequence[str]) -> bytes:
    from harness.report.page import page  # most reports are written without

    return page(rows, made, facts, command).encode()


def row_texts(rows: Sequence[Row], facts: SuiteFacts) -> dict[str, Callable[[], str]]:
    """{file name: what makes its content} of the texts that need no table."""
    told = cache(lambda: records.row_records(rows))
    return {
        "rows.csv": lambda: records.rows_csv(told()),
        "rows.jsonl": lambda: records.rows_jsonl(told()),
        "curves.csv": lambda: records.curves_csv(rows),
        RECORDED: lambda: recorded_json(rows, facts),
    }


def table_texts(made: Sequence[Table], facts: SuiteFacts) -> dict[str, Callable[[], str]]:
    """{file name: what makes its content} of the tables as data."""
    texts = {
        "table.csv": lambda: records.table_csv(made),
        "differences.csv": lambda: records.differences_csv(made),
    }
    if any(table.fair_lines is not None for table in made):
        texts["fair.csv"] = lambda: records.fair_csv(made)
    if facts.published is not None:
        texts["published.csv"] = lambda: records.published_csv(made)
    if any(table.studies for table in made):
        texts["studies.csv"] = lambda: records.studies_csv(made)
    if any(table.chosen for table in made):
        texts["choices.csv"] = lambda: records.choices_csv(made)
    return texts


def printed_texts(
    made: Sequence[Table], facts: SuiteFacts, pictures: Mapping[str, Pictures]
) -> dict[str, tuple[str, Callable[[], str]]]:
    """{file name: (format, what makes its content)} of the tables as they are printed.

    Args:
        made: the tables.
        facts: of the suite.
        pictures: {format: pictures} that stand beside the texts.
    """
    texts: dict[str, tuple[str, Callable[[], str]]] = {
        "report.md": ("md", lambda: markdown(made, facts, pictures.get("png"))),
        "report.tex": ("latex", lambda: latex(made, facts, pictures.get("pdf") or pictures.get("png"))),
    }
    if any(table.chosen for table in made):
        texts["choices.md"] = ("md", lambda: choices_markdown(made, facts))
    return texts


def report_texts(
    made: Sequence[Table], rows: Sequence[Row], facts: SuiteFacts, pictures: Mapping[str, Pictures]
) -> dict[str, tuple[str, Callable[[], str]]]:
    """{file name: (format, what makes its content)} of all that is not a picture; arguments as of the others."""
    data = {name: ("csv", text) for name, text in {**row_texts(rows, facts), **table_texts(made, facts)}.items()}
    return printed_texts(made, facts, pictures) | data


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


def ready_to_draw() -> None:
    """Imports what all pictures need."""
    for name in _TO_DRAW:
        import_module(name)
    special()


def _drawn(
    made: Sequence[Table], facts: SuiteFacts, kinds: Sequence[Literal["png", "pdf"]], beside: bool
) -> dict[str, bytes]:
    """{file name: content} of all pictures, table by table."""
    ready_to_draw()  # before they are shared out

    from harness.report.figure import rendered, settings
    from harness.report.plots import figures

    def saved(draw: Callable[[], Figure | None], stem: str) -> dict[str, bytes]:
        figure = draw()
        return {f"{stem}.{kind}": rendered(figure, kind) for kind in kinds} if figure is not None else {}

    with settings(), helpers(beside) as helped:
        jobs = [
            partial(saved, draw, f"{name}{_suffix(table, made)}")
            for table in made
            for name, draw in figures(table, facts).items()
        ]
        return {name: content for part in helped.share(jobs) for name, content in part.items()}
