"""Cells that take a second, methods that are made up, and a stand-in for the work of a stage."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field

from harness import registry
from harness.errors import StageFailure
from harness.execute.board import Board
from harness.execute.inline import run_inline
from harness.execute.place import Place
from harness.execute.stages import Outcome
from harness.method import Compressed, Method, Params, ScoreMethod, Scores, Task
from harness.store.grid import Grid, look
from harness.store.ledger import Ledger
from harness.suite.cell import Cell, DataChoice
from harness.suite.recipe import Epochs, Recipe
from harness.train.watch import Watch
from tests.cells import cell

RECIPE = Recipe(epochs=Epochs(dense=1, search=1, finetune=1, baseline=2), batch=64)


def small(name: str, *, recipe: Recipe = RECIPE, **fields: Any) -> Cell:
    """A cell on 128 of the digits with one epoch of everything."""
    return replace(cell(name, recipe=recipe, **fields), data=DataChoice("digits", 128))


def events(results: Path, kind: str) -> Counter[str]:
    """How many events of a kind each stage has, by key, over all writers."""
    return Counter(event.key for event in Ledger(results).refresh() if event.event == kind)


def starts(results: Path) -> Counter[str]:
    """How often each stage was started."""
    return events(results, "started")


def started_cells(results: Path) -> Counter[str]:
    """How many stages were started for each cell."""
    return Counter(event.payload["cell"] for event in Ledger(results).refresh() if event.event == "started")


def work(cells: list[Cell], results: Path, watch: Watch | None = None) -> Grid:
    """Runs cells in this process; where each stands then. Unlike `tests.cells.run` it reads no figures."""
    ledger = Ledger(results)
    run_inline(Board(cells, ledger, results), Place(results, results / "no-data", watch=watch or Watch()), ledger)
    return look(cells, results, ledger)


def facts(kind: str, macs: int) -> dict[str, Any]:
    """What a stage of a kind tells the ledger when it is done."""
    told: dict[str, Any] = {"epochs": 0, "training_macs": 0, "curve": [], "macs": macs}
    if kind in {"compress", "trim"}:
        told |= {"params": 500, "widths": {"features.0": [3, 16]}, "cuttable": ["features.0"]}
    if kind == "measure":
        told |= {"top1": 0.5, "top5": 0.9, "params": 500}
        costs = ("paper_flops", "paper_params", "dense_macs", "dense_params", "dense_paper_flops", "dense_paper_params")
        told |= dict.fromkeys(costs, 2000)
    return told


def fake_stage(place: Place, kind: str, key: str, config: Mapping[str, Any], parents: tuple[str, ...]) -> Outcome:
    """Leaves a file and says what a stage of its kind says, without training anything."""
    assert all(Ledger(place.results).state(parent) == "done" for parent in parents)
    return Outcome({"file": json.dumps([kind, key]).encode()}, facts(kind, config.get("target") or 1000))


def slow_fake_stage(place: Place, kind: str, key: str, config: Mapping[str, Any], parents: tuple[str, ...]) -> Outcome:
    """As `fake_stage`, in a time in which others may come in between."""
    time.sleep(0.03)
    return fake_stage(place, kind, key, config, parents)


class Crashing(ScoreMethod):
    """Has a slip in it."""

    name = "crashing"
    title = "Crashing"

    def score(self, task: Task) -> Scores:
        raise ValueError("the author slipped\non two lines")


class Failing(ScoreMethod):
    """Fails in a way that its author foresaw."""

    name = "failing"
    title = "Failing"

    def score(self, task: Task) -> Scores:
        raise StageFailure("invalid network", "nothing is left")


class Hungry(ScoreMethod):
    """Wants more memory than there is."""

    name = "hungry"
    title = "Hungry"

    def score(self, task: Task) -> Scores:
        raise MemoryError


class Unsure(ScoreMethod):
    """Allocates to a budget although it may be without one."""

    name = "unsure"
    title = "Unsure"
    takes_budget: ClassVar[Literal["required", "optional", "refused"]] = "optional"

    def score(self, task: Task) -> Scores:
        return {group.name: torch.arange(group.size) for group in task.groups}


class DialParams(Params):
    share: Annotated[float, Field(gt=0, le=1)] = 1.0


class Dial(Method):
    """Its strength is the share of every layer that it keeps."""

    name = "dial"
    title = "Dial"
    Params = DialParams
    takes_budget: ClassVar[Literal["required", "optional", "refused"]] = "optional"
    strength: ClassVar[str | None] = "share"

    def compress(self, task: Task) -> Compressed:
        scores = {group.name: torch.arange(group.size).flip(0).float() for group in task.groups}
        kept = {group.name: tuple(range(max(1, round(group.size * task.params.share)))) for group in task.groups}
        return Compressed(kept=kept, scores=scores)


class Careful(ScoreMethod):
    """Looks at held-out images."""

    name = "careful"
    title = "Careful"
    needs_held_out: ClassVar[bool] = True

    def score(self, task: Task) -> Scores:
        return {group.name: torch.arange(group.size) for group in task.groups}


MADE_UP: tuple[type[Method], ...] = (Crashing, Failing, Hungry, Unsure, Dial, Careful)


def with_made_up_methods() -> tuple[dict[str, type[Method]], dict[str, registry.Broken]]:
    """What the registry finds, and the methods of this file."""
    sound, broken = registry._found()
    return {**sound, **{made_up.name: made_up for made_up in MADE_UP}}, broken
