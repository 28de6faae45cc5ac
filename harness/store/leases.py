"""Leases: of all processes that work on one results folder, one at a time runs a stage.

A lease is a file `RESULTS/leases/KEY.lease`, created exclusively, that names its owner and is touched every ten
seconds. It is stale when its owner's process is gone, or when it was not touched for ninety seconds; then another
process may take it over.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.errors import UserError
from harness.inside import Refused, inside, open_to_append, read_bytes, touch
from harness.printable import one_line
from harness.store import atomic
from harness.store.owner import Owner, this_process

RENEW_SECONDS = 10.0
STALE_SECONDS = 90.0
NOTE_SECONDS = 1.0

_KEY = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")
_MOST_BYTES = 65_536
"""Of a lease or a note."""
_CLOCK = ".clock"
_STEAL = ".steal"


class Lease:
    """The right to run one stage, held until `release()` or the end of the process.

    Use it as a context manager, or call `release()`.
    """

    def __init__(self, folder: Path, key: str, owner: Owner) -> None:
        self.key = key
        self.owner = owner
        self._folder = folder
        self._path = _lease_path(folder, key)
        self._progress = _progress_path(folder, key)
        self._noted = -NOTE_SECONDS
        self._ended = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._renew, name=f"lease {key[:8]}", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether another process took it over, because this one did not touch it in time (it was suspended)."""
        return self._lost

    def note(self, progress: Mapping[str, Any]) -> None:
        """Tells other processes how far the stage is (JSON values); at most once a second, others are dropped.

        Never fails for want of disk: what cannot be written here is of no consequence.
        """
        now = time.monotonic()
        if now - self._noted < NOTE_SECONDS or self._lost or self._ended.is_set():
            return
        self._noted = now
        with suppress(UserError):
            atomic.write_json(self._progress, dict(progress), durable=False)

    def release(self) -> None:
        """Gives the stage free; without effect if the lease was lost or released."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join(timeout=RENEW_SECONDS)
        # Under the lock, so that a lease which another process takes over at this moment is not removed.
        with suppress(OSError, Refused), _exclusively(self._folder):
            if self._is_ours():
                atomic.remove(self._progress)
                atomic.remove(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _is_ours(self) -> bool:
        owner = _owner(self._path)
        return owner is not None and owner.token == self.owner.token

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            try:
                if not self._is_ours():
                    self._lost = True
                    return
                os.utime(self._path, follow_symlinks=False)
            except (FileNotFoundError, Refused):
                self._lost = True
                return
            except OSError:
                continue  # a network file system may be away for a moment


def acquire(results: Path, key: str) -> Lease | None:
    """Takes the lease of a stage, or gives None if a living process holds it.

    A stale lease is taken over; of several processes that try, one gets it.

    Raises:
        Refused: the folder of leases, or the lease, is a link or no plain file.
        UserError: the machine refused to write.
        ValueError: a key that cannot be a file name.
    """
    folder = inside(results, "leases")
    path = _lease_path(folder, key)
    owner = this_process()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not _create(path, owner):
            if not _is_stale(path):
                return None
            with _exclusively(folder):
                # Another process may have taken it over, or its owner released it, since it was looked at.
                if _is_stale(path):
                    atomic.remove(_progress_path(folder, key))
                    path.unlink(missing_ok=True)
                if not _create(path, owner):
                    return None
    except OSError as error:
        raise atomic.cannot_write(path, error) from error
    return Lease(folder, key, owner)


def live(results: Path) -> dict[str, Owner]:
    """{key: owner} of the leases that are held by living processes, sorted by key."""
    folder = inside(results, "leases")
    held: dict[str, Owner] = {}
    for path in sorted(folder.glob("*.lease")):
        key = path.name.removesuffix(".lease")
        with suppress(OSError):
            owner = _owner(path)
            if owner is not None and _KEY.fullmatch(key) and not _is_stale(path):
                held[key] = owner
    return held


def progress(results: Path) -> dict[str, dict[str, Any]]:
    """{key: what its owner last noted} of the leases that are held by living processes and have notes.

    A note is {name: text or number}; whatever else a file says is left out.
    """
    noted: dict[str, dict[str, Any]] = {}
    for key in live(results):
        with suppress(OSError, ValueError, RecursionError):
            told = json.loads(read_bytes(_progress_path(inside(results, "leases"), key), _MOST_BYTES))
            if isinstance(told, dict):
                values = {name: one_line(value) if isinstance(value, str) else value for name, value in told.items()}
                noted[key] = {name: value for name, value in values.items() if type(value) in (str, int, float)}
    return noted


def _lease_path(folder: Path, key: str) -> Path:
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} cannot be the key of a lease")
    return inside(folder, f"{key}.lease")


def _progress_path(folder: Path, key: str) -> Path:
    return inside(folder, f"{key}.progress")


def _create(path: Path, owner: Owner) -> bool:
    """False if the file is there already; raises OSError if the machine refuses."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return False
    try:
        os.write(descriptor, json.dumps(asdict(owner)).encode())
    except OSError:
        atomic.remove(path)
        raise
    finally:
        os.close(descriptor)
    return True


def _owner(path: Path) -> Owner | None:
    """None while its owner is still writing the file, or if it was killed while it did; raises OSError, Refused."""
    try:
        return Owner.from_json(read_bytes(path, _MOST_BYTES))
    except ValueError:
        return None


def _is_stale(path: Path) -> bool:
    """Whether the lease may be taken over; true if the file is gone."""
    try:
        owner = _owner(path)
        if owner is not None and owner.is_gone():
            return True
        touched = path.lstat().st_mtime
        age = _file_system_time(path.parent) - touched
        if age < -STALE_SECONDS:
            # The clock was set back. From now on a living owner keeps it fresh, a dead one lets it age.
            os.utime(path, follow_symlinks=False)
    except FileNotFoundError:
        return True
    return age > STALE_SECONDS


def _file_system_time(folder: Path) -> float:
    """The present by the clock that stamps the lease files, which on a network file system is the server's."""
    try:
        return touch(folder / _CLOCK)
    except OSError:  # a reader without the right to write
        return time.time()


@contextmanager
def _exclusively(folder: Path) -> Iterator[None]:
    with open_to_append(folder / _STEAL) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
