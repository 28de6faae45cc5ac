"""Checks a method against the contract: a few small cells are run, and every invariant is looked at."""

from __future__ import annotations

import ast
import inspect
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import UserError
from harness.method import Method
from harness.plan.stages import Chain
from harness.registry import registered
from harness.store.rows import Row
from harness.suite.cell import Budget, Cell, DataChoice
from harness.suite.recipe import Epochs, Recipe

TOLERANCE = 0.02
"""Relative miss of a budget that the networks' granularity excuses."""
AGREEMENT = {"float64": 1e-10, "float32": 1e-5}
"""How far masked and cut network may be apart, as shares of the largest logit."""
IMAGES = 320
RECIPE = Recipe(epochs=Epochs(dense=1, search=2, finetune=1, baseline=2), batch=64, lr=0.05, weight_decay=5e-4)


class BrokenContract(AssertionError):
    """Invariants that a method breaks, one a line."""

    def __init__(self, name: str, broken: Sequence[str]) -> None:
        self.broken = tuple(broken)
        super().__init__("\n".join([f"{name} breaks its contract:", *(f"  {line}" for line in broken)]))


@dataclass(frozen=True)
class _Ran:
    results: Path
    chains: tuple[Chain, ...]
    rows: list[Row]


def check(
    author: type[Method], *, params: dict[str, Any], budgets: Sequence[float], backbone: str, dataset: str
) -> None:
    """As `harness.check_method`."""
    broken = [*_imports_torch_early(author)]
    with registered(author), tempfile.TemporaryDirectory(prefix="harness-check-") as folder:
        try:
            stated = author.Params.model_validate(params).model_dump(mode="json")
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            where = ".".join(map(str, detail["loc"]))
            raise UserError(f"parameters of {author.name!r}: {where}: {detail['msg']}") from None
        base = Cell(backbone, DataChoice(dataset, IMAGES), author.name, stated, 0, RECIPE)
        cells = _cells(author, base, budgets)
        first = _run(cells, Path(folder) / "first")
        for chain, row in zip(first.chains, first.rows, strict=True):
            broken += _broken(first.results, chain, row)
        repeated = next((cell for cell, row in zip(cells, first.rows, strict=True) if row.state == "done"), None)
        if repeated is not None:
            again = _run([*repeated.candidates, repeated], Path(folder) / "again")
            broken += _differs(first, again, repeated)
    if broken:
        raise BrokenContract(author.name, list(dict.fromkeys(broken)))


def _cells(author: type[Method], base: Cell, budgets: Sequence[float]) -> list[Cell]:
    """The method as it decides by itself, if it does, and at each budget, if it takes one."""
    cells = [base] if author.takes_budget != "required" else []
    if author.takes_budget != "refused":
        natural = (base,) if author.strength is not None and author.takes_budget == "optional" else ()
        cells += [replace(base, budget=Budget("macs", budget), candidates=natural) for budget in budgets]
    return cells


def _run(cells: list[Cell], results: Path) -> _Ran:
    from harness.execute.board import Board
    from harness.execute.inline import run_inline
    from harness.execute.place import Place
    from harness.paths import data_folder
    from harness.store.grid import look, rows_of
    from harness.store.ledger import Ledger

    ledger = Ledger(results)
    board = Board(cells, ledger, results)
    run_inline(board, Place(results, data_folder()), ledger)
    if board.halted:
        raise UserError(board.halted)
    grid = look(cells, results, ledger)
    return _Ran(results, grid.chains, rows_of(grid, ledger))


def _broken(results: Path, chain: Chain, row: Row) -> list[str]:
    """What does not hold for one cell."""
    cell = chain.cell
    at = f"at {cell.budget}" if cell.budget is not None else "without a budget"
    if row.state != "done":
        return [] if row.reason.startswith("out of reach") else [f"{at}: {row.reason or row.state}"]
    found = []
    reached = row.macs or 0
    if row.target is not None and abs(reached - row.target) > TOLERANCE * row.target:
        miss = reached / row.target - 1
        found.append(f"{at}: the budget is missed by {miss:+.1%}: {reached:,} MACs, and {row.target:,} asked for")
    if cell.budget is not None and cell.budget.value == 1 and reached != row.dense_macs:
        found.append(f"{at}: the whole network must stay, {row.dense_macs:,} MACs, and {reached:,} are left")
    trained, total = sum(row.epochs.values()), cell.recipe.epochs.total
    if trained != total:
        parts = " + ".join(f"{count} {stage}" for stage, count in row.epochs.items())
        found.append(f"{at}: the epochs add up to {trained} ({parts}), and every method trains for {total}")
    if not row.training_macs:
        found.append(f"{at}: the bill is {row.training_macs} training MACs, and something was trained")
    return found + [f"{at}: {line}" for line in _disagreements(results, chain)]


def _disagreements(results: Path, chain: Chain) -> list[str]:
    import torch

    from harness.execute.contract import disagreement
    from harness.execute.network import WEIGHTS, Decision, fresh_network, graph_of, read_tensors

    config = chain.stages[-1].config
    decision = Decision.read(results, chain.deciding or "")
    whole = fresh_network(config)
    if decision.base is not None:
        weights, _ = read_tensors(results, decision.base, WEIGHTS)
        whole.load_state_dict(weights | decision.changed)
    graph = graph_of(config, whole)
    lines = []
    for name, allowed in AGREEMENT.items():
        apart = disagreement(whole, config, graph, decision.kept, getattr(torch, name))
        if not apart <= allowed:
            lines.append(
                f"masked and cut network differ by {apart:.1e} of the largest logit in {name}, above {allowed:.0e}"
            )
    return lines


def _differs(first: _Ran, again: _Ran, cell: Cell) -> list[str]:
    """Whether the same seed decided otherwise the second time."""
    from harness.execute.network import Decision

    (one, before), (other, after) = (
        next((chain, row) for chain, row in zip(ran.chains, ran.rows, strict=True) if chain.cell == cell)
        for ran in (first, again)
    )
    if after.state != "done":
        return [f"the same seed finished once, and the second time: {after.reason or after.state}"]
    kept = [Decision.read(ran.results, chain.deciding or "").kept for ran, chain in ((first, one), (again, other))]
    for group in kept[0]:
        if kept[0][group] != kept[1].get(group):
            counts = f"{len(kept[0][group])} and {len(kept[1].get(group, ()))} channels"
            return [
                f"the same seed keeps other channels the second time, first in group {group!r} ({counts}): draw from "
                "`task.generator` alone"
            ]
    if before.top1 != after.top1:
        return [f"the same seed and channels give top-1 {before.top1} once and {after.top1} the second time"]
    return []


def _imports_torch_early(author: type[Method]) -> list[str]:
    """Whether the method's file imports torch at its top, which would slow every command that lists or plans."""
    try:
        path = inspect.getsourcefile(author)
        tree = ast.parse(Path(path).read_text(encoding="utf-8")) if path is not None else ast.Module([], [])
    except (OSError, TypeError, SyntaxError):
        return []
    for node in tree.body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        if any(name.split(".")[0] in {"torch", "torchvision", "torch_pruning"} for name in names):
            return [f"line {node.lineno} imports {names[0]} at the top of its file: import it inside functions"]
    return []
