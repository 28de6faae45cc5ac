"""`harness.load`: a trained, cut network back as a module."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError, nearest
from harness.export.stored import stored_network, stored_network_of
from harness.store.rows import Row

if TYPE_CHECKING:
    from torch import nn

    from harness.suite.cell import Cell
    from harness.suite.load import Suite


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
    return stored_network(_named(suite, cell), folder).network


def _named(suite: Suite, name: str | None) -> Cell:
    """The one cell of a suite that a name means."""
    cells = suite.cells
    if name is None:
        raise UserError(f"which cell of {suite.name}? for example load({suite.name!r}, {_short(cells[0])!r})")
    found = [cell for cell in cells if name in (cell.label, _short(cell))]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{name!r} names {len(found)} cells of {suite.name}; write one whole: {found[0].label!r}")
    meant = nearest(name, [text for cell in cells for text in (cell.label, _short(cell))])
    raise UserError(f"{suite.name} has no cell {name!r}" + (f"; did you mean {meant!r}?" if meant else ""))


def _short(cell: Cell) -> str:
    return f"{cell.variant}/seed={cell.seed}"
