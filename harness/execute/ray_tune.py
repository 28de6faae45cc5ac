"""Runs the cells through Ray Tune: a searcher feeds one Tuner from the board, warm workers take job after job."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from harness.errors import UserError
from harness.execute.board import Board
from harness.execute.job import Job, Report, run_job
from harness.execute.place import Place
from harness.execute.ray_study import run_studies
from harness.execute.ray_worker import ledger_of, place_of, told_place
from harness.execute.stop import StopSign
from harness.store.ledger import Ledger
from harness.suite.schema import Resources


class Worker(tune.Trainable):
    """Runs the job of its trial in one step. It is reused: nothing of a job outlives it but the data in memory."""

    def setup(self, config: dict[str, Any]) -> None:
        """Takes the job."""
        # Ctrl-C reaches the whole process group; the driver's stop sign ends a job cleanly, a dead worker does not
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._config = config

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next job; the process, its imports and its data stay."""
        self._config = new_config
        return True

    def step(self) -> dict[str, Any]:
        """The whole job; never raises, because that would cost the warm process."""
        job = Job.from_dict(self._config["job"])
        place = place_of(self._config["place"])
        try:
            ledger = ledger_of(self._config["place"]["results"])
            report = Report(job.cell, "stopped") if place.watch.should_stop() else run_job(job, place, ledger)
        except UserError as error:
            report = Report(job.cell, "halted", str(error))
        # as text: Tune flattens nested results on their way to the searcher
        return {"report": json.dumps(asdict(report)), "done": True}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: a job's own checkpoints lie in the results folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing."""


class Feeder(Searcher):
    """Suggests the board's next job; Tune asks whenever a slot is free."""

    def __init__(self, board: Board, place: dict[str, Any], stop: StopSign) -> None:
        super().__init__(metric=None, mode=None)
        self._board = board
        self._stop = stop
        self._place = place
        self._jobs: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune writes its searcher to its scratch folder, which is never read back."""
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Feeder:
        return self

    def suggest(self, trial_id: str) -> Any:
        """A job's configuration, None while there is none, FINISHED once there never will be."""
        self._board.stopping = self._board.stopping or self._stop()
        job = self._board.next()
        if job is not None:
            self._jobs[trial_id] = job.cell
            return {"job": job.to_dict(), "place": self._place}
        return Searcher.FINISHED if self._board.complete else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Takes the job back; without a report its worker was lost."""
        cell = self._jobs.pop(trial_id, None)
        if cell is None:
            return
        if error or not result or "report" not in result:
            self._board.stopping = self._board.stopping or self._stop()
            self._board.lost(cell)
        else:
            self._board.finished(Report(**json.loads(result["report"])))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the truth."""


def run_tune(board: Board, place: Place, stop: StopSign, resources: Resources, address: str | None) -> None:
    """Works until the board is empty, or the stop sign is raised.

    Args:
        place: as seen from a worker; its watch is replaced by the stop sign.
        address: of a Ray cluster; None starts Ray on this machine.
    """
    scratch = Path(tempfile.mkdtemp(prefix="harness-tune-"))
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        _start_ray(address)
        _check_resources(resources)
        run_studies(board, place, Ledger(place.results), stop, resources, scratch)
        given = told_place(place, stop)
        tuner = tune.Tuner(
            tune.with_resources(Worker, resources.bundle),
            tune_config=tune.TuneConfig(
                search_alg=Feeder(board, given, stop),
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
                trial_name_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="cells",
                storage_path=str(scratch),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        tuner.fit()
    finally:
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


def _start_ray(address: str | None) -> None:
    if ray.is_initialized():
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is not None:
            ray.init(address=address, **quiet)
        else:
            # "local": never a cluster that happens to run on this machine
            ray.init(address="local", include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"Ray cannot be reached: {str(error).splitlines()[0]}") from error


def _check_resources(resources: Resources) -> None:
    """A cell that asks for more than the cluster has would wait for ever."""
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    for name, label in (("cpu", "cores"), ("gpu", "GPUs")):
        wanted, found = resources.bundle[name], there.get(name.upper(), 0)
        if wanted > found:
            stated = f"resources.{name}" + (f" × {resources.ranks} ranks" if resources.ranks > 1 else "")
            raise UserError(f"a cell asks for {wanted:g} {label} ({stated}), Ray has {found:g}")
