"""Who has the machine: stages share it, a measurement of time has it alone."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from harness.errors import UserError
from harness.paths import cache_folder


@contextmanager
def shared() -> Iterator[None]:
    """Held while a stage runs; waits while a measurement has the machine. An unwritable cache is no error."""
    try:
        lock = _open()
    except OSError:
        yield
        return
    with lock:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@contextmanager
def alone() -> Iterator[None]:
    """Held while time is measured: no stage of this user starts on this machine meanwhile.

    Raises:
        UserError: a stage is running, another measurement is, or the lock cannot be had.
    """
    try:
        lock = _open()
    except OSError as error:
        raise UserError(f"cannot lock the machine in {cache_folder()}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("cells are running on this machine; latency is measured when it is idle") from None
        except OSError as error:
            raise UserError(f"cannot lock the machine in {cache_folder()}: {error.strerror}") from error
        yield


def _open() -> IO[bytes]:
    cache_folder().mkdir(parents=True, exist_ok=True)
    return (cache_folder() / "machine.lock").open("ab")
