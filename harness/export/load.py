"""`harness.load`: a trained, cut network back as a module."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.export.stored import stored_network, stored_network_of
from harness.store.rows import Row
from harness.suite.naming import cell_named, short

if TYPE_CHECKING:
    from torch import nn


def load(
    source: str | Path | Row,
    cell: str | None = None,
    *,
    results: str | Path | None = None,
    profile: str | None = None,
    overrides: Sequence[str] = (),
) -> nn.Module:
    """See `harness.load`."""
    if isinstance(source, Row):
        if results is None:
            raise UserError("load(row) needs the results folder that the row is of: load(row, results=…)")
        return stored_network_of(source, Path(results)).network
    if str(source).endswith(".safetensors"):
        from harness.export.safetensors_file import read_safetensors

        return read_safetensors(Path(source))
    from harness.paths import results_of
    from harness.suite.load import load_suite

    suite = load_suite(str(source), profile, overrides)
    folder = results_of(suite.name, suite.profile, Path(results) if results is not None else None)
    if cell is None:
        raise UserError(f"which cell of {suite.name}? for example load({suite.name!r}, {short(suite.cells[0])!r})")
    return stored_network(cell_named(suite.cells, cell, suite.name), folder).network
