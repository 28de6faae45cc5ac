"""`harness reproduce`: a printed row, run again."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import DataOption, JsonOption, ProfileOption, ResultsOption, SetOption, writable
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.store.rows import Row


def reproduce(
    source: Annotated[
        str,
        typer.Argument(metavar="SUITE|FOLDER", help="A suite, or a folder with recorded rows (results/measured/…)."),
    ],
    row: Annotated[str, typer.Argument(metavar="ROW", help="A cell's name; without its seed: all seeds of the line.")],
    data: DataOption = None,
    results: ResultsOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    into: Annotated[
        Path | None,
        typer.Option("--into", help="Keep the second run here, and go on from it [a temporary folder]."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run one printed row again: is it bit-equal, within its interval, or different?"""
    from harness.cli.progress import Progress
    from harness.cli.report import of_recorded, of_suite
    from harness.paths import data_folder
    from harness.report.hits import hits_in
    from harness.report.recorded import RECORDED
    from harness.reproduce.verdict import repeated, verdicts
    from harness.reproduce.words import outcome_of, verdict_record, verdict_text

    if (Path(source) / RECORDED).is_file():
        stored, facts, folder = of_recorded(Path(source))
    else:
        stored, facts, report = of_suite(source, profile, set_, results)
        folder = report.parent
    before = _named(stored, row, facts.name)
    if into is not None and into.exists() and into.resolve() == folder.resolve():
        raise UserError(f"--into {into} is the folder that the row is compared with; name another one")
    images = data_folder(data)
    device = _device(before, images)
    from harness.execute.stop import StopSign
    from harness.reproduce.again import run_again
    from harness.train.watch import Watch

    with _folder(into) as here:
        stop = StopSign(here / "leases" / "stop", None)
        watch = Watch(should_stop=stop, checkpoint_seconds=15.0)
        from harness.cli.ending import ending

        with ending(stop) as caught, Progress([each.cell for each in before], here):
            again = run_again(before, here, images, device, watch)
        if caught:
            where = f"; the same command goes on from {into}" if into is not None else "; with --into it could go on"
            print(f"interrupted{where}", file=sys.stderr)
            raise typer.Exit(130)
        known, known_again = hits_in(folder), hits_in(here)
        pairs = [repeated(one, other, known(one), known_again(other)) for one, other in zip(before, again, strict=True)]
    found = verdicts(pairs, stored)
    if as_json:
        print(json.dumps({"suite": facts.name, "rows": [verdict_record(one) for one in found]}, indent=2))
    else:
        print("\n\n".join(verdict_text(one) for one in found))
    raise typer.Exit(outcome_of(found))


def _named(stored: list[Row], name: str, where: str) -> list[Row]:
    """The rows that a name means; they must be done."""
    from harness.suite.naming import cells_named

    wanted = set(cells_named([each.cell for each in stored], name, where))
    found = [each for each in stored if each.cell in wanted]
    for each in found:
        if each.state != "done":
            raise UserError(f"{each.cell.label} is {each.state}: there is no figure to reproduce")
    return found


def _device(rows: list[Row], images: Path) -> str:
    """The kind of device that the rows were measured on, if it is here; checks that the data are."""
    from harness.data.sets import load_data, present

    for name in {each.cell.data.name for each in rows}:
        if not present(name, images):
            load_data(name, images)
    if not any(str(each.provenance.get("device", "")).startswith("cuda") for each in rows):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def _folder(into: Path | None) -> Iterator[Path]:
    """Where the second run goes."""
    if into is not None:
        yield writable(into)
        return
    with tempfile.TemporaryDirectory(prefix="harness-reproduce-") as temporary:
        yield Path(temporary)
