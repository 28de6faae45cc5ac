"""One SQLite file of ledger events: how it is laid out, written, read and checked."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast, get_args

from harness.errors import UserError
from harness.printable import printable_values
from harness.store import atomic, hardened

SCHEMA = 1
"""Version of the layout. A file of a later version is refused."""

BUSY_SECONDS = 30.0
"""How long to wait for another process's transaction."""

EventKind = Literal["started", "done", "failed", "lost"]

REVOKES = "revokes"
"""In the payload of "lost": digests of the "done" events that its writer had seen."""

_LAYOUT = """
PRAGMA journal_mode = DELETE;
BEGIN;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE events (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, event TEXT NOT NULL,
    payload TEXT NOT NULL, digest TEXT NOT NULL
);
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a stage.

    Attributes:
        time: seconds since 1970; later than that of every event its writer had seen.
        key: content key of the stage.
        kind: of the stage, such as "dense".
        event: "started"; "done" (payload: the result); "failed" (payload: why); "lost" (what a "done" promised is gone
            or damaged).
        text: the payload as JSON.
    """

    time: float
    key: str
    kind: str
    event: EventKind
    text: str

    @property
    def payload(self) -> dict[str, Any]:
        """What the writer had to say, parsed anew at each call; texts in it can be printed.

        Raises:
            UserError: it is no mapping of JSON values.
        """
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise UserError(f"the ledger holds no mapping for {self.event!r} of stage {self.key[:12]}: it is damaged")
        # Signs without a glyph stand in JSON as they are, or as \\u and their number.
        if "\\u" in self.text or not self.text.isprintable():
            found = printable_values(found)
        return cast(dict[str, Any], found)

    @property
    def digest(self) -> str:
        """Identifies the event in all files: the first 64 bits of a SHA-256, hexadecimal."""
        content = "\0".join((repr(self.time), self.key, self.kind, self.event, self.text))
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def create(path: Path) -> None:
    """Makes an empty file of events; raises UserError if the machine refuses."""
    with atomic.atomic_path(path) as temporary, closing(sqlite3.connect(temporary, isolation_level=None)) as database:
        database.executescript(_LAYOUT)
        database.execute("INSERT INTO meta VALUES ('schema', ?)", (str(SCHEMA),))


def open_to_write(path: Path) -> sqlite3.Connection:
    """A connection whose commits are on the disk when they return; the caller holds the file's lock.

    The rollback journal is used, not the write-ahead log, which needs shared memory that network file systems lack.
    """
    database = hardened.writer(path, BUSY_SECONDS)
    database.execute("PRAGMA synchronous = FULL")
    return database


def insert(database: sqlite3.Connection, events: Iterable[Event]) -> None:
    """Writes events in one transaction: all of them or none; raises sqlite3.Error."""
    database.execute("BEGIN IMMEDIATE")
    try:
        database.executemany(
            "INSERT INTO events (time, key, kind, event, payload, digest) VALUES (?, ?, ?, ?, ?, ?)",
            ((entry.time, entry.key, entry.kind, entry.event, entry.text, entry.digest) for entry in events),
        )
        database.execute("COMMIT")
    except BaseException:
        # A full disk makes SQLite roll back by itself.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def read(path: Path, after: int) -> list[Event]:
    """The events of a file whose id is larger than `after`, in the order they were written.

    Never creates a file; works in a read-only folder.

    Raises:
        Refused: the file, or one beside it, is not what SQLite may be asked to open.
        UserError: the file is damaged (names it, and the row where known), of a later version, or cannot be read.
        OSError: the file is not there.
    """
    with hardened.guard:
        hardened.check_files(path)
        return _read(path, after)


def _read(path: Path, after: int) -> list[Event]:
    refusal: sqlite3.Error | None = None
    for way in _ways_to_open(path):
        try:
            with way as database:
                return _checked(path, after, _rows(path, database, after))
        except sqlite3.OperationalError as error:
            refusal = error
        except sqlite3.DatabaseError as error:
            raise _damaged(path, str(error)) from error
    if any(sign in str(refusal) for sign in ("no such table", "no such column", "decode")):
        raise _damaged(path, str(refusal))
    raise UserError(f"cannot read the ledger {path}: {refusal}")


