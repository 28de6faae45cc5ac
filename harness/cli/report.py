"""`harness report`: tables and plots of what is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import (
    JsonOption,
    ProfileOption,
    ResultsOption,
    SetOption,
    SuiteArgument,
    results_folder,
)
from harness.errors import UserError, unknown

if TYPE_CHECKING:
    from harness.report.facts import SuiteFacts
    from harness.store.rows import Row
    from harness.suite.load import Suite

FORMATS = ("md", "latex", "csv", "png", "pdf")
ALL_FORMATS = (*FORMATS, "html")


def report(
    suite: SuiteArgument,
    results: ResultsOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    format_: Annotated[
        str, typer.Option("--format", help="Comma-separated: md, latex, csv, png, pdf, html.")
    ] = ",".join(FORMATS),
    into: Annotated[Path | None, typer.Option("--into", help="Where the files go [RESULTS/report].")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the table and the plots of what is there, and print where they are."""
    from harness.report.records import report_json
    from harness.store.grid import look, rows_of
    from harness.store.ledger import Ledger
    from harness.suite.load import load_suite

    formats = [part.strip() for part in format_.split(",") if part.strip()]
    for name in formats:
        if name not in ALL_FORMATS:
            raise UserError(unknown("format", name, ALL_FORMATS))
    declared = load_suite(suite, profile, set_ or [])
    folder = results_folder(declared, results)
    if not (folder / "ledger").is_dir():
        raise UserError(f"there are no results of {declared.name} in {folder}; run the suite first")
    ledger = Ledger(folder)
    rows = rows_of(look(list(declared.cells), folder, ledger), ledger)
    if as_json:
        print(json.dumps(report_json(rows, suite_facts(declared)), indent=2))
        return
    ran = run_command(suite, results, profile, set_ or [])
    paths = write(declared, rows, into or folder / "report", formats, ran)
    for path in paths:
        print(path)


def run_command(suite: str, results: Path | None, profile: str | None, overrides: list[str]) -> tuple[str, ...]:
    """The words of the command that runs the suite as it was given here."""
    words = ["python", "-m", "harness", "run", suite]
    words += ["--profile", profile] if profile is not None else []
    for override in overrides:
        words += ["--set", override]
    words += ["--results", str(results)] if results is not None else []
    return tuple(words)


def write(suite: Suite, rows: list[Row], folder: Path, formats: list[str], command: tuple[str, ...] = ()) -> list[Path]:
    """Writes the report's files and gives their paths; `command` is what runs the suite."""
    from harness.report.write import write_report

    return write_report(rows, suite_facts(suite), folder, formats, command)


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
