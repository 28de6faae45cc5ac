"""Runs a study by Ray Tune: OptunaSearch suggests trials, ASHA stops them, the ledger keeps what they reached."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from harness.errors import UserError
from harness.execute.board import Board
from harness.execute.place import Place
from harness.execute.propose import STUDY, distributions, sampler, storage
from harness.execute.ray_worker import ledger_of, place_of, told_place
from harness.execute.stop import StopSign
from harness.execute.study import Desk
from harness.execute.trial import Told, Trial, TrialJob
from harness.plan.studies import LARGER_IS_BETTER, studies_of
from harness.store.leases import acquire
from harness.store.ledger import Ledger
from harness.suite.schema import Resources
from harness.suite.study import Study

ACCURACY, EPOCH = "held_out_top1", "epoch"
"""What a trial reports after each epoch of fine-tuning."""


class TrialWorker(tune.Trainable):
    """Runs a trial, a step an epoch. It is reused: nothing of a trial outlives it but the data in memory."""

    def setup(self, config: dict[str, Any]) -> None:
        """Takes the trial."""
        # Ctrl-C reaches the whole process group; the driver's stop sign ends a trial cleanly
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next trial; the process, its imports and its data stay."""
        place = new_config["place"]
        self._trial = Trial(TrialJob.from_dict(new_config["trial"]), place_of(place), ledger_of(place["results"]))
        self._epoch = 0
        return True

    def step(self) -> dict[str, Any]:
        """One more epoch; never raises for what the trial does wrong, because that would cost the warm process."""
        self._epoch += 1
        try:
            told = self._trial.advance(self._epoch)
        except UserError as error:
            told = Told("halted", message=str(error))
        # as text: Tune flattens nested results on their way to the searcher
        result = {"told": json.dumps(asdict(told)), EPOCH: self._epoch, "done": told.status != "running"}
        if told.status in {"running", "complete"}:
            result[ACCURACY] = told.curve[-1]
        return result

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: a trial's own checkpoints lie in the results folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing."""


class TrialFeeder(Searcher):
    """Hands out the trials of a desk; Tune asks whenever a slot is free."""

    def __init__(self, desk: Desk, board: Board, place: dict[str, Any], stop: StopSign) -> None:
        super().__init__(metric=None, mode=None)
        self._desk, self._board, self._place, self._stop = desk, board, place, stop
        self._numbers: dict[str, int] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune writes its searcher to its scratch folder, which is never read back."""
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> TrialFeeder:
        return self

    def suggest(self, trial_id: str) -> Any:
        """A trial's configuration, None while there is none, FINISHED once there never will be."""
        if self._stopping or self._board.halted:
            return Searcher.FINISHED
        job = self._desk.next()
        if job is None:
            return Searcher.FINISHED if self._desk.complete else None
        self._numbers[trial_id] = job.number
        return {"trial": job.to_dict(), "place": self._place}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Takes the trial back; one that was still running was stopped by ASHA, one without a report lost."""
        number = self._numbers.pop(trial_id, None)
        if number is None:
            return
        stopping = self._stopping
        if error or not result or "told" not in result:
            if stopping:
                self._desk.ended(number, Told("interrupted"))
            else:
                self._desk.lost(number)
            return
        told = Told(**json.loads(result["told"]))
        if told.status == "halted":
            self._board.halted = told.message
        # what Tune cuts off because the run ends was not stopped by ASHA
        stopped = told.status == "running" and self._desk.study.stopping is not None and not stopping
        self._desk.ended(number, told, stopped)

    @property
    def _stopping(self) -> bool:
        self._board.stopping = self._board.stopping or self._stop()
        return self._board.stopping

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the truth."""


def propose_with_ray(study: Study, number: int, known: Any) -> dict[str, Any]:
    """As `harness.execute.propose.propose`, asked of Ray Tune's OptunaSearch."""
    modes = ["max" if name in LARGER_IS_BETTER else "min" for name in study.objectives]
    several = len(modes) > 1
    search = OptunaSearch(
        space=distributions(study),
        metric=list(study.objectives) if several else study.objectives[0],
        mode=modes if several else modes[0],
        sampler=sampler(study, number),
        storage=storage(study, known),
        study_name=STUDY,
    )
    return dict(search.suggest(str(number)) or {})


def asha(study: Study, outcomes: dict[int, dict[str, Any]]) -> ASHAScheduler | None:
    """The scheduler of a study, knowing what earlier trials had reached; None if its trials are never stopped."""
    if study.stopping is None:
        return None
    scheduler = ASHAScheduler(
        time_attr=EPOCH,
        metric=ACCURACY,
        mode="max",
        max_t=study.trial.recipe.epochs.total,
        grace_period=study.stopping.grace,
        reduction_factor=study.stopping.reduction,
    )
    for number, outcome in outcomes.items():
        trial: Any = SimpleNamespace(trial_id=f"known-{number}")
        nobody: Any = None  # ASHA asks nothing of the controller
        scheduler.on_trial_add(nobody, trial)
        for epoch, value in enumerate(outcome["curve"], start=1):
            scheduler.on_trial_result(nobody, trial, {EPOCH: epoch, ACCURACY: value})
    return scheduler


def run_studies(
    board: Board, place: Place, ledger: Ledger, stop: StopSign, resources: Resources, scratch: Path
) -> None:
    """Runs the studies that the board's cells rest on, one after the other, each as a Tuner of its own."""
    for study in studies_of(board.cells):
        desk = Desk(study, place, ledger, propose_with_ray)
        while not (desk.complete or board.halted or board.stopping):
            lease = acquire(place.results, desk.key)
            if lease is None:  # another driver runs this study
                time.sleep(0.2)
                board.stopping = board.stopping or stop()
                continue
            with lease:
                _tuner(desk, board, told_place(place, stop), stop, resources, scratch).fit()
            board.stopping = board.stopping or stop()


def _tuner(
    desk: Desk, board: Board, place: dict[str, Any], stop: StopSign, resources: Resources, scratch: Path
) -> tune.Tuner:
    return tune.Tuner(
        tune.with_resources(TrialWorker, resources.bundle),
        tune_config=tune.TuneConfig(
            search_alg=TrialFeeder(desk, board, place, stop),
            scheduler=asha(desk.study, desk.outcomes()),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
            trial_name_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=f"study-{desk.key[:12]}",
            storage_path=str(scratch),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
