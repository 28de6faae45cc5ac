"""Methods that do what a method should not, installed like any package's, so that Ray's workers find them too."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import ClassVar, Literal

import torch

from harness import registry
from harness.method import Compressed, Method, ScoreMethod, Scores, Task

PATIENCE = "FAULTY_PATIENCE"
"""In the environment: seconds that the patient method waits before it decides."""


def install(folder: Path) -> Path:
    """Makes a folder which, on Python's path, has this module's methods as entry points; gives the folder."""
    info = folder / "faulty-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    points = [f"{author.name} = {__name__}:{author.__name__}\n" for author in FAULTY]
    (info / "entry_points.txt").write_text("[harness.methods]\n" + "".join(points))
    return folder


def put_on_path(folder: Path) -> None:
    """Makes the methods known to this process and to those that it starts; for a process that ends soon."""
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    registry._found.cache_clear()


def rising(task: Task) -> Scores:
    """Later channels are worth more."""
    return {group.name: torch.arange(group.size).float() for group in task.groups}


class Sleeping(ScoreMethod):
    """Waits for what never comes."""

    name = "sleeping"
    title = "Sleeping"

    def score(self, task: Task) -> Scores:
        time.sleep(3600)
        return rising(task)


class Stubborn(ScoreMethod):
    """Goes on whatever interrupts it."""

    name = "stubborn"
    title = "Stubborn"

    def score(self, task: Task) -> Scores:
        while True:
            try:
                time.sleep(3600)
            except BaseException:
                continue


class Patient(ScoreMethod):
    """Takes its time, as long as the environment says."""

    name = "patient"
    title = "Patient"

    def score(self, task: Task) -> Scores:
        time.sleep(float(os.environ.get(PATIENCE, "0")))
        return rising(task)


class Leaking(ScoreMethod):
    """Keeps 96 MiB for ever, each time."""

    name = "leaking"
    title = "Leaking"
    kept: list[bytearray] = []  # noqa: RUF012

    def score(self, task: Task) -> Scores:
        self.kept.append(bytearray(os.urandom(1024)) * (96 * 1024))
        return rising(task)


class Greedy(ScoreMethod):
    """Wants 64 GiB."""

    name = "greedy"
    title = "Greedy"

    def score(self, task: Task) -> Scores:
        torch.ones(2**34)
        return rising(task)


class Diverging(Method):
    """Trains at a learning rate that no network survives."""

    name = "diverging"
    title = "Diverging"
    takes_budget: ClassVar[Literal["required", "optional", "refused"]] = "optional"

    def compress(self, task: Task) -> Compressed:
        task.train(
            task.network,
            epochs=task.epochs,
            learning_rate=1e30,
            parameters=task.network.parameters(),
            momentum=0.9,
            weight_decay=0.0,
        )
        return Compressed(kept={})


FAULTY: tuple[type[Method], ...] = (Sleeping, Stubborn, Patient, Leaking, Greedy, Diverging)
