"""Tasks of gate methods outside of a run: a small VGG on 128 digits, three epochs of search, two steps each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from harness.execute.network import fresh_network
from harness.execute.place import Place
from harness.execute.task import HarnessTask
from harness.plan.stages import chain_of
from harness.registry import method
from harness.suite.cell import Cell
from harness.suite.recipe import Epochs, Recipe
from harness.train.watch import Watch
from tests.execute.small import small

EPOCHS, STEPS = 3, 2
RECIPE = Recipe(epochs=Epochs(dense=1, search=EPOCHS, finetune=1, baseline=2), batch=64)


def task_of(cell: Cell, results: Path, watch: Watch | None = None) -> HarnessTask:
    """The task of a cell's `compress` stage, on fresh weights."""
    stage = next(stage for stage in chain_of(cell, {}).stages if stage.kind == "compress")
    params = method(cell.method).Params.model_validate(cell.params)
    network = fresh_network(stage.config)
    return HarnessTask(Place(results, results, watch=watch or Watch()), stage.key, stage.config, params, network)


def task(name: str, results: Path, watch: Watch | None = None, batch: int = 64, **params: Any) -> HarnessTask:
    """The task of that method with its own parameters."""
    recipe = RECIPE.model_copy(update={"batch": batch})
    return task_of(small(name, recipe=recipe, params=params), results, watch)


def gates_in(network: nn.Module) -> list[str]:
    """The names of all gates that a network carries."""
    return [name for name in network.state_dict() if "gate_values" in name]
