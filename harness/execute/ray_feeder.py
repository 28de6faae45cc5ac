"""Feeds Ray Tune's workers from the board: a trial of the Tuner is a worker's life, and each of its steps is a job."""

from __future__ import annotations

import json
import math
import secrets
from typing import Any

import ray
from ray.tune.search import Searcher
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.execute.board import Board
from harness.execute.job import Report
from harness.execute.ray_boxes import Boxes
from harness.execute.stop import StopSign
from harness.suite.schema import Resources

REPORT = "report"
"""Under which a step's result has the report of its job, as text: Tune flattens nested results."""
STILLBORN = 3
"""After so many workers that ended before their first job, and none that did not, the run is given up."""


def open_boxes() -> tuple[str, Any]:
    """Starts the boxes on the driver's own node; (name, handle) of their actor, which ends with the handle.

    There and nowhere else, however busy it is: lost with another node, they would take every worker with them.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    name = f"boxes-{secrets.token_hex(8)}"
    return name, ray.remote(Boxes).options(num_cpus=0, name=name, scheduling_strategy=here).remote()


def slots(resources: Resources) -> int:
    """How many cells the nodes of the cluster can run at once; grows when nodes join."""
    count = 0
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        if not node["Alive"]:
            continue
        there: dict[str, float] = node["Resources"]
        fits = there.get("CPU", 0) / resources.bundle["cpu"]
        if resources.gpu:
            fits = min(fits, there.get("GPU", 0) / resources.bundle["gpu"])
        count += math.floor(fits + 1e-6)
    return count


class Feeder(Searcher):
    """Suggests as many workers as there are slots, and gives each the board's next job whenever it has none.

    A worker lives on between jobs, also while there is none for it. Tune's own reuse of actors gives an idle actor to
    a trial that waits for a new one, whose start is thrown away: with short cells, a second worker never came up.
    """

    def __init__(self, board: Board, place: dict[str, Any], stop: StopSign, resources: Resources) -> None:
        super().__init__(metric=None, mode=None)
        self._board, self._place, self._stop, self._resources = board, place, stop, resources
        self._name, self._boxes = open_boxes()
        self._workers: set[str] = set()
        self._idle: list[str] = []
        self._jobs: dict[str, str] = {}
        self._came_up = False
        self._stillborn = 0

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune writes its searcher to its scratch folder, which is never read back."""
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Feeder:
        return self

    def suggest(self, trial_id: str) -> Any:
        """A new worker's configuration, None while there are enough, FINISHED once no work is left.

        Tune asks several times a second, so that workers without a job hear soon of what others have made ready.
        """
        self._serve()
        if not self._jobs and self._board.complete:
            return Searcher.FINISHED
        if len(self._workers) >= min(self._board.open_cells, slots(self._resources)):
            return None
        self._workers.add(trial_id)
        return {"place": self._place, "boxes": self._name, "gpu": self._resources.gpu}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A worker is up, or has ended a job, and wants the next."""
        self._came_up = True
        self._take_back(trial_id, result)
        self._idle.append(trial_id)
        self._serve()

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A worker has ended: it was sent home, gave up its process after its job, or was lost."""
        if trial_id not in self._workers:
            return
        self._workers.discard(trial_id)
        if trial_id in self._idle:
            self._idle.remove(trial_id)
        if not error and result:
            self._take_back(trial_id, result)
        cell = self._jobs.pop(trial_id, None)
        if cell is not None:
            self._heed_stop()
            self._board.lost(cell)
        elif error and not self._came_up:
            self._stillborn += 1
            if self._stillborn >= STILLBORN:
                self._board.halted = f"Ray started {STILLBORN} workers, and all ended before their first job"

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the truth."""

    def _take_back(self, trial_id: str, result: dict[str, Any]) -> None:
        if REPORT in result and trial_id in self._jobs:
            del self._jobs[trial_id]
            self._board.finished(Report(**json.loads(result[REPORT])))

    def _serve(self) -> None:
        """Gives jobs to idle workers while there are any; sends them home once nothing will come."""
        self._heed_stop()
        while self._idle and (job := self._board.next()) is not None:
            worker = self._idle.pop(0)
            self._jobs[worker] = job.cell
            self._boxes.give.remote(worker, job.to_dict())
        if self._idle and not self._jobs and self._board.complete:
            for worker in self._idle:
                self._boxes.give.remote(worker, None)
            self._idle.clear()

    def _heed_stop(self) -> None:
        self._board.stopping = self._board.stopping or self._stop()
