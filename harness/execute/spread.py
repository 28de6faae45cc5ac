"""A stage in several processes: this one and helpers, which run the same stage and train the same network with it.

Helpers are started for a stage and ended with it. They are told what to run in JSON, build the network as this process
does, and leave nothing: this process alone saves, scores and reports. A helper that fails ends the stage with its own
error and traceback; one that was killed has the stage go on from its last checkpoint.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.distributed import distributed_c10d

from harness.data.workers import context, settle, usable
from harness.errors import StageFailure, UserError
from harness.execute.place import Place
from harness.store.artifacts import Damaged
from harness.train.ranks import Ranks, joined
from harness.train.watch import Stopped

T = TypeVar("T")

LOST_RANKS = 3
"""How often a stage goes on from its checkpoint after one of its helpers was killed."""
ENDING = 5.0
"""Seconds in which helpers that failed first have said so."""

Stage = tuple[str, str, Mapping[str, Any], tuple[str, ...]]
"""Kind, key, configuration and parents, as `harness.execute.stages.run_stage` takes them."""


class RankTraceback(Exception):
    """Where a helper failed, as the cause of the stage's error: its text is the helper's traceback."""


class _Lost(Exception):
    """A helper was killed."""


def spread(place: Place, stage: Stage, run: Callable[[Place], T], most_lost: int = LOST_RANKS) -> T:
    """What `run` gives in this process, while the helpers run the same stage.

    Args:
        place: of this process, rank 0; its ranks say how many there are.
        stage: what the helpers are to run.
        run: the stage's work at a place, whose training all ranks join.
        most_lost: how often it goes on after a helper was killed.

    Raises:
        StageFailure: a helper's own; "worker lost" if helpers are killed again and again.
        RuntimeError: what a helper failed with, caused by its `RankTraceback`.
    """
    if not usable(1):
        raise UserError("ranks are processes, and a daemon of multiprocessing cannot start any")
    lost = 0
    while True:
        try:
            return _once(place, stage, run)
        except _Lost as error:
            lost += 1
            if place.watch.should_stop():
                raise Stopped from error
            if lost > most_lost:
                raise StageFailure("worker lost", f"{error}, after {most_lost} others") from error


def _once(place: Place, stage: Stage, run: Callable[[Place], T]) -> T:
    device = _device_of(0, place)
    with tempfile.TemporaryDirectory(prefix="harness-ranks-", ignore_cleanup_errors=True) as folder:
        helpers = _Helpers(place, stage, Path(folder))
        noticed: float | None = None
        try:
            helpers.wait_until_ready(place.watch.should_stop)
            helpers.watch()
            with joined(place.ranks, Path(folder), device):
                try:
                    return run(place)
                except Exception:
                    noticed = time.monotonic()  # before the others see this process leave
                    raise
        except (Stopped, StageFailure, UserError, Damaged, _Lost):
            raise
        except Exception:
            helpers.raise_first(time.monotonic() if noticed is None else noticed)
            raise
        finally:
            helpers.end()


def _device_of(rank: int, place: Place) -> torch.device:
    """Each rank's own GPU, or shared ones if there are fewer."""
    if not place.device.startswith("cuda"):
        return torch.device(place.device)
    return torch.device("cuda", rank % max(1, torch.cuda.device_count()))


