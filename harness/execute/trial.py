"""One trial of a study: ordinary stages, run from rung to rung so that it can end early, billed by the epoch."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from harness.execute.job import Job, run_job
from harness.execute.place import Place
from harness.plan.stages import Stage, training_images
from harness.store.leases import acquire
from harness.store.ledger import Ledger
from harness.store.told import fault
from harness.suite.cell import DataChoice
from harness.train.watch import Watch

MOST_REPAIRS = 3
"""How often a trial may come back without an epoch done, because what it reads was damaged."""


@dataclass(frozen=True)
class TrialJob:
    """What a worker must know of a trial.

    Attributes:
        number: from 0.
        label: of its cell, for messages.
        params: those of the space.
        stages: all but the measurement; the last is fine-tuning.
        rungs: epochs of fine-tuning after which it may be stopped, rising.
    """

    number: int
    label: str
    params: dict[str, Any]
    stages: tuple[Stage, ...]
    rungs: tuple[int, ...]

    @property
    def epochs(self) -> int:
        """Of its fine-tuning."""
        return self.stages[-1].epochs

    def to_dict(self) -> dict[str, Any]:
        """JSON values only, to travel to a worker."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> TrialJob:
        """The trial that `to_dict` was made from."""
        stages = tuple(Stage(**{**stage, "parents": tuple(stage["parents"])}) for stage in given["stages"])
        return cls(given["number"], given["label"], given["params"], stages, tuple(given["rungs"]))


@dataclass(frozen=True)
class Told:
    """How far a trial is.

    Attributes:
        status: "running"; "complete": all epochs are done; "failed"; "interrupted": the run is to stop; "halted":
            nothing more can be run here.
        curve: held-out accuracy (0..1) after each epoch of fine-tuning so far.
        seconds: of these epochs.
        message: why it failed or halted.
    """

    status: Literal["running", "complete", "failed", "interrupted", "halted"]
    curve: tuple[float, ...] = ()
    seconds: float = 0.0
    message: str = ""


@dataclass
class Trial:
    """A trial in progress; everything it needs to go on after a kill is in the results folder."""

    job: TrialJob
    place: Place
    ledger: Ledger
    _curve: list[float] = field(default_factory=list)
    _seconds: list[float] = field(default_factory=list)

    def advance(self, epoch: int) -> Told:
        """Tells how the trial stands after `epoch` epochs of fine-tuning, which are trained if they are not yet.

        It trains on to the next rung, where it may be stopped, and no further.
        """
        rung = next((each for each in self.job.rungs if each >= epoch), self.job.epochs)
        repairs, alone = 0, False
        while len(self._curve) < epoch:
            self._look()
            if len(self._curve) >= epoch:
                break
            known = len(self._curve)
            report = run_job(Job(self.job.label, self.job.stages, alone), self._until(rung), self.ledger)
            if report.status == "failed":
                return Told("failed", tuple(self._curve), sum(self._seconds), report.message)
            if report.status == "halted":
                return Told("halted", message=report.message)
            if report.status == "crowded":
                alone = True  # as alone as a trial can be: with no memory held from earlier work
                continue
            if report.status == "busy":
                if self.place.watch.should_stop():
                    return Told("interrupted")
                time.sleep(0.2)
                continue
            self._look()
            if report.status == "stopped" and len(self._curve) < epoch:
                return Told("interrupted")
            repairs += len(self._curve) == known
            if repairs > MOST_REPAIRS:
                return Told("failed", (), 0.0, f"crashed: {report.message or 'fine-tuning leaves no checkpoint'}")
        status: Literal["running", "complete"] = "complete" if epoch >= self.job.epochs else "running"
        return Told(status, tuple(self._curve[:epoch]), sum(self._seconds[:epoch]))

    def _until(self, rung: int) -> Place:
        """The place, with a watch that lets fine-tuning go on to a rung."""
        outer = self.place.watch
        reached = False

        def note(facts: dict[str, Any]) -> None:
            nonlocal reached
            reached = reached or (facts.get("stage") == "finetune" and facts["epoch"] >= rung)
            outer.note(facts)

        def should_stop() -> bool:
            return reached or outer.should_stop()

        # a rung must be on the disk; after the last one only a kill is guarded against
        pause = 0.0 if rung < self.job.epochs else outer.checkpoint_seconds
        return replace(self.place, watch=Watch(note, should_stop, pause))

    def _look(self) -> None:
        """Reads how far fine-tuning is: what the ledger says of the whole stage, or its checkpoint."""
        key = self.job.stages[-1].key
        self.ledger.refresh()
        facts = self.ledger.result(key, "finetune") if self.ledger.state(key) == "done" else None
        if facts is None:
            saved = self.place.checkpoint(key).load()
            facts = saved[1] if saved is not None and fault("finetune", saved[1]) is None else {}
        curve = facts.get("curve", [])
        self._curve = [float(point["held_out_top1"]) for point in curve]
        self._seconds = [float(facts.get("seconds", 0.0)) / len(curve)] * len(curve) if curve else []


def outcome(job: TrialJob, told: Told, stopped: bool, ledger: Ledger) -> dict[str, Any]:
    """What the ledger keeps of a trial that has ended: what it reached, and its bill by stage.

    Args:
        stopped: it was ended early.
    """
    ledger.refresh()
    bill: dict[str, dict[str, Any]] = {}
    deciding: dict[str, Any] = {}
    for stage in job.stages[:-1]:
        facts = ledger.result(stage.key, stage.kind) if ledger.state(stage.key) == "done" else None
        if facts is None:
            continue
        bill[stage.key] = _billed(stage.kind, facts["epochs"], facts["training_macs"], facts["seconds"])
        deciding = facts if stage is job.stages[-2] else {}
    finetune = job.stages[-1]
    if told.curve and deciding:
        config = finetune.config
        images = training_images(DataChoice(config["data"], config["train_images"]), config["all_train"])
        epochs = len(told.curve)
        macs = 3 * int(deciding["macs"]) * images * epochs
        bill[finetune.key] = _billed("finetune", epochs, macs, told.seconds)
    failed = told.status == "failed"
    return {
        "cell": job.label,
        "number": job.number,
        "params": job.params,
        "state": "failed" if failed else "stopped" if stopped else "complete",
        "reason": told.message,
        "curve": list(told.curve),
        "top1": None if failed or not told.curve else told.curve[-1],
        "macs": deciding.get("macs"),
        "params_count": deciding.get("params"),
        "stages": bill,
    }


def forget(job: TrialJob, place: Place) -> None:
    """Removes the checkpoint of a trial that was stopped, unless somebody else trains the same stage."""
    lease = acquire(place.results, job.stages[-1].key)
    if lease is not None:
        with lease:
            shutil.rmtree(place.checkpoints(job.stages[-1].key), ignore_errors=True)


def _billed(kind: str, epochs: int, macs: int, seconds: float) -> dict[str, Any]:
    return {"kind": kind, "epochs": int(epochs), "training_macs": int(macs), "seconds": float(seconds)}
