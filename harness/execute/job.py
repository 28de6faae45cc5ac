"""A job: the stages of one cell that one worker runs without a break, and the life they lead there."""

from __future__ import annotations

import os
import shutil
import time
import traceback
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

from harness.errors import StageFailure, UserError
from harness.execute.network import Decision
from harness.execute.place import Place
from harness.execute.pristine import pristine, release_memory, still_answers
from harness.execute.retry import OUT_OF_MEMORY, micro_batches, with_micro_batches
from harness.execute.stages import SPREAD, Outcome, run_stage
from harness.execute.watchdog import Hung, Watchdog, end_process
from harness.measure.environment import provenance
from harness.measure.exclusive import shared
from harness.plan.stages import Stage
from harness.plan.timing import HELD_OUT_WORK, Timing, machine, record
from harness.store.artifacts import Damaged, has_artifact, remove_artifact, verify, write_artifact
from harness.store.leases import Lease, acquire
from harness.store.ledger import Ledger
from harness.train.watch import Stopped, Watch

Status = Literal["done", "failed", "stopped", "busy", "damaged", "crowded", "halted"]


@dataclass(frozen=True)
class Job:
    """Stages of one cell, parents before children; every parent that is not among them is done.

    Attributes:
        alone: nothing else runs meanwhile, because the job found too little memory beside others.
    """

    cell: str
    stages: tuple[Stage, ...]
    alone: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON values only, to travel to a worker."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Job:
        """The job that `to_dict` was made from."""
        stages = tuple(Stage(**{**stage, "parents": tuple(stage["parents"])}) for stage in values["stages"])
        return cls(values["cell"], stages, values["alone"])


@dataclass(frozen=True)
class Report:
    """How a job ended.

    Attributes:
        status: "busy": another driver holds a stage; "damaged": a parent must be made again; "crowded": there was too
            little memory beside others, it may be enough alone; "halted": nothing more can be run here, for the reason
            in `message`.
        spoiled: the device is of no use to this process any more; another process may go on.
    """

    cell: str
    status: Status
    message: str = ""
    seconds: float = 0.0
    spoiled: bool = False

    @property
    def worn(self) -> bool:
        """Whether another process had better go on: a stage that hung was interrupted anywhere, also within torch."""
        return self.spoiled or self.message.startswith("hung: ")


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
                trouble = _run(job, stage, place, ledger, lease)
            if trouble is not None:
                return report(*trouble)
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


def _run(job: Job, stage: Stage, place: Place, ledger: Ledger, lease: Lease) -> tuple[Status, str] | None:
    """Runs one stage under its lease; what came in its way, if anything did."""
    ledger.refresh()
    if ledger.state(stage.key) == "done" and has_artifact(place.results, stage.key):
        return None
    ledger.append("started", stage.key, stage.kind, {"cell": job.cell, "pid": os.getpid()})
    began = time.perf_counter()
    watched = replace(place, watch=_noting(place.watch, job.cell, lease))
    ended = _attempt(job, stage, watched)
    if job.alone:
        for parts in micro_batches(stage):
            if not (isinstance(ended, dict) and ended["reason"] == OUT_OF_MEMORY):
                break
            ended = _attempt(job, stage, watched, parts)
    if isinstance(ended, dict):
        if ended["reason"] == OUT_OF_MEMORY and not job.alone:
            return "crowded", ended["message"]
        ledger.append("failed", stage.key, stage.kind, ended)
        _forget_unfinished(stage, place)
        return "failed", f"{ended['reason']}: {ended['message']}"
    seconds = time.perf_counter() - began
    write_artifact(place.results, stage.key, ended.files)
    facts: dict[str, Any] = ended.facts | {"cell": job.cell}
    # an interrupted stage trained before this process took it up
    facts["seconds"] = _ranks(stage, place) * max(seconds, float(facts.pop("train_seconds", 0.0)))
    facts["provenance"] = _provenance(stage, place)
    ledger.append("done", stage.key, stage.kind, facts)
    _forget_unfinished(stage, place)
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


def _attempt(job: Job, stage: Stage, place: Place, parts: int = 1) -> Outcome | dict[str, Any]:
    """The stage's outcome, or why it failed, as the ledger keeps it.

    Args:
        parts: each of its batches is taken in so many micro-batches.
    """

    def failure(reason: str, message: str, trace: str) -> dict[str, Any]:
        facts: dict[str, Any] = {"cell": job.cell, "reason": reason, "message": message, "traceback": trace}
        return facts | {"provenance": _provenance(stage, place)}

    def hung(trace: str) -> dict[str, Any]:
        return failure("hung", f"no step, batch or epoch for {place.hang_after:g} s", trace)

    def give_up(trace: str) -> None:
        # the ledger of the thread that hangs may be locked by it
        record = partial(Ledger(place.results).append, "failed", stage.key, stage.kind, hung(trace))
        end_process(f"{stage.kind} of {job.cell}", record)

    if job.alone:
        place.free_memory()
    try:
        with shared(), pristine(stage.key) as put_back, ExitStack() as watching:
            if place.hang_after is not None:
                dog = watching.enter_context(Watchdog(place.hang_after, give_up))
                place = replace(place, watch=dog.listening(place.watch))
            if parts == 1:
                outcome = run_stage(place, stage.kind, stage.key, stage.config, stage.parents)
            else:
                outcome = with_micro_batches(run_stage, place, stage, parts)
        return replace(outcome, facts=outcome.facts | {"put_back": put_back}) if put_back else outcome
    except (Stopped, UserError):
        raise
    except Hung:
        return hung(traceback.format_exc())
    except Exception as error:
        return failure(*_why(error), traceback.format_exc())


def _forget_unfinished(stage: Stage, place: Place) -> None:
    """Removes the checkpoints of a stage that has ended, those of smaller micro-batches too."""
    for folder in place.checkpoints(stage.key).parent.glob(f"{stage.key}*"):
        shutil.rmtree(folder, ignore_errors=True)


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
    return (OUT_OF_MEMORY if memory else "crashed"), text


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
