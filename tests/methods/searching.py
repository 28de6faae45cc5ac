"""Tasks for searches, and a stand-in for evaluations."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from harness.channels.graph import KeptChannels
from harness.channels.space import WidthSpace
from harness.errors import StageFailure
from harness.execute.network import fresh_network
from harness.execute.place import Place
from harness.execute.task import HarnessTask
from harness.method import Fidelity
from harness.plan.stages import chain_of
from harness.registry import method
from harness.suite.cell import Cell
from harness.train.watch import Watch


def task_of(cell: Cell, folder: Path, watch: Watch | None = None, **changes: Any) -> HarnessTask:
    """The task of a cell on fresh weights; `changes` are to the stage's configuration."""
    config = {**chain_of(cell, {}).stages[1].config, **changes}
    params = method(cell.method).Params.model_validate(cell.params)
    place = Place(folder, folder, watch=watch or Watch())
    return HarnessTask(place, "0" * 64, config, params, fresh_network(config))


class MadeUp:
    """Evaluations that are a function of the widths, without a network.

    Attributes:
        asked: the widths that were evaluated since the last adoption.
        rounds: what was asked for before each adoption, with the widths adopted.
    """

    def __init__(self, worth: Callable[[Mapping[str, int]], float]) -> None:
        self.worth = worth
        self.asked: list[dict[str, int]] = []
        self.rounds: list[tuple[list[dict[str, int]], dict[str, int]]] = []

    def __call__(self, widths: Mapping[str, int], fidelity: Fidelity) -> float:
        assert isinstance(fidelity, Fidelity)
        self.asked.append(dict(widths))
        return self.worth(widths)

    def kept(self, widths: Mapping[str, int]) -> KeptChannels:
        return {name: tuple(range(width)) for name, width in widths.items()}

    def adopt_best(self) -> dict[str, int]:
        if not self.asked:
            raise StageFailure("crashed", "nothing was evaluated")
        best = max(self.asked, key=self.worth)
        self.rounds.append((self.asked, best))
        self.asked = []
        return best


class Handed:
    """What of a task a search reads."""

    def __init__(self, params: Any, seed: int = 0) -> None:
        self.params = params
        self.generator = torch.Generator().manual_seed(seed)


def chain_space(target: float = 0.4, size: int = 32, layers: int = 5) -> WidthSpace:
    """A plain chain of layers of one size, with a budget that is a share of the whole."""
    sizes = {f"layer{number}": size for number in range(layers)}

    def cost(widths: Mapping[str, int]) -> int:
        row = [3, *(widths[name] for name in sizes), 10]
        return sum(9 * left * right for left, right in itertools.pairwise(row))

    return WidthSpace(sizes, round(target * cost(sizes)), cost, cost)
