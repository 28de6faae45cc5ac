"""A job: the stages of one cell that one worker runs without a break, and the life they lead there."""

from __future__ import annotations

import os
import shutil
import time
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from harness.errors import StageFailure, UserError
from harness.execute.network import Decision
from harness.execute.place import Place
from harness.execute.pristine import pristine, release_memory, still_answers
from harness.execute.stages import SPREAD, run_stage
from harness.measure.environment import provenance
from harness.measure.exclusive import shared
from harness.plan.stages import Stage
from harness.plan.timing import HELD_OUT_WORK, Timing, machine, record
from harness.store.artifacts import Damaged, has_artifact, remove_artifact, verify, write_artifact
from harness.store.leases import Lease, acquire
from harness.store.ledger import Ledger
from harness.train.watch import Stopped, Watch

Status = Literal["done", "failed", "stopped", "busy", "damaged", "halted"]


@dataclass(frozen=True)
class Job:
    """Stages of one cell, parents before children; every parent that is not among them is done."""

    cell: str
    stages: tuple[Stage, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON values only, to travel to a worker."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Job:
        """The job that `to_dict` was made from."""
        stages = tuple(Stage(**{**stage, "parents": tuple(stage["parents"])}) for stage in values["stages"])
        return cls(values["cell"], stages)


@dataclass(frozen=True)
class Report:
    """How a job ended.

    Attributes:
        status: "busy": another driver holds a stage; "damaged": a parent must be made again; "halted": nothing more
            can be run here, for the reason in `message`.
        spoiled: the device is of no use to this process any more; another process may go on.
    """

    cell: str
    status: Status
    message: str = ""
    seconds: float = 0.0
    spoiled: bool = False


def run_job(job: Job, place: Place, ledger: Ledger, again: bool = True) -> Report:
    """Runs the stages in order; never raises for what a stage or the machine does wrong.

    Args:
        again: whether a stage may be tried a second time that found damage where there is none (any more).
    """
    started = time.monotonic()

    def report(status: Status, message: str = "") -> Report:
        spoiled = status == "failed" and not still_answers(place.device)
        if not spoiled:
            release_memory(place.device)
        return Report(job.cell, status, message, time.monotonic() - started, spoiled)

    place.set_threads()
    for stage in job.stages:
        try:
            ledger.refresh()
            if ledger.state(stage.key) == "done" and has_artifact(place.results, stage.key):
                continue
            lease = acquire(place.results, stage.key)
            if lease is None:
                return report("busy", f"{stage.kind} of {job.cell} is run by another driver")
            with lease:
                failed = _run(job, stage, place, ledger, lease)
            if failed is not None:
                return report("failed", failed)
        except Stopped:
            return report("stopped")
        except Damaged as error:
            if _make_again(stage, place, ledger):
                return report("damaged", str(error))
            if again:  # another driver may have mended it meanwhile
                return run_job(job, place, ledger, again=False)
            facts = {"cell": job.cell, "reason": "crashed", "message": str(error)}
            ledger.append("failed", stage.key, stage.kind, facts)
            return report("failed", f"crashed: {error}")
        except UserError as error:
            return report("halted", str(error))
    return report("done")


def _run(job: Job, stage: Stage, place: Place, ledger: Ledger, lease: Lease) -> str | None:
    """Runs one stage under its lease; the reason if it failed."""
    ledger.refresh()
    if ledger.state(stage.key) == "done" and has_artifact(place.results, stage.key):
        return None
    ledger.append("started", stage.key, stage.kind, {"cell": job.cell, "pid": os.getpid()})
    began = time.perf_counter()
    watched = replace(place, watch=_noting(place.watch, job.cell, lease))
    try:
        with shared(), pristine(stage.key) as put_back:
            outcome = run_stage(watched, stage.kind, stage.key, stage.config, stage.parents)
    except (Stopped, UserError):
        raise
    except Exception as error:
        reason, message = _why(error)
        failure: dict[str, Any] = {"cell": job.cell, "reason": reason, "message": message}
        failure["traceback"] = traceback.format_exc()
        failure["provenance"] = _provenance(stage, place)
        ledger.append("failed", stage.key, stage.kind, failure)
        shutil.rmtree(place.checkpoints(stage.key), ignore_errors=True)
        return f"{reason}: {message}"
    seconds = time.perf_counter() - began
    write_artifact(place.results, stage.key, outcome.files)
    facts: dict[str, Any] = outcome.facts | {"cell": job.cell}
    # an interrupted stage trained before this process took it up
    facts["seconds"] = _ranks(stage, place) * max(seconds, float(facts.pop("train_seconds", 0.0)))
    facts["provenance"] = _provenance(stage, place)
    if put_back:
        facts["put_back"] = put_back
    ledger.append("done", stage.key, stage.kind, facts)
    shutil.rmtree(place.checkpoints(stage.key), ignore_errors=True)
    if _ranks(stage, place) == 1:  # estimates are of one process
        _file_timing(stage, place, facts)
    return None


def _ranks(stage: Stage, place: Place) -> int:
    """In how many processes a stage runs."""
    return place.ranks.count if stage.kind in SPREAD else 1


def _provenance(stage: Stage, place: Place) -> dict[str, Any]:
    facts = provenance(place.device, place.threads)
    if (ranks := _ranks(stage, place)) > 1:
        facts |= {"ranks": ranks, "sync_batch_norm": place.ranks.sync_batch_norm}
    return facts


def _noting(watch: Watch, cell: str, lease: Lease) -> Watch:
    def note(facts: dict[str, Any]) -> None:
        lease.note({"cell": cell, **facts})
        watch.note({"cell": cell, **facts})

    return replace(watch, note=note)


def _why(error: Exception) -> tuple[str, str]:
    """The reason that the table shows, and what happened in one line."""
    if isinstance(error, StageFailure):
        return error.reason, error.message
    text = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    memory = (
        isinstance(error, MemoryError) or "out of memory" in text.lower() or "can't allocate memory" in text.lower()
    )
    return ("out of memory" if memory else "crashed"), text


def _make_again(stage: Stage, place: Place, ledger: Ledger) -> bool:
    """Tells the ledger which artifacts that a stage reads are no longer whole, so that they are made again.

    Returns:
        Whether there were any; if not, making them again would not help.
    """
    found = False
    for key in _sources(stage, place):
        try:
            verify(place.results, key)
        except Damaged as error:
            ledger.append("lost", key, "", {"reason": str(error)})
            remove_artifact(place.results, key)
            found = True
    return found


def _sources(stage: Stage, place: Place) -> list[str]:
    """Keys of the artifacts that a stage reads: its parents', and those of the weights that a decision refers to."""
    keys = list(stage.parents)
    for parent in stage.parents:
        with suppress(Damaged, KeyError):
            base = Decision.read(place.results, parent).base
            keys += [base] if base is not None else []
    return keys


def _file_timing(stage: Stage, place: Place, facts: dict[str, Any]) -> None:
    config = stage.config
    work, macs = 0.0, int(facts.get("macs", 0))
    if stage.epochs and "batch" in config:
        train, held_out = place.loaders(config)
        work = stage.epochs * (len(train) + (HELD_OUT_WORK * len(held_out) if held_out is not None else 0.0))
    if stage.kind == "compress":
        macs = 0
    if facts.get("epochs", 0) != stage.epochs:
        work = 0.0
    record(
        Timing(
            machine=machine(),
            backbone=config["backbone"],
            data=config["data"],
            kind=stage.kind,
            method=str(config.get("method", "")),
            device=place.device,
            threads=place.threads,
            batch=int(config.get("batch", 0)),
            work=work,
            macs=macs,
            seconds=float(facts["seconds"]),
        )
    )
