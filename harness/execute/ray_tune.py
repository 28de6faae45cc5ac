"""Runs the cells through Ray Tune: one Tuner, whose trials are workers that take job after job from the board."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from ray import tune

from harness.errors import UserError
from harness.execute.board import Board
from harness.execute.job import Job, Report, run_job
from harness.execute.packing import limit_memory
from harness.execute.place import Place
from harness.execute.ray_environment import check_loopback, on_loopback
from harness.execute.ray_feeder import REPORT, Feeder
from harness.execute.ray_servers import ServersWatch
from harness.execute.ray_study import run_studies
from harness.execute.ray_worker import Growth, ledger_of, place_of, told_place
from harness.execute.stop import StopSign
from harness.store.ledger import Ledger
from harness.suite.schema import Resources


class Worker(tune.Trainable):
    """Runs one job after the other, a step each. Nothing of a job outlives it but the data in memory."""

    def setup(self, config: dict[str, Any]) -> None:
        """Notes where it works."""
        # Ctrl-C reaches the whole process group; the driver's stop sign ends a job cleanly, a dead worker does not
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._told, self._share = config["place"], config["gpu"]
        self._boxes = ray.get_actor(config["boxes"])
        self._growth = Growth()
        self._is_up = False

    def step(self) -> dict[str, Any]:
        """Says that it is up; then a whole job a call. Never raises, because that would cost the warm process.

        The process is given up after an error of the GPU or a hang, and when it has grown too large.
        """
        if not self._is_up:
            self._is_up = True
            return {}
        given: Any = ray.get(self._boxes.take.remote(self.trial_id))
        if given is None:
            return {"done": True}
        job = Job.from_dict(given)
        place = place_of(self._told)
        limit_memory(place.device, 1.0 if job.alone else self._share)
        try:
            ledger = ledger_of(self._told["results"])
            report = Report(job.cell, "stopped") if place.watch.should_stop() else run_job(job, place, ledger)
        except UserError as error:
            report = Report(job.cell, "halted", str(error))
        given_up = report.worn or self._growth.exceeds(place.most_growth)
        return {REPORT: json.dumps(asdict(report)), "done": given_up}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: a job's own checkpoints lie in the results folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing."""


def run_tune(board: Board, place: Place, stop: StopSign, resources: Resources, address: str | None) -> None:
    """Works until the board is empty, or the stop sign is raised.

    Args:
        place: as seen from a worker; its watch is replaced by the stop sign.
        address: of a Ray cluster; None starts Ray on this machine.
    """
    scratch = Path(tempfile.mkdtemp(prefix="harness-tune-"))
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # a lost worker is no news that needs a traceback
    try:
        _start_ray(address)
        _check_resources(resources)
        with ServersWatch(lambda: shutil.rmtree(scratch, ignore_errors=True)):
            run_studies(board, place, Ledger(place.results), stop, resources, scratch)
            given = told_place(place, stop)
            tuner = tune.Tuner(
                tune.with_resources(Worker, resources.bundle),
                tune_config=tune.TuneConfig(
                    search_alg=Feeder(board, given, stop, resources),
                    num_samples=-1,
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
            with _all_at_once():
                tuner.fit()
    finally:
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _all_at_once() -> Iterator[None]:
    """All workers start together, where Tune would wait for one before it starts the next; studies keep Tune's way."""
    before = os.environ.get(_PENDING)
    os.environ[_PENDING] = "1000"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_PENDING]
        else:
            os.environ[_PENDING] = before


_PENDING = "TUNE_MAX_PENDING_TRIALS_PG"


def _start_ray(address: str | None) -> None:
    if ray.is_initialized():
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is not None:
            ray.init(address=address, **quiet)
        else:
            with on_loopback():
                # "local": never a cluster that happens to run on this machine
                ray.init(address="local", include_dashboard=False, **quiet)
            check_loopback()
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"Ray cannot be reached: {str(error).splitlines()[0]}") from error


def _check_resources(resources: Resources) -> None:
    """A cell that asks for more than any machine of the cluster has would wait for ever."""
    known: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    nodes: list[dict[str, float]] = [node["Resources"] for node in known if node["Alive"]]
    for name, label in (("cpu", "cores"), ("gpu", "GPUs")):
        wanted = resources.bundle[name]
        found = max((there.get(name.upper(), 0) for there in nodes), default=0)
        if wanted > found:
            stated = f"resources.{name}" + (f" × {resources.ranks} ranks" if resources.ranks > 1 else "")
            raise UserError(f"a cell asks for {wanted:g} {label} ({stated}), Ray has {found:g} on one machine")
