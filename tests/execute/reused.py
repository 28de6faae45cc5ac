"""Methods that leave their process as they should not, and cells that must not notice."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import registry
from harness.method import Method, ScoreMethod, Scores, Task
from harness.store.artifacts import artifact_keys, read_files
from harness.store.grid import look, rows_of
from harness.store.ledger import Ledger
from harness.suite.cell import Cell
from tests.execute.small import Crashing, Failing, small, work


def ranks(task: Task) -> Scores:
    return {group.name: torch.arange(group.size) for group in task.groups}


class Messy(ScoreMethod):
    """Leaves everything as it should not."""

    name = "messy"
    title = "Messy"

    def score(self, task: Task) -> Scores:
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_float32_matmul_precision("medium")
        torch.backends.mkldnn.enabled = False
        torch.backends.cudnn.benchmark = True
        torch.autograd.set_detect_anomaly(True)
        torch.manual_seed(1), np.random.seed(1), random.seed(1)
        warnings.simplefilter("ignore")
        os.chdir("/")
        os.environ["LEFT_BEHIND"] = "1"
        return ranks(task)


class MessyAndFailing(Messy):
    """As that, and fails in the end."""

    name = "messy_and_failing"
    title = "Messy and failing"

    def score(self, task: Task) -> Scores:
        super().score(task)
        raise RuntimeError("so much for that")


class Careless(ScoreMethod):
    """Draws from the global generators."""

    name = "careless"
    title = "Careless"

    def score(self, task: Task) -> Scores:
        shift = random.random() + np.random.rand()
        return {group.name: torch.rand(group.size) + shift for group in task.groups}


METHODS: tuple[type[Method], ...] = (Messy, MessyAndFailing, Careless, Crashing, Failing)


def cells() -> list[Cell]:
    """What both processes run."""
    return [small("careless", budget=0.5), small("dnal", params={"lambda_a": 2e-4}, shown=("lambda_a",))]


def bad_company() -> list[Cell]:
    """What the reused process runs before."""
    names = ("messy", "messy_and_failing", "crashing", "failing", "uniform")
    return [small(name, seed=1, budget=0.5) for name in names]


@contextmanager
def known() -> Iterator[None]:
    """The methods of this file are among the registered ones."""
    with ExitStack() as all_of_them:
        for author in METHODS:
            all_of_them.enter_context(registry.registered(author))
        yield


def run(wanted: Callable[[], list[Cell]], results: Path) -> None:
    """Runs cells with the methods of this file, in this process."""
    with known():
        work(wanted(), results)


def outcome(results: Path) -> dict[str, Any]:
    """All artifacts by key, byte for byte, and the figures of the rows of `cells`."""
    with known():
        ledger = Ledger(results)
        rows = rows_of(look(cells(), results, ledger), ledger)
    figures = [(row.top1, row.top5, row.macs, row.params, row.epochs, row.training_macs) for row in rows]
    return {"figures": figures, "files": {key: read_files(results, key) for key in artifact_keys(results)}}
