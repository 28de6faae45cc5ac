"""Loads a suite: the one way from a file's name to cells."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError, nearest
from harness.paths import shipped_suites
from harness.suite.cell import Cell, DataChoice
from harness.suite.grid import cells
from harness.suite.problems import Problems
from harness.suite.recipe import Recipe
from harness.suite.resolve import resolved
from harness.suite.schema import TOP_LEVEL, ReportBlock, Resources, declared
from harness.suite.source import plain, read


@dataclass(frozen=True)
class Suite:
    """A suite with everything resolved.

    Attributes:
        name: also the name of the folder of its results.
        title: heading of the table; the name if the file states none.
        published: which quoted rows to show beside ours, "PAPER / DATA SET / BACKBONE", or None.
        data: the data set.
        backbones: names, in the file's order.
        seeds: in the file's order.
        recipe: resolved.
        recipe_name: the named recipe that it builds on.
        cells: the grid, in a fixed order.
        resources: what one running cell takes.
        report: what the report shows.
        path: of the file.
        profile: the profile that was applied, or None.
        digest: SHA-256 of the resolved document with its resolved recipe, hexadecimal; comments do not count.
    """

    name: str
    title: str
    published: str | None
    data: DataChoice
    backbones: tuple[str, ...]
    seeds: tuple[int, ...]
    recipe: Recipe
    recipe_name: str
    cells: list[Cell]
    resources: Resources
    report: ReportBlock
    path: Path
    profile: str | None
    digest: str


def load_suite(reference: str, profile: str | None = None, overrides: Sequence[str] = ()) -> Suite:
    """The suite of a file.

    Args:
        reference: a path, or the name of a suite that ships with the harness, with or without `.yaml`.
        profile: which of its profiles to apply, or None.
        overrides: `KEY=VALUE` texts such as `recipe.epochs.dense=3`, applied after the profile.

    Raises:
        SuiteError: something is wrong in the file or in an override; holds every problem with its place.
        UserError: there is no such file or profile, or an override is not `KEY=VALUE`.
    """
    path = find_suite(reference)
    problems = Problems(str(path))
    document = resolved(read(path, problems), TOP_LEVEL, profile, overrides, problems)
    declaration = declared(document, problems)
    problems.raise_any()
    assert declaration is not None
    file = declaration.file
    meant = {**plain(document), "recipe": declaration.recipe.model_dump(mode="json")}
    return Suite(
        name=file.suite,
        title=file.title or file.suite,
        published=file.published,
        data=declaration.data,
        backbones=tuple(file.backbones),
        seeds=tuple(file.seeds),
        recipe=declaration.recipe,
        recipe_name=declaration.recipe_name,
        cells=cells(declaration),
        resources=file.resources,
        report=file.report,
        path=path,
        profile=profile,
        digest=hashlib.sha256(json.dumps(meant, sort_keys=True).encode()).hexdigest(),
    )


def find_suite(reference: str) -> Path:
    """The file that a reference names; a UserError that says what was probably meant if there is none."""
    try:
        path = Path(reference)
        if path.is_file():
            return path
        shipped = {entry.stem: entry for entry in sorted(shipped_suites().glob("*.yaml"))}
        name = reference.removesuffix(".yaml")
        if name in shipped:
            return shipped[name]
        if path.is_dir():
            raise UserError(f"{reference} is a folder; name the suite file in it")
        beside = sorted(entry.name for entry in path.parent.glob("*.y*ml"))
    except (OSError, ValueError) as error:
        raise UserError(f"suite {reference!r} cannot be opened: {error}") from None
    meant = nearest(path.name, beside)
    if meant:
        raise UserError(f"there is no suite {reference!r}; did you mean {str(path.parent / meant)!r}?")
    meant = nearest(path.name.removesuffix(".yaml"), shipped)
    if meant:
        raise UserError(f"there is no suite {reference!r}; did you mean {meant!r}?")
    there = f"shipped suites: {', '.join(shipped)}" if shipped else "no suites are shipped"
    raise UserError(f"there is no suite {reference!r}; {there}")
