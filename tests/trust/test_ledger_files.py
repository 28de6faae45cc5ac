"""SQLite files of a stranger: opening one changes no other file, and what it says is what a ledger can say."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.inside import Refused
from harness.store import events, hardened
from harness.store.events import Event
from harness.store.ledger import Ledger
from harness.store.states import LedgerResults
from tests.store.processes import line, names, start
from tests.store.test_ledger import IN_A_TRANSACTION

KEY = "0f" * 32
MAGIC = bytes.fromhex("d9d505f920a163d7")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A ledger with one event, whose writer has ended."""
    ledger = Ledger(tmp_path / "results")
    ledger.append("done", KEY, "dense", {"top1": 0.5})
    ledger.close()
    (path,) = (tmp_path / "results" / "ledger").glob("*.sqlite")
    return path


def read(file: Path) -> list[Event]:
    return Ledger(file.parent.parent).refresh()


def hot_journal(file: Path) -> Path:
    """What a killed writer leaves beside the ledger."""
    process = start(IN_A_TRANSACTION, file)
    assert line(process) == "open"
    process.kill()
    process.communicate()
    journal = file.with_name(f"{file.name}-journal")
    assert journal.read_bytes()[:8] == MAGIC
    return journal


def name_super_journal(journal: Path, name: bytes) -> None:
    """Ends a journal as SQLite does in a transaction over several databases."""
    checksum = sum(struct.unpack(f"{len(name)}b", name)) & 0xFFFFFFFF
    with journal.open("ab") as opened:
        opened.write(struct.pack(">I", 2**30 // 4096 + 1) + name + struct.pack(">II", len(name), checksum) + MAGIC)


def test_a_journal_that_names_another_file_is_refused_and_that_file_stays(file: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    journal = hot_journal(file)
    name_super_journal(journal, os.fsencode(victim))
    copy = tmp_path / "copy.sqlite"
    shutil.copy(file, copy)
    shutil.copy(journal, tmp_path / "copy.sqlite-journal")
    for use in (read, lambda _: Ledger(file.parent.parent).append("done", KEY, "dense", {})):
        with pytest.raises(Refused, match=r"sqlite-journal names another file"):
            use(file)
    assert victim.read_text() == "precious"
    # The same files, opened as SQLite opens them by itself, cost the user that file: the refusal is not for nothing.
    with closing(sqlite3.connect(copy)) as database:
        database.execute("SELECT * FROM events").fetchall()
    assert not victim.exists()


def test_the_journal_of_a_killed_writer_is_still_played_back(file: Path) -> None:
    journal = hot_journal(file)
    assert [event.payload for event in read(file)] == [{"top1": 0.5}]
    assert not journal.exists()


def test_a_journal_that_makes_the_ledger_huge_is_refused(file: Path) -> None:
    journal = hot_journal(file)
    content = bytearray(journal.read_bytes())
    content[16:20] = struct.pack(">I", 2**31)
    journal.write_bytes(content)
    with pytest.raises(Refused, match="would make"):
        read(file)
    assert file.stat().st_size < 2**20


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_a_write_ahead_log_is_refused(file: Path, end: str) -> None:
    beside = file.with_name(f"{file.name}{end}")
    beside.touch()
    with pytest.raises(Refused, match="is part of a write-ahead log"):
        read(file)
    beside.unlink()
    assert len(read(file)) == 1


def test_a_file_that_asks_for_a_write_ahead_log_is_refused_and_none_is_made(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(file.parent, other / "ledger")
    (path,) = (other / "ledger").glob("*.sqlite")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
    before = names(other / "ledger")
    with pytest.raises(Refused, match="has a write-ahead log"):
        Ledger(other).refresh()
    assert names(other / "ledger") == before


@pytest.mark.parametrize(
    ("statement", "how"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM events; END", "it holds trigger 't'"),
        ("CREATE VIEW v AS SELECT 1", "it holds view 'v'"),
        ("CREATE TABLE more (x)", "it holds table 'more'"),
        ("CREATE INDEX i ON events (key)", "it holds index 'i'"),
        ("ALTER TABLE events ADD COLUMN extra GENERATED ALWAYS AS (key)", "its 'events' is not laid out"),
        ("ALTER TABLE meta RENAME TO other", "no such table: meta"),
        ("DROP TABLE events", "no such table: events"),
        ("CREATE VIRTUAL TABLE f USING fts5(x)", "which no ledger has"),
        ("UPDATE meta SET value = '²'", "its version is '²'"),
        (f"UPDATE meta SET value = '{'9' * 5000}'", "its version is '999"),
    ],
)
def test_a_file_that_is_laid_out_otherwise_is_damaged(file: Path, statement: str, how: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(statement)
    for use in (read, lambda _: Ledger(file.parent.parent).append("done", KEY, "dense", {})):
        with pytest.raises(UserError, match="is damaged") as caught:
            use(file)
        assert how in str(caught.value)


def test_a_view_in_the_place_of_a_table_is_not_asked(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        for name in ("meta", "events"):
            database.execute(f"ALTER TABLE {name} RENAME TO old_{name}")
        database.execute(
            "CREATE VIEW meta AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
            "SELECT 'schema' AS name, max(x) AS value FROM c"
        )
    with pytest.raises(UserError, match="its 'meta' is not laid out"):
        read(file)


GOOD: dict[str, object] = {"time": 1.5, "key": KEY, "kind": "dense", "event": "done", "text": "{}"}


@pytest.mark.parametrize(
    "change",
    [
        {"time": -1.0},
        {"time": 1e300},
        {"time": float("inf")},
        {"key": "../../x"},
        {"key": ""},
        {"key": "a" * 200},
        {"key": "a\x1b[2J"},
        {"kind": "\x1b[31m"},
        {"kind": "a" * 100},
        {"event": "exploded"},
        {"event": "lost", "text": "[]"},
        {"event": "lost", "text": '{"revokes": 3}'},
        {"event": "lost", "text": '{"revokes": [[]]}'},
        {"event": "lost", "text": "[" * 100_000},
    ],
)
def test_a_row_with_the_right_digest_that_no_harness_wrote_is_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "ledger" / "elsewhere-0.sqlite"
    events.create(path)
    values = GOOD | change
    event = Event(**values)  # type: ignore[arg-type]
    with closing(events.open_to_write(path)) as database:
        events.insert(database, [Event(**GOOD), event])  # type: ignore[arg-type]
    with pytest.raises(UserError, match="is damaged") as caught:
        Ledger(tmp_path).refresh()
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("column", ["time", "key", "kind", "event", "payload", "digest"])
@pytest.mark.parametrize("value", [b"\0\xff", 3, 2.5, "text"])
def test_a_column_of_another_type_is_damage(file: Path, column: str, value: object) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(f"UPDATE events SET {column} = ?", (value,))
    with pytest.raises(UserError, match="is damaged"):
        read(file)


def test_a_text_too_long_is_refused_without_being_read(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE events SET payload = zeroblob(?)", (hardened.LARGEST_PAYLOAD + 1,))
    with pytest.raises(UserError, match="too big"):
        read(file)


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_huge(path: Path) -> None:
    os.truncate(path, 2**41)


@pytest.mark.parametrize(("damage", "how"), [(make_pipe, "is a pipe"), (make_huge, "more than the")])
def test_a_pipe_or_a_huge_file_in_its_place_is_refused_at_once(
    file: Path, damage: Callable[[Path], None], how: str
) -> None:
    damage(file)
    with pytest.raises(Refused, match=how):
        read(file)


MEASURED: dict[str, Any] = dict.fromkeys(("top1", "top5"), 0.5) | dict.fromkeys(
    [f"{of}{what}" for of in ("", "dense_") for what in ("macs", "params", "paper_flops", "paper_params")], 100
)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("measure", {"top1": 0.5}),
        ("measure", MEASURED | {"top1": "<script>"}),
        ("measure", MEASURED | {"top1": float("nan")}),
        ("measure", MEASURED | {"top1": 1.5}),
        ("measure", MEASURED | {"macs": 0}),
        ("measure", MEASURED | {"macs": 10**40}),
        ("measure", MEASURED | {"macs": True}),
        ("compress", {"macs": 1, "params": 1, "widths": {"a": [1]}, "cuttable": []}),
        ("compress", {"macs": 1, "params": 1, "widths": {"a": [1, 2]}, "cuttable": [3]}),
        ("dense", {"seconds": -1.0}),
        ("dense", {"seconds": float("inf")}),
        ("dense", {"curve": [{"stage": "dense"}]}),
        ("dense", {"curve": [{"stage": "d", "epoch": 0, "loss": "x", "train_top1": 0.1, "held_out_top1": None}]}),
        ("dense", {"notes": "text"}),
        ("dense", {"search": {"evaluations": "many"}}),
        ("dense", {"search": {"other": 1}}),
        ("study", {"trials": [{}], "best": [], "stages": {}}),
        ("latency", {"of": KEY}),
    ],
)
def test_a_result_that_no_stage_gives_is_refused_by_name(tmp_path: Path, kind: str, told: dict[str, object]) -> None:
    ledger = Ledger(tmp_path)
    ledger.append("done", KEY, kind, told)
    for use in (lambda: ledger.result(KEY), lambda: ledger.results_of(kind)):
        with pytest.raises(UserError, match=f"holds of the {kind} stage {KEY[:12]} cannot be used: "):
            use()


def test_a_result_that_a_stage_gives_comes_back_as_it_was(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    told = MEASURED | {"top1": 1, "seconds": 3, "more": [1, {"a": None}], "loss": float("inf")}
    ledger.append("done", KEY, "measure", told)
    found = ledger.result(KEY)
    assert found == told
    assert json.dumps(found) == json.dumps(told)


def test_a_result_of_another_kind_of_stage_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append("done", KEY, "dense", {})
    assert ledger.result(KEY, "dense") == {}
    with pytest.raises(UserError, match="was told by a dense stage, not by a compress or trim stage"):
        ledger.result(KEY, "compress", "trim")


def test_to_ask_a_result_for_what_it_does_not_tell_is_one_line(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append("done", KEY, "dense", {"top1": 0.5})
    told = ledger.result(KEY)
    assert told is not None
    assert told.get("macs") is None
    with pytest.raises(UserError, match="of the dense stage 0f0f0f0f0f0f does not say 'macs'"):
        told["macs"]


def test_planning_sees_no_more_of_a_result_than_was_validated(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append("done", KEY, "dense", {"top1": 0.5, "best": [3], "trials": "x"})
    ledger.append("done", "1e" * 32, "other", {"macs": 3})
    results = LedgerResults(ledger)
    assert results[KEY] == {"top1": 0.5}
    with pytest.raises(UserError, match="does not say 'best'"):
        results[KEY]["best"]
    with pytest.raises(UserError, match="was not told by a stage"):
        results["1e" * 32]


@pytest.mark.parametrize("text", ["[1]", "3", '"text"', "{", "[" * 100_000, '{"a": ' * 100_000, "9" * 10_000])
def test_a_result_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ledger" / "elsewhere-0.sqlite"
    events.create(path)
    with closing(events.open_to_write(path)) as database:
        events.insert(database, [Event(1.0, KEY, "dense", "done", text)])
    ledger = Ledger(tmp_path)
    assert ledger.state(KEY) == "done"
    with pytest.raises(UserError, match="holds no mapping for 'done' of stage 0f0f"):
        ledger.result(KEY)


def test_a_text_of_the_ledger_moves_no_cursor(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    told = {"reason": "crashed", "message": "\x1b]0;title\x07\u202efdp.exe\x9b2J", "traceback": "line\n\tline é β"}
    ledger.append("failed", KEY, "dense", told)
    found = Ledger(tmp_path).failure(KEY)
    assert found is not None
    assert found["traceback"] == told["traceback"]
    assert not set(found["message"]) & set("\x1b\x07\u202e\x9b")
    assert "title" in found["message"]


def test_a_process_may_look_at_a_ledger_that_it_is_writing_to_and_keeps_its_lock(file: Path) -> None:
    """Closing a file gives up the locks that the process has on it, also those of its other connections."""
    writer = Ledger(file.parent.parent)
    writer.append("done", KEY, "dense", {})
    database = writer._database
    assert database is not None
    database.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        assert len(read(file)) == 2
    code = (
        "import sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
        "try:\n    database.execute('BEGIN IMMEDIATE')\n    print('took it', flush=True)\n"
        "except sqlite3.OperationalError as error:\n    print(error, flush=True)\n"
    )
    other = start(code, file)
    assert line(other) == "database is locked"
    other.communicate()
    database.execute("ROLLBACK")
