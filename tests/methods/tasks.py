"""Tasks of small cells for tests of methods: a real network, real data, nothing run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.execute.network import fresh_network
from harness.execute.place import Place
from harness.execute.task import HarnessTask
from harness.plan.stages import chain_of
from harness.registry import method
from harness.suite.cell import Cell


def task_of(cell: Cell, folder: Path, **changes: Any) -> HarnessTask:
    """The task of a cell's compress stage on fresh weights; `changes` are to the stage's configuration."""
    stage = next(stage for stage in chain_of(cell, {}).stages if stage.kind == "compress")
    config = {**stage.config, **changes}
    params = method(cell.method).Params.model_validate(cell.params)
    return HarnessTask(Place(folder, folder), "0" * 64, config, params, fresh_network(config))
