"""The networks that finished cells left in a results folder, in their cut form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from harness.channels.graph import KeptChannels
from harness.errors import UserError
from harness.execute.network import fresh_network, graph_of, trained_network
from harness.plan.stages import chain_of
from harness.store.ledger import Ledger
from harness.store.rows import Row
from harness.store.states import LedgerResults
from harness.suite.cell import Cell


@dataclass(frozen=True)
class StoredNetwork:
    """A trained network and what it is.

    Attributes:
        network: cut, in evaluation mode, on the CPU.
        cell: what made it.
        kept: {group: indices that stayed}; absent groups are whole.
        widths: {group: (kept, of how many)} of all groups.
        facts: what was measured of it: top1, top5 (shares 0..1), macs, params, provenance …
        key: content key of its measure stage.
    """

    network: nn.Module
    cell: Cell
    kept: KeptChannels
    widths: dict[str, tuple[int, int]]
    facts: dict[str, Any]
    key: str


def stored_network(cell: Cell, results: Path, ledger: Ledger | None = None) -> StoredNetwork:
    """The network of a cell.

    Raises:
        UserError: the cell is not done, or its weights are damaged.
    """
    ledger = Ledger(results) if ledger is None else ledger
    measure = chain_of(cell, LedgerResults(ledger)).measure
    finished = measure is not None and ledger.state(measure.key) == "done"
    facts = ledger.result(measure.key, "measure") if measure is not None and finished else None
    if measure is None or facts is None:
        raise UserError(f"{cell.label} is not done in {results}: there is no network of it")
    try:
        network, kept = trained_network(results, measure.parents[0], measure.config)
    except (RuntimeError, ValueError, LookupError, TypeError) as error:
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"the weights of {cell.label} in {results} do not fit its network: {text}") from error
    groups = graph_of(measure.config, fresh_network(measure.config)).groups
    widths = {name: (len(kept.get(name, range(group.size))), group.size) for name, group in groups.items()}
    return StoredNetwork(network.eval(), cell, kept, widths, facts, measure.key)


def stored_network_of(row: Row, results: Path) -> StoredNetwork:
    """The network of a report's row; raises as `stored_network` does."""
    return stored_network(row.cell, results)
