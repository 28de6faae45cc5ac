"""A suite's whole grid against a results folder: chains, states and rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from harness.plan.stages import Chain, chain_of
from harness.store.latencies import kept, of_most
from harness.store.leases import live
from harness.store.ledger import Ledger
from harness.store.rows import Row, build_row
from harness.store.states import CellState, LedgerResults, cell_state
from harness.suite.cell import Cell


@dataclass(frozen=True)
class Grid:
    """Cells with their stages and where each stands.

    Attributes:
        chains: one a cell, in the suite's order.
        states: likewise.
        done: keys of all finished stages among them.
    """

    chains: tuple[Chain, ...]
    states: tuple[CellState, ...]
    done: frozenset[str]

    def count(self, state: str) -> int:
        """How many cells are in a state."""
        return sum(each.state == state for each in self.states)


def look(cells: list[Cell], results: Path, ledger: Ledger) -> Grid:
    """Where each cell of a grid stands now; cells for which a study that has ended chose nothing are left out."""
    ledger.refresh()
    known = LedgerResults(ledger)
    running = set(live(results))
    named = (chain_of(cell, known) for cell in cells)
    chains = tuple(chain for chain in named if chain.blocked is None or chain.blocked.state != "vacant")
    states = tuple(cell_state(chain, ledger, running) for chain in chains)
    keys = {stage.key for chain in chains for stage in chain.stages}
    return Grid(chains, states, frozenset(key for key in keys if ledger.state(key) == "done"))


def rows_of(grid: Grid, ledger: Ledger) -> list[Row]:
    """One row a cell."""
    rows = [
        build_row(chain, ledger, state.state, state.reason)
        for chain, state in zip(grid.chains, grid.states, strict=True)
    ]
    timed = kept(ledger)
    known = of_most({row.key: timed[row.key] for row in rows if row.key in timed})
    return [replace(row, latency=known.get(row.key)) for row in rows] if known else rows
