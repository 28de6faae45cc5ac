"""`harness data`: fetches and verifies a data set."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.options import DataOption


def data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set of `harness list datasets`.")],
    data: DataOption = None,
) -> None:
    """Fetch a data set if it is absent, and verify it."""
    from harness.data.catalogue import data_set
    from harness.data.sets import fetch_data, load_data
    from harness.paths import data_folder

    declared = data_set(name)
    folder = data_folder(data)
    fetch_data(name, folder)
    raw = load_data(name, folder)
    where = "comes with an installed library" if declared.embedded else str(folder)
    print(f"{name}: {len(raw.train_images):,} training and {len(raw.test_images):,} test images, verified ({where})")