def _ways_to_open(path: Path) -> Iterator[AbstractContextManager[sqlite3.Connection]]:
    """Connections to try in turn; the later ones only help where the earlier ones fail."""
    yield _opened(path, "mode=ro")
    if path.with_name(f"{path.name}-journal").exists():
        # A writer was killed in a transaction, which must be undone before the file can be read.
        yield _opened(path, "mode=rw")
        yield _undone_copy(path)
    else:
        # File systems without locks.
        yield _opened(path, "mode=ro&immutable=1")


def _opened(path: Path, how: str) -> AbstractContextManager[sqlite3.Connection]:
    return hardened.reader(path, how, BUSY_SECONDS)


@contextmanager
def _undone_copy(path: Path) -> Iterator[sqlite3.Connection]:
    """In a read-only folder a killed writer's transaction is undone in a copy."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for name in (path.name, f"{path.name}-journal"):
            try:
                shutil.copyfile(path.with_name(name), Path(folder) / name)
            except OSError as error:
                raise sqlite3.OperationalError(error.strerror) from error
        with _opened(copy, "mode=rw") as database:
            yield database


def _rows(path: Path, database: sqlite3.Connection, after: int) -> list[tuple[Any, ...]]:
    if path.stat().st_size == 0:
        raise sqlite3.DatabaseError("it is empty")
    database.execute("BEGIN")
    found, expected = hardened.layout_of(database), _layout()
    # What a view of this name would do is not known, so that the version is asked of our own table alone.
    if all(found.get(name) == expected[name] for name in ("meta", "sqlite_autoindex_meta_1")):
        _check_version(path, database)
    if found != expected:
        raise hardened.Strange(hardened.difference(found, expected))
    columns = "SELECT id, time, key, kind, event, payload, digest FROM events WHERE id > ? ORDER BY id"
    return database.execute(columns, (after,)).fetchall()


def _check_version(path: Path, database: sqlite3.Connection) -> None:
    (version,) = database.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone() or ("none",)
    if not re.fullmatch(r"[0-9]{1,9}", str(version)):
        raise hardened.Strange(f"its version is {str(version)[:40]!r}")
    if int(version) > SCHEMA:
        raise UserError(
            f"the ledger {path} has layout {version}, this harness reads {SCHEMA}: it was written by a newer version, "
            "which is needed to read it"
        )


@cache
def _layout() -> hardened.Layout:
    """What a ledger of ours defines."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.executescript(_LAYOUT)
        return hardened.layout_of(database)


_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")
_KIND = re.compile(r"[0-9A-Za-z_-]{0,40}")
_EVENTS = frozenset(get_args(EventKind))
_LATEST = 253_402_300_800.0
"""The year 10000."""


def _checked(path: Path, after: int, rows: list[tuple[Any, ...]]) -> list[Event]:
    events = []
    for expected, (identity, *fields, digest) in enumerate(rows, start=after + 1):
        if identity != expected:
            raise _damaged(path, f"row {expected} is missing")
        event = Event(*fields)
        try:
            sound = event.digest == digest
        except (TypeError, AttributeError):  # a column of the wrong type
            sound = False
        if not sound:
            raise _damaged(path, f"row {identity} does not have the digest it was written with")
        if not _is_possible(event):
            raise _damaged(path, f"row {identity} is no event of a stage")
        events.append(event)
    return events


def _is_possible(event: Event) -> bool:
    """Whether a row with the right digest, which is no secret, is one that a harness could have written."""
    if not (type(event.time) is float and 0 <= event.time <= _LATEST and event.event in _EVENTS):
        return False
    if not (_NAME.fullmatch(event.key) and _KIND.fullmatch(event.kind)):
        return False
    if event.event != "lost":
        return True
    revoked = event.payload.get(REVOKES, [])
    return isinstance(revoked, list) and all(isinstance(digest, str) for digest in revoked)


def _damaged(path: Path, how: str) -> UserError:
    return UserError(
        f"the ledger {path} is damaged: {how}; to go on without its events, rename it to {path.name}.damaged "
        "(what only it knew is done again)"
    )
