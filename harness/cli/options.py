"""Options that several verbs share, and the folders that follow from them."""

from __future__ import annotations

import fnmatch
import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from harness.data.folders import FACTS, KNOWN_FACTS
from harness.errors import UserError, nearest
from harness.inside import inside
from harness.paths import results_of
from harness.suite.cell import Cell
from harness.suite.load import Suite


def _told(folder: Path | None) -> Path | None:
    """Lets this process and all that it starts know where data sets lie."""
    if folder is not None:
        os.environ["HARNESS_DATA"] = str(folder.absolute())
    return folder


SuiteArgument = Annotated[str, typer.Argument(metavar="SUITE", help="A suite file, or the name of a shipped suite.")]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of the data sets [$HARNESS_DATA, else data].", callback=_told),
]
ResultsOption = Annotated[Path | None, typer.Option("--results", help="Results folder [results/runs/SUITE].")]
ProfileOption = Annotated[str | None, typer.Option("--profile", help="A profile of the suite.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrides one entry.")]
OnlyOption = Annotated[
    list[str] | None, typer.Option("--only", metavar="GLOB", help="Only cells whose name matches, and what they need.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, and nothing else.")]


def results_folder(suite: Suite, given: Path | None) -> Path:
    """The results folder: as given, else `results/runs/SUITE` (`SUITE.PROFILE` under a profile).

    What its runs knew of photographs is known from now on, so that they may be absent.
    """
    folder = results_of(suite.name, suite.profile, given)
    if (facts := inside(folder, FACTS)).is_file():
        os.environ[KNOWN_FACTS] = str(facts.absolute())
    return folder


def writable(folder: Path) -> Path:
    """Makes the folder if need be; a UserError if it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"results folder {folder} cannot be written to: {error.strerror}") from error
    return folder


def select(cells: list[Cell], patterns: list[str] | None) -> list[Cell]:
    """The cells whose label, variant or method matches one of the patterns; all without patterns."""
    if not patterns:
        return list(cells)
    chosen = []
    for pattern in patterns:
        matching = [cell for cell in cells if _matches(cell, pattern)]
        if not matching:
            meant = nearest(pattern, {cell.method for cell in cells} | {cell.variant for cell in cells})
            hint = f"; did you mean {meant!r}?" if meant else f"; cells have names such as {cells[0].label!r}"
            raise UserError(f"--only {pattern}: no cell matches{hint}")
        chosen += matching
    return [cell for cell in cells if cell in set(chosen)]


def _matches(cell: Cell, pattern: str) -> bool:
    literal = pattern.replace("[", "[[]")
    return any(fnmatch.fnmatchcase(name, literal) for name in (cell.label, cell.variant, cell.method))
