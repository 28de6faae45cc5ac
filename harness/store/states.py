"""Where each cell stands, read from the ledger and never remembered elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.plan.stages import Chain, chain_of
from harness.printable import one_line
from harness.store.ledger import Ledger
from harness.store.rows import State
from harness.suite.cell import Cell


class LedgerResults(Mapping[str, Mapping[str, Any]]):
    """What finished stages told, as planning wants it: a view of the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __getitem__(self, key: str) -> Mapping[str, Any]:
        result = self._ledger.for_planning(key)
        if result is None or self._ledger.state(key) != "done":
            raise KeyError(key)
        return result

    def __contains__(self, key: object) -> bool:
        return self._ledger.state(str(key)) == "done"

    def __iter__(self) -> Iterator[str]:
        return iter([key for key in self._ledger.keys() if key in self])  # noqa: SIM118 - a ledger is no mapping

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True)
class CellState:
    """A cell's state and, if it failed or waits, why."""

    state: State
    reason: str = ""


def cell_state(chain: Chain, ledger: Ledger, running: Collection[str] = (), depth: int = 0) -> CellState:
    """Where a cell stands.

    Args:
        running: keys of stages that hold a live lease.
    """
    if chain.blocked is not None:
        return CellState("done" if chain.blocked.state == "vacant" else chain.blocked.state, chain.blocked.reason)
    measure = chain.measure
    if measure is not None and ledger.state(measure.key) == "done":
        return CellState("done")
    for stage in chain.stages:
        if ledger.state(stage.key) == "failed":
            failure = ledger.failure(stage.key) or {}
            reason = f"{failure.get('reason', 'crashed')}: {failure.get('message', '')}"
            return CellState("failed", one_line(reason))
    if chain.partner is not None and depth < 8:
        partner = cell_state(chain_of(chain.partner, LedgerResults(ledger)), ledger, running, depth + 1)
        if partner.state == "failed":
            return CellState("failed", f"its partner {chain.partner.label} failed")
        return CellState("waiting", f"waits for the outcome of {chain.partner.label}")
    if any(stage.key in running for stage in chain.stages if ledger.state(stage.key) != "done"):
        return CellState("running")
    return CellState("waiting")


def with_partners(cells: list[Cell], wanted: list[Cell]) -> list[Cell]:
    """`wanted` and every cell that one of them waits for, in the order of `cells`."""
    needed: set[Cell] = set()
    waiting = list(wanted)
    while waiting:
        cell = waiting.pop()
        if cell in needed:
            continue
        needed.add(cell)
        waiting += [partner for partner in (cell.match, cell.widths_of, cell.scratch_of) if partner is not None]
    ordered = [cell for cell in cells if cell in needed]
    return ordered + sorted(needed - set(ordered), key=lambda cell: cell.label)
