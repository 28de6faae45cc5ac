"""Opens SQLite files that may come from a stranger: what SQLite would do by itself to other files is ruled out first.

A ledger of ours has two tables, uses the rollback journal, and is one file, with `-journal` beside it while a
transaction is written, or after its writer was killed. Such a journal must be played back, which SQLite does when the
file is opened: it writes to the ledger and removes the journal, and it would also remove a file that the journal names
as its "super-journal" (which only transactions over several databases have, and ours never are). So a journal that
names one is refused, as is everything of the write-ahead log.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from harness.inside import Refused, check_plain, inside

LARGEST_LEDGER = 2**32
"""Bytes of one file of events."""
LARGEST_PAYLOAD = 2**24
"""Bytes of one text in it."""

_MAGIC = b"SQLite format 3\0"
_ROLLBACK = b"\x01\x01"
"""Bytes 18 and 19 of a file: written and read without a write-ahead log."""
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
"""A journal begins with it; it ends with it too only where it names a super-journal."""

guard = threading.RLock()
"""Held while a file is checked, opened and read; see `_check_head`."""


class Writer(sqlite3.Connection):
    """A connection that may hold locks for long."""


Kind = TypeVar("Kind", bound=sqlite3.Connection)

_written: WeakValueDictionary[tuple[int, int], Writer] = WeakValueDictionary()
"""{(device, number) of a file: the connection by which this process writes to it}."""


class Strange(sqlite3.DatabaseError):
    """What a ledger of ours never holds."""


def check_files(path: Path) -> None:
    """Refuses a file that SQLite should not be asked to open, or that lies beside one it should not find.

    Raises:
        Refused: a link, a pipe, a device; too large; a journal that names another file; parts of a write-ahead log.
        OSError: the file is not there, or cannot be read.
    """
    check_plain(inside(path.parent, path.name), LARGEST_LEDGER)
    _check_head(path)
    for end in ("-wal", "-shm"):
        beside = path.with_name(f"{path.name}{end}")
        if os.path.lexists(beside):
            raise Refused(f"{beside} is part of a write-ahead log, which no ledger has: remove it to go on without it")
    journal = path.with_name(f"{path.name}-journal")
    try:
        size = check_plain(journal, LARGEST_LEDGER)
        with journal.open("rb") as file:
            head = file.read(28)
            file.seek(max(0, size - len(_JOURNAL_MAGIC)))
            end_of_file = file.read(len(_JOURNAL_MAGIC))
    except FileNotFoundError:  # none, or its writer has just ended its transaction
        return
    if size > len(_JOURNAL_MAGIC) and end_of_file == _JOURNAL_MAGIC:
        raise Refused(f"{journal} names another file, which SQLite would remove, and no ledger's journal names one")
    if len(head) == 28 and head[:8] == _JOURNAL_MAGIC:
        pages, _, page_size = struct.unpack(">III", head[16:])
        if pages * page_size > LARGEST_LEDGER:
            raise Refused(f"{journal} would make {path.name} larger than {LARGEST_LEDGER:,} bytes")


def _check_head(path: Path) -> None:
    """Refuses a file with a write-ahead log.

    Not a file that this process writes to, which was checked before: closing a file gives up all POSIX locks that the
    process has on it, those of a transaction in another thread too.
    """
    if _identity(path) in _written:
        return
    with path.open("rb") as file:
        head = file.read(20)
    if head[:16] == _MAGIC and head[18:] != _ROLLBACK:
        raise Refused(f"{path} has a write-ahead log, which no ledger has")


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


@contextmanager
def reader(path: Path, how: str, wait: float) -> Iterator[sqlite3.Connection]:
    """A connection to a file that passed `check_files`, which trusts nothing in it.

    Args:
        path: the file.
        how: the query of the URI, such as "mode=ro".
        wait: seconds for another process's transaction.
    """
    with closing(_connect(path, how, wait, sqlite3.Connection)) as database:
        yield database


def writer(path: Path, wait: float) -> Writer:
    """A connection to write to a file by, usable from several threads; raises as `check_files` does."""
    with guard:
        check_files(path)
        database = _connect(path, "mode=rw", wait, Writer)
        _written[_identity(path)] = database
        return database


def _connect(path: Path, how: str, wait: float, kind: type[Kind]) -> Kind:
    uri = f"{path.absolute().as_uri()}?{how}"
    database = sqlite3.connect(
        uri, uri=True, timeout=wait, isolation_level=None, check_same_thread=kind is not Writer, factory=kind
    )
    try:
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_PAYLOAD)
        database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        # Functions and virtual tables that could do harm cannot be used by what the file itself defines.
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA cell_size_check = ON")
        if sys.version_info >= (3, 12):
            database.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
    except BaseException:
        database.close()
        raise
    return database


Layout = dict[str, tuple[object, ...]]
"""{name: (type, table, SQL)} of all that a file defines."""


def layout_of(database: sqlite3.Connection) -> Layout:
    """What a file defines: tables, indices, views, triggers."""
    query = "SELECT name, type, tbl_name, sql FROM sqlite_master LIMIT 100"
    return {name: tuple(rest) for name, *rest in database.execute(query)}


def difference(found: Layout, expected: Layout) -> str:
    """What is wrong with a layout, in a few words."""
    for name in expected:
        if name not in found:
            return f"no such table: {name}"
        if found[name] != expected[name]:
            return f"its {name!r} is not laid out as a ledger's"
    strange = next(name for name in found if name not in expected)
    return f"it holds {found[strange][0]} {strange!r}, which no ledger has"
