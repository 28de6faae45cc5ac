"""Small cells for tests: the digits, two dense epochs, two of search, two of fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.execute.board import Board
from harness.execute.inline import run_inline
from harness.execute.place import Place
from harness.plan.stages import Chain, chain_of
from harness.registry import method
from harness.store.grid import look, rows_of
from harness.store.ledger import Ledger
from harness.store.rows import Row
from harness.store.states import LedgerResults
from harness.suite.cell import Budget, Cell, DataChoice
from harness.suite.recipe import Epochs, Recipe
from harness.train.watch import Watch

RECIPE = Recipe(epochs=Epochs(dense=2, search=2, finetune=2, baseline=4), batch=64, lr=0.1, weight_decay=5e-4)


def cell(name: str, *, seed: int = 0, budget: float | None = None, recipe: Recipe = RECIPE, **fields: Any) -> Cell:
    """A cell of the small VGG on digits; `params` are the method's own."""
    params = method(name).Params(**fields.pop("params", {})).model_dump(mode="json")
    chosen = None if budget is None else Budget("macs", budget)
    return Cell("vgg_digits", DataChoice("digits"), name, params, seed, recipe, budget=chosen, **fields)


@dataclass
class Finished:
    """A grid after it was run."""

    results: Path
    ledger: Ledger
    chains: tuple[Chain, ...]
    rows: list[Row]


def run(cells: list[Cell], results: Path, watch: Watch | None = None, threads: int = 1) -> Finished:
    """Runs cells in this process; the partners that they name must be among them."""
    ledger = Ledger(results)
    place = Place(results, results / "no-data", "cpu", threads, watch or Watch())
    run_inline(Board(cells, ledger, results), place, ledger)
    grid = look(cells, results, ledger)
    return Finished(results, ledger, grid.chains, rows_of(grid, ledger))


def chain(wanted: Cell, ledger: Ledger) -> Chain:
    """The cell's stages given what the ledger knows."""
    return chain_of(wanted, LedgerResults(ledger))
