"""Runs cells a second time, from nothing, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.execute.board import Board
from harness.execute.inline import run_inline
from harness.execute.place import Place
from harness.store.grid import look, rows_of
from harness.store.ledger import Ledger
from harness.store.rows import Row
from harness.store.states import with_partners
from harness.suite.cell import Cell
from harness.train.watch import Watch


def run_again(rows: Sequence[Row], results: Path, data: Path, device: str, watch: Watch) -> list[Row]:
    """The rows of the same cells, trained anew with all that they rest on.

    Args:
        rows: of cells that are done; they run with the threads that each was measured with, because sums are rounded
            otherwise with others.
        results: an empty folder, or one where the same call was interrupted.
        data: the folder of the data sets.
        device: as torch names it.

    Returns:
        One row for each of `rows`, in their order.
    """
    ledger = Ledger(results)
    cells = [row.cell for row in rows]
    for threads in sorted({threads_of(row) for row in rows}):
        same: list[Cell] = [row.cell for row in rows if threads_of(row) == threads]
        place = Place(results, data, device, threads, watch)
        run_inline(Board(with_partners(same, same), ledger, results), place, ledger)
    # Cells for which a study chose nothing are left out of a grid: these were done once, so that they are in it.
    found = {row.cell: row for row in rows_of(look(cells, results, ledger), ledger)}
    return [found[cell] for cell in cells]


def threads_of(row: Row) -> int:
    """Torch's threads when the row was measured."""
    return max(1, int(row.provenance.get("threads", 1)))
