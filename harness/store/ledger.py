"""The ledger: what knows of every stage whether it is done, failed or waiting.

An append-only log. Every process writes a file of its own, so that no two ever write to one file, and what is known is
the union of all files in `RESULTS/ledger/`. The files are named `HOST-K.sqlite`; a process takes the first whose lock
is free, so that the files of ended processes are used again.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from harness.errors import UserError
from harness.inside import inside, open_to_append
from harness.printable import one_line
from harness.store import atomic, events
from harness.store.events import REVOKES, Event, EventKind
from harness.store.told import Told, failure_fault, fault

State = Literal["done", "failed", "waiting"]


@dataclass
class _Stage:
    """What is known of one stage."""

    done: dict[str, Event] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    last: Event | None = None
    last_done: Event | None = None
    last_failed: Event | None = None

    def add(self, event: Event, digest: str) -> None:
        if event.event == "started":
            return
        if event.event == "done":
            self.done[digest] = event
            self.last_done = _later(self.last_done, event)
        elif event.event == "failed":
            self.last_failed = _later(self.last_failed, event)
        else:
            self.revoked.update(event.payload.get(REVOKES, ()))
        self.last = _later(self.last, event)

    @property
    def state(self) -> State:
        if self.done.keys() - self.revoked:
            return "done"
        return "failed" if self.last is not None and self.last.event == "failed" else "waiting"


def _later(one: Event | None, other: Event) -> Event:
    return other if one is None or other.time >= one.time else one


@dataclass
class _Source:
    """One file and how far it was read."""

    identity: tuple[int, int]
    read: int = 0


class Ledger:
    """The events of one results folder.

    Reading creates no files, and starts with the first question. Usable from several threads.
    """

    def __init__(self, results: Path) -> None:
        self._results = results
        self._folder = results / "ledger"
        self._sources: dict[Path, _Source] = {}
        self._seen: set[str] = set()
        self._stages: dict[str, _Stage] = {}
        self._unreported: list[Event] = []
        self._proved: dict[int, Event] = {}
        self._latest = 0.0
        self._was_read = False
        self._guard = threading.RLock()
        self._database: sqlite3.Connection | None = None
        self._file: Path | None = None
        self._lock: IO[bytes] | None = None

    def refresh(self) -> list[Event]:
        """Reads what was written since the last time, by any process.

        Returns:
            The events that this object had neither read nor written, in order of time; each event once, however many
            files hold it.

        Raises:
            UserError: a file is damaged, unreadable, or written by a newer version.
        """
        with self._guard:
            self._read()
            new, self._unreported = self._unreported, []
            return sorted(new, key=lambda event: event.time)

    def append(self, event: EventKind, key: str, kind: str, payload: dict[str, Any]) -> Event:
        """Writes one event; it is on the disk when this returns.

        A "lost" revokes the "done" events of the stage that this object knows of, and no others.

        Raises:
            UserError: the machine refused to write; the ledger is as it was.
        """
        with self._guard:
            self._prepare()
            if event == "lost":
                stage = self._stages.get(key, _Stage())
                payload = {**payload, REVOKES: sorted(stage.done.keys() - stage.revoked)}
            # A clock that was set back must not make this event older than what its writer knew.
            moment = max(time.time(), math.nextafter(self._latest, math.inf))
            written = Event(moment, key, kind, event, json.dumps(payload, ensure_ascii=False))
            self._write([written])
            return written

    def absorb(self, others: Iterable[Event]) -> int:
        """Writes those of the events that are not in the ledger yet, all or none; gives their number.

        Raises:
            UserError: the machine refused to write; the ledger is as it was.
        """
        with self._guard:
            self._prepare()
            missing = {digest: event for event in others if (digest := event.digest) not in self._seen}
            if missing:
                self._write(list(missing.values()))
            return len(missing)

    def state(self, key: str) -> State:
        """Whether a stage is done, has failed (and not been done since), or waits; "started" alone is waiting."""
        with self._guard:
            self._read_once()
            return self._stages[key].state if key in self._stages else "waiting"

    def result(self, key: str, *kinds: str) -> dict[str, Any] | None:
        """The payload of the stage's last "done", even if it was lost since; None if it was never done.

        Args:
            key: of the stage.
            kinds: of which it must be one; none: it may be of any.

        Raises:
            UserError: no stage of its kind, or of these kinds, can have told it.
        """
        found = self._payload(key, "last_done")
        if found is not None and kinds and found.kind not in kinds:
            raise UserError(f"{found.whose} was told by a {found.kind} stage, not by a {' or '.join(kinds)} stage")
        return found

    def for_planning(self, key: str) -> dict[str, Any] | None:
        """The result as planning reads it: of a study, or of a stage no more than was validated; raises likewise."""
        found = self._payload(key, "last_done")
        return found if found is None or found.kind == "study" else found.of_stage()

    def failure(self, key: str) -> dict[str, Any] | None:
        """The payload of the stage's last "failed", even if it was done since; None if it never failed."""
        return self._payload(key, "last_failed")

    def done_at(self, key: str) -> float:
        """The time of the stage's last "done", seconds since 1970; minus infinity if it was never done."""
        with self._guard:
            self._read_once()
            event = self._stages[key].last_done if key in self._stages else None
            return event.time if event else -math.inf

    def keys(self) -> list[str]:
        """The content keys of all stages that something happened to, in the order of their first event read."""
        with self._guard:
            self._read_once()
            return list(self._stages)

    def results_of(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of the last "done" of every stage of a kind that is done, in the order of `keys`."""
        with self._guard:
            self._read_once()
            done = [stage.last_done for stage in self._stages.values() if stage.state == "done"]
            return [self._sound(event) for event in done if event is not None and event.kind == kind]

    def close(self) -> None:
        """Gives the process's file free for another process; the object can still be read and appended to."""
        with self._guard:
            if self._database is not None:
                self._database.close()
            if self._lock is not None:
                self._lock.close()
            self._database = self._lock = self._file = None

    def _payload(self, key: str, which: Literal["last_done", "last_failed"]) -> Told | None:
        with self._guard:
            self._read_once()
            event: Event | None = getattr(self._stages[key], which) if key in self._stages else None
            return self._sound(event) if event else None

    def _sound(self, event: Event) -> Told:
        """The payload of a "done" or a "failed", once it is sure that it can be used."""
        payload = Told(event.payload, event.kind, event.key, self._folder)
        if id(event) in self._proved:
            return payload
        wrong = failure_fault(payload) if event.event == "failed" else fault(event.kind, payload)
        if wrong is not None:
            raise UserError(f"{payload.whose} cannot be used: {one_line(wrong)}")
        self._proved[id(event)] = event
        return payload

    def _read_once(self) -> None:
        if not self._was_read:
            self._read()

    def _read(self) -> None:
        try:
            paths = sorted(inside(self._results, "ledger").glob("*.sqlite"))
            for path in paths:
                found = path.lstat()
                source = self._sources.get(path)
                if source is None or source.identity != (found.st_dev, found.st_ino):
                    source = self._sources[path] = _Source((found.st_dev, found.st_ino))
                new = events.read(path, source.read)
                source.read += len(new)
                self._unreported += [event for event in new if self._add(event)]
        except OSError as error:
            raise UserError(f"cannot read the ledger {self._folder}: {error.strerror}") from error
        self._was_read = True

    def _add(self, event: Event) -> bool:
        digest = event.digest
        if digest in self._seen:
            return False
        self._seen.add(digest)
        self._stages.setdefault(event.key, _Stage()).add(event, digest)
        self._latest = max(self._latest, event.time)
        return True

    def _prepare(self) -> None:
        if self._database is None:
            try:
                self._file, self._lock = _take_file(inside(self._results, "ledger"))
                if not os.path.lexists(self._file):
                    events.create(self._file)
                # Reading it first finds damage, so that nothing is added to a damaged file.
                self._read()
                self._database = events.open_to_write(self._file)
            except (OSError, sqlite3.Error) as error:
                self.close()
                raise _refused(self._folder, error) from error
            except BaseException:
                self.close()
                raise
        self._read_once()

    def _write(self, new: list[Event]) -> None:
        assert self._database is not None
        try:
            events.insert(self._database, new)
        except sqlite3.Error as error:
            raise _refused(self._folder, error) from error
        for event in new:
            self._add(event)


def _refused(folder: Path, error: OSError | sqlite3.Error) -> UserError:
    if isinstance(error, OSError):
        return atomic.cannot_write(folder, error)
    return UserError(f"cannot write to the ledger {folder}: {error}")


def _take_file(folder: Path) -> tuple[Path, IO[bytes]]:
    """The first file of this host that no living process writes to, and the open lock file that keeps it so.

    Raises:
        Refused: a lock file is a link or no plain file.
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    host = re.sub(r"[^0-9A-Za-z._-]", "_", socket.gethostname()) or "host"
    number = 0
    while True:
        lock = open_to_append(folder / f"{host}-{number}.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return folder / f"{host}-{number}.sqlite", lock
        except BlockingIOError:
            lock.close()
        except OSError:
            lock.close()
            raise
        number += 1
