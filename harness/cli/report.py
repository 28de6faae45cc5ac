"""`harness report`: tables and plots of what is there."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import (
    JsonOption,
    ProfileOption,
    ResultsOption,
    SetOption,
    results_folder,
)
from harness.cli.uncollected import uncollected
from harness.errors import UserError, unknown
from harness.inside import inside

if TYPE_CHECKING:
    from harness.report.beside import Helpers
    from harness.report.check import Checked
    from harness.report.facts import SuiteFacts
    from harness.store.rows import Row
    from harness.suite.load import Suite

FORMATS = ("md", "latex", "csv", "png", "pdf")
ALL_FORMATS = (*FORMATS, "html")


def report(
    suite: Annotated[
        str | None,
        typer.Argument(metavar="[SUITE]", help="A suite file, or the name of a shipped suite; none with --recorded."),
    ] = None,
    results: ResultsOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    format_: Annotated[
        str, typer.Option("--format", help="Comma-separated: md, latex, csv, png, pdf, html.")
    ] = ",".join(FORMATS),
    into: Annotated[Path | None, typer.Option("--into", help="Where the files go [RESULTS/report].")] = None,
    recorded: Annotated[
        Path | None,
        typer.Option("--recorded", metavar="FOLDER", help="Make it of FOLDER/recorded.json instead of a suite's runs."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing: compare the report that is there with the rows; without a suite, every folder of "
            "results/measured, and the figures that README.md and docs quote from them.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the table and the plots of what is there, and print where they are."""
    formats = [part.strip() for part in format_.split(",") if part.strip()]
    for name in formats:
        if name not in ALL_FORMATS:
            raise UserError(unknown("format", name, ALL_FORMATS))
    if suite is not None and recorded is not None:
        raise UserError("a report is made of a suite's runs or of --recorded rows, not of both")
    if check and as_json:
        raise UserError("--check prints what differs: leave out --json")
    if suite is None and recorded is None:
        if check:
            _told(_check_committed(Path()))
            return
        raise UserError(
            "which suite? `report SUITE`, `report --recorded FOLDER`, or `report --check` for all committed"
        )
    from harness.report.beside import helpers

    writes = not check and not as_json
    with uncollected(), helpers(writes) as helped:
        if {"png", "pdf"} & set(formats):
            helped.prepare(_ready_to_draw)
        rows, facts, folder = (
            of_recorded(recorded) if recorded is not None else of_suite(suite or "", profile, set_, results)
        )
        if check:
            from harness.report.check import check_report

            _told([check_report(into or folder, rows, facts)])
        elif as_json:
            from harness.report.records import report_json

            print(json.dumps(report_json(rows, facts), indent=2))
        else:
            ran = run_command(suite, results, profile, set_ or []) if suite is not None else ()
            stored = folder.parent if recorded is None else None
            for path in _written(rows, facts, into or folder, formats, stored, ran, helped):
                print(path)


def _ready_to_draw() -> None:
    from harness.report.write import ready_to_draw

    ready_to_draw()


def run_command(suite: str, results: Path | None, profile: str | None, overrides: list[str]) -> tuple[str, ...]:
    """The words of the command that runs the suite as it was given here."""
    words = ["python", "-m", "harness", "run", suite]
    words += ["--profile", profile] if profile is not None else []
    for override in overrides:
        words += ["--set", override]
    words += ["--results", str(results)] if results is not None else []
    return tuple(words)


def of_suite(
    suite: str, profile: str | None, set_: list[str] | None, results: Path | None
) -> tuple[list[Row], SuiteFacts, Path]:
    """Rows and facts of a suite, and the folder of its report."""
    from harness.store.grid import look, rows_of
    from harness.store.ledger import Ledger
    from harness.suite.load import load_suite

    declared = load_suite(suite, profile, set_ or [])
    folder = results_folder(declared, results)
    if not (folder / "ledger").is_dir():
        raise UserError(f"there are no results of {declared.name} in {folder}; run the suite first")
    ledger = Ledger(folder)
    rows = rows_of(look(list(declared.cells), folder, ledger), ledger)
    return rows, suite_facts(declared), inside(folder, "report")


def of_recorded(folder: Path) -> tuple[list[Row], SuiteFacts, Path]:
    """Recorded rows and facts, and the folder itself."""
    from harness.report.recorded import RECORDED, read_recorded

    return (*read_recorded(folder / RECORDED), folder)


def _check_committed(root: Path) -> list[Checked]:
    """Every folder of measured rows, and the documents that quote them."""
    from harness.report.check import Checked, check_folder, check_quotes
    from harness.report.recorded import RECORDED

    measured = root / "results" / "measured"
    if not measured.is_dir():
        raise UserError(f"there is no {measured} here: run this at the root of the checkout, or name a suite")
    found = []
    for folder in sorted(path for path in measured.iterdir() if path.is_dir()):
        if (folder / RECORDED).is_file():
            found.append(check_folder(folder))
        else:
            found.append(Checked(0, 0, (f"{folder}: has no {RECORDED}, so that nothing can be checked",)))
    documents = sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md"), *measured.glob("*.md")])
    return [*found, check_quotes(documents, measured)]


def _told(checked: Sequence[Checked]) -> None:
    """Prints what differs; exit status 1 if anything does."""
    problems = [problem for one in checked for problem in one.problems]
    for problem in problems:
        print(problem)
    texts, quotes = sum(one.texts for one in checked), sum(one.quotes for one in checked)
    counted = f"{texts} texts of reports, {quotes} quoted figures"
    if problems:
        print(
            f"{counted}: {len(problems)} differ from the rows; `report --recorded FOLDER` writes a folder anew",
            file=sys.stderr,
        )
        raise typer.Exit(1)
    print(f"{counted}: all are what the rows give")


def write(suite: Suite, rows: list[Row], folder: Path, formats: list[str], command: tuple[str, ...] = ()) -> list[Path]:
    """Writes the report of a run into a folder of its results, and gives the files' paths."""
    return _written(rows, suite_facts(suite), folder, formats, folder.parent, command)


def _written(
    rows: list[Row],
    facts: SuiteFacts,
    folder: Path,
    formats: list[str],
    results: Path | None,
    command: tuple[str, ...] = (),
    helped: Helpers | None = None,
) -> list[Path]:
    """Writes a report, and with its data the hits that are stored in `results`; gives the files' paths.

    `command` is what runs the suite, where it is known; `helped` makes parts of it beside this process.
    """
    from harness.report.hits import record_hits
    from harness.report.write import write_report

    paths = write_report(rows, facts, folder, formats, command, helped)
    hits = record_hits(rows, results, folder) if results is not None and "csv" in formats else None
    return [*paths, hits] if hits is not None else paths


def suite_facts(suite: Suite) -> SuiteFacts:
    """What a report says of the suite itself."""
    from harness.report.facts import SuiteFacts

    facts: dict[str, Any] = {
        "name": suite.name,
        "title": suite.title,
        "published": suite.published,
        "recipe": suite.recipe,
        "data": suite.data,
        "backbones": tuple(suite.backbones),
        "seeds": tuple(suite.seeds),
        "x": tuple(suite.report.x),
        "profile": suite.profile,
        "rows": suite.report.rows,
        "digest": suite.digest,
    }
    return SuiteFacts(**facts)
