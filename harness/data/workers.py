"""The processes that read photographs: how they start, what they must not inherit, and how they end.

They are forked by a server that was started for it and has read nothing but this package: a trainer has threads (of
torch, of Ray, of CUDA), and a process that is forked from it may wait for ever for a lock that one of them held.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
import warnings
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

from harness.errors import UserError

PREFETCHED = 2
"""Batches that each process has ready or in work."""

_SHARED_MEMORY = Path("/dev/shm")


def usable(wanted: int) -> int:
    """How many processes may be started here: none by a process that is itself a daemon of multiprocessing."""
    return 0 if multiprocessing.current_process().daemon else max(0, wanted)


@cache
def context() -> ForkServerContext:
    """Starts the server and gives the context that makes processes through it."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["__main__", "harness.data.pictures"])
    # Ctrl-C goes to all processes of a terminal, and only the trainer is to answer it. A blocked signal stays blocked
    # in all that the server starts, even while it starts.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return made


def settle(number: int) -> None:
    """The first thing that each process does."""
    del number
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")  # of damaged EXIF data and the like, thousands in ImageNet
    threading.Thread(target=_end_with_the_trainer, daemon=True).start()


def _end_with_the_trainer() -> None:
    """A killed trainer cannot stop its processes, and torch watches the server in its place."""
    trainer = multiprocessing.parent_process()
    if trainer is not None:
        trainer.join()
        os._exit(1)


def check_memory(workers: int, batch_bytes: int) -> None:
    """A UserError if the batches under way do not fit into shared memory, where a process would die of it."""
    try:
        free = shutil.disk_usage(_SHARED_MEMORY).free
    except OSError:
        return
    needed = workers * PREFETCHED * batch_bytes
    if needed > free:
        raise UserError(
            f"{_SHARED_MEMORY} has {free / 2**20:,.0f} MiB free, and the batches under way need {needed / 2**20:,.0f}; "
            "enlarge it (docker run --shm-size), or lower resources.cpu or recipe.batch"
        )
