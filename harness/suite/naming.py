"""Which cells of a grid a name means."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import UserError, nearest
from harness.suite.cell import Cell


def cells_named(cells: Sequence[Cell], name: str, where: str) -> list[Cell]:
    """The cells that a name means: one by its label or by `variant/seed=N`, all seeds by the variant alone.

    Args:
        where: what the cells are of, for the message.

    Raises:
        UserError: there is none.
    """
    found = [cell for cell in cells if name in names_of(cell)]
    if found:
        return found
    meant = nearest(name, [text for cell in cells for text in names_of(cell)])
    hint = f"did you mean {meant!r}?" if meant else f"it has cells such as {short(cells[0])!r}" if cells else ""
    raise UserError(f"{where} has no cell {name!r}" + (f"; {hint}" if hint else ""))


def cell_named(cells: Sequence[Cell], name: str, where: str) -> Cell:
    """The one cell that a name means.

    Raises:
        UserError: there is none, or several.
    """
    found = cells_named(cells, name, where)
    if len(found) > 1:
        raise UserError(f"{name!r} names {len(found)} cells of {where}; write one whole: {found[0].label!r}")
    return found[0]


def names_of(cell: Cell) -> tuple[str, ...]:
    """What a cell may be called, from the longest to the shortest."""
    return cell.label, line_of(cell), short(cell), cell.variant


def short(cell: Cell) -> str:
    """A cell's name among those of its network and its data."""
    return f"{cell.variant}/seed={cell.seed}"


def line_of(cell: Cell) -> str:
    """The line of a table that a cell is averaged into."""
    return f"{cell.backbone}/{cell.data.name}/{cell.variant}"
