"""`harness merge`: joins the results of machines that share no disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.errors import UserError


def merge(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="Results folders.")],
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="The folder that gets them all.")],
) -> None:
    """Join results folders: every stage that one of them finished is done in the joint one."""
    from harness.data.folders import joined_facts
    from harness.store.atomic import write_bytes
    from harness.store.merge import merge as join

    for folder in results:
        if not (folder / "ledger").is_dir():
            raise UserError(f"{folder} is no results folder: it has no ledger")
    merged = join(results, into)
    if (facts := joined_facts(results, into)) is not None:
        write_bytes(*facts)
    print(f"{into}: {merged.events:,} new events, {merged.artifacts:,} new artifacts")