class _Helpers:
    """The helpers of one stage."""

    def __init__(self, place: Place, stage: Stage, folder: Path) -> None:
        told = {
            "results": str(place.results.resolve()),
            "data": str(place.data.resolve()),
            "device": place.device,
            "threads": place.threads,
            "count": place.ranks.count,
            "sync_batch_norm": place.ranks.sync_batch_norm,
            "folder": str(folder),
            "stage": stage,
        }
        self._ranks: dict[int, tuple[ForkServerProcess, Connection]] = {}
        self._told: dict[int, dict[str, Any]] = {}
        self._ending = False
        for rank in range(1, place.ranks.count):
            ours, theirs = multiprocessing.Pipe()
            given = json.dumps({**told, "rank": rank})
            # the server that forks helpers has the environment of its own start
            process = context().Process(target=_help, args=(theirs, given, dict(os.environ)), name=f"rank {rank}")
            process.start()
            theirs.close()
            self._ranks[rank] = (process, ours)

    def wait_until_ready(self, should_stop: Callable[[], bool]) -> None:
        """Until every helper is about to join; raises what one of them failed with instead."""
        waiting = set(self._ranks)
        while waiting:
            if should_stop():
                raise Stopped
            multiprocessing.connection.wait([self._ranks[rank][1] for rank in waiting], timeout=0.2)
            for rank in sorted(waiting):
                told = self._news(rank)
                if "at" in told:
                    raise _as_error(rank, told)
                if "ready" in told:
                    waiting.discard(rank)

    def watch(self) -> None:
        """From now on a dead helper also ends a collective of NCCL; gloo sees its closed connection by itself."""
        if torch.cuda.is_available():
            threading.Thread(target=self._abort_if_one_dies, daemon=True).start()

    def _abort_if_one_dies(self) -> None:
        multiprocessing.connection.wait([process.sentinel for process, _ in self._ranks.values()])
        if not self._ending:
            with suppress(Exception):
                distributed_c10d._abort_process_group()

    def raise_first(self, noticed: float) -> None:
        """Raises what a helper failed with, if that was before this process noticed an error of its own."""
        deadline = time.monotonic() + ENDING
        while time.monotonic() < deadline:
            news = {rank: self._news(rank) for rank in self._ranks}
            early = {rank: told for rank, told in news.items() if told.get("at", noticed) < noticed}
            if early:
                rank = min(early, key=lambda each: float(early[each]["at"]))
                raise _as_error(rank, early[rank])
            if all("at" in told or "done" in told for told in news.values()):
                return
            time.sleep(0.05)

    def _news(self, rank: int) -> dict[str, Any]:
        """The last that a helper said ("ready", "done", or an error's facts), or that it was "lost"."""
        process, connection = self._ranks[rank]
        with suppress(EOFError, OSError):
            while connection.poll():
                self._told[rank] = json.loads(connection.recv_bytes())
        said = self._told.get(rank, {})
        if (not said or "ready" in said) and process.exitcode is not None:
            # its connections closed as it died, before anybody noticed
            return {"lost": process.exitcode, "at": 0.0}
        return said

    def end(self) -> None:
        """Ends the helpers; nothing that they have is needed."""
        self._ending = True
        for process, connection in self._ranks.values():
            process.kill()
            process.join()
            process.close()
            connection.close()


def _as_error(rank: int, told: dict[str, Any]) -> Exception:
    if "lost" in told:
        code = told["lost"]
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"gone with status {code}"
        return _Lost(f"rank {rank} was {how}")
    error: Exception
    if told["user"]:
        error = UserError(told["message"])
    elif told["reason"] is not None:
        error = StageFailure(told["reason"], told["message"])
    else:
        error = RuntimeError(f"rank {rank}: {told['message']}")
    error.__cause__ = RankTraceback(f"\n{told['traceback']}")
    return error


def _help(connection: Connection, given: str, environment: dict[str, str]) -> None:
    """The life of a helper."""
    settle(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # which queues send to all processes of a job; rank 0 answers it
    os.environ.clear()
    os.environ.update(environment)
    told = json.loads(given)
    noticed: float | None = None
    try:
        from harness.execute.pristine import pristine
        from harness.execute.stages import run_alone

        ranks = Ranks(told["rank"], told["count"], told["sync_batch_norm"])
        place = Place(Path(told["results"]), Path(told["data"]), told["device"], told["threads"], ranks=ranks)
        place.set_threads()
        device = _device_of(ranks.rank, place)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        kind, key, config, parents = told["stage"]
        connection.send_bytes(json.dumps({"ready": True}).encode())
        with pristine(key), joined(ranks, Path(told["folder"]), device):
            try:
                run_alone(replace(place, device=str(device)), kind, key, config, tuple(parents))
            except BaseException:
                noticed = time.monotonic()
                raise
        connection.send_bytes(json.dumps({"done": True}).encode())
    except BaseException as error:
        at = time.monotonic() if noticed is None else noticed
        failure = {"at": at, "reason": None, "message": _line(error), "traceback": traceback.format_exc()}
        if isinstance(error, StageFailure):
            failure |= {"reason": error.reason, "message": error.message}
        elif isinstance(error, MemoryError):
            failure["reason"] = "out of memory"
        failure["user"] = isinstance(error, UserError)
        with suppress(OSError):
            connection.send_bytes(json.dumps(failure).encode())
        # at once, so that the others see its connections close
        os._exit(1)


def _line(error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
