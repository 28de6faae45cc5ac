"""`harness data`: fetches and verifies a data set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import DataOption


def data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set of `harness list datasets`.")],
    data: DataOption = None,
    decode: Annotated[
        bool, typer.Option("--decode", help="Photographs: read every image, on all cores, instead of counting alone.")
    ] = False,
) -> None:
    """Fetch a data set if it is absent, and verify it; photographs must be there already."""
    from harness.data.catalogue import sketch
    from harness.data.sets import fetch_data
    from harness.paths import data_folder

    folder = data_folder(data)
    known = sketch(name)
    if known.photographs:
        print(_photographs(name, folder, decode))
        return
    raw = fetch_data(name, folder)
    where = "comes with an installed library" if known.embedded else str(folder)
    print(f"{name}: {len(raw.train_images):,} training and {len(raw.test_images):,} test images, verified ({where})")


def _photographs(name: str, folder: Path, decode: bool) -> str:
    """Counts photographs, or reads them all; what was found, in one line."""
    from harness.data.catalogue import data_set
    from harness.data.sets import find_photographs

    declared = data_set(name, folder)
    there = find_photographs(declared, folder)
    if decode:
        from harness.data.photographs import PhotographLoader

        for part in (there.train, there.test):
            for _ in PhotographLoader(part, declared, workers=(os.cpu_count() or 1) - 1).plain(64):
                pass
    return (
        f"{name}: {declared.classes:,} classes, {declared.train_images:,} training and {declared.test_images:,} test "
        f"images, {'every one read' if decode else 'counted'} ({folder / declared.folder})"
    )
