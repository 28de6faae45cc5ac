"""`harness new-method`: a file to begin with."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class FamilyName(StrEnum):
    """What a method's author writes."""

    score = "score"
    rounds = "rounds"
    gate = "gate"
    search = "search"
    build = "build"
    plain = "plain"


def new_method(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What a suite will call it, such as my_method.")],
    family: Annotated[FamilyName, typer.Option("--family", help="What you write.")] = FamilyName.score,
    into: Annotated[
        Path | None,
        typer.Option(
            "--into", metavar="DIR", help="Where both files go [methods/ and tests/methods/ of the checkout]."
        ),
    ] = None,
) -> None:
    """Write a method that works, with a test that passes, to begin from."""
    from harness.authoring.new_method import new_method as write

    written = write(name, family.value, into)
    print(f"{written.method}: a working {family.value} method; put your own idea in")
    print(f"{written.test}: its test, `python -m pytest {written.test}`")
