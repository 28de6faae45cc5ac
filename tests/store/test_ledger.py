from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UserError
from harness.store import events
from harness.store.events import Event, EventKind
from harness.store.ledger import Ledger
from tests.store.processes import line, names, permissions_bind, start

KEY = "0f" * 32
OTHER = "1e" * 32

APPENDING = """
import sys
from pathlib import Path
from harness.store.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    ledger.append("done", f"{sys.argv[2]}-{number}", "dense", {"number": number})
    print("written", flush=True)
sys.stdin.read()
"""
IN_A_TRANSACTION = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN IMMEDIATE")
database.execute("UPDATE events SET payload = payload || ' '")
database.executemany("INSERT INTO events (time, key, kind, event, payload, digest) VALUES (0, '', '', '', ?, '')",
                     [("x" * 5000,)] * 20)
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path)
    yield ledger
    ledger.close()


def only_file(results: Path) -> Path:
    (path,) = (results / "ledger").glob("*.sqlite")
    return path


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


def test_a_stage_that_nothing_is_known_of_waits(ledger: Ledger) -> None:
    assert ledger.state(KEY) == "waiting"
    assert ledger.result(KEY) is None
    assert ledger.failure(KEY) is None
    assert ledger.keys() == []


@pytest.mark.parametrize(
    ("happened", "state"),
    [
        (["started"], "waiting"),
        (["started", "done"], "done"),
        (["started", "failed"], "failed"),
        (["failed", "started"], "failed"),
        (["failed", "done"], "done"),
        (["done", "failed"], "done"),
        (["done", "lost"], "waiting"),
        (["done", "lost", "failed"], "failed"),
        (["done", "lost", "done"], "done"),
        (["done", "lost", "lost", "done"], "done"),
        (["failed", "lost"], "waiting"),
    ],
)
def test_the_state_follows_from_what_happened(tmp_path: Path, happened: list[EventKind], state: str) -> None:
    ledger = Ledger(tmp_path)
    for event in happened:
        ledger.append(event, KEY, "dense", {})
    ledger.close()
    assert ledger.state(KEY) == state
    assert Ledger(tmp_path).state(KEY) == state


def test_a_loss_revokes_only_what_its_writer_knew_to_be_done(tmp_path: Path) -> None:
    here, there = Ledger(tmp_path), Ledger(tmp_path)
    here.append("done", KEY, "dense", {"run": 1})
    there.append("lost", KEY, "dense", {})
    here.append("done", KEY, "dense", {"run": 2})
    there.append("lost", KEY, "dense", {})
    assert Ledger(tmp_path).state(KEY) == "done"
    there.refresh()
    there.append("lost", KEY, "dense", {})
    assert Ledger(tmp_path).state(KEY) == "waiting"


def test_the_last_result_and_the_last_failure_are_given(ledger: Ledger) -> None:
    payload = {"top1": 0.91, "widths": {"b": [3, 4], "a": [1, 2]}, "note": "β", "loss": None}
    ledger.append("failed", KEY, "dense", {"reason": "diverged"})
    ledger.append("done", KEY, "dense", {"top1": 0.1})
    ledger.append("done", KEY, "dense", payload)
    assert ledger.result(KEY) == payload
    assert list((ledger.result(KEY) or {})["widths"]) == ["b", "a"]
    assert ledger.failure(KEY) == {"reason": "diverged"}
    assert ledger.keys() == [KEY]


def test_refresh_gives_each_event_of_others_once_and_none_of_ones_own(tmp_path: Path) -> None:
    here, there = Ledger(tmp_path), Ledger(tmp_path)
    here.append("done", KEY, "dense", {})
    assert [event.key for event in there.refresh()] == [KEY]
    there.append("started", OTHER, "compress", {"pid": 1})
    here.append("failed", OTHER, "compress", {})
    assert [event.event for event in here.refresh()] == ["started"]
    assert [event.event for event in there.refresh()] == ["failed"]
    assert here.refresh() == there.refresh() == []
    assert len(Ledger(tmp_path).refresh()) == 3


def test_questions_before_the_first_refresh_take_nothing_from_it(tmp_path: Path, ledger: Ledger) -> None:
    ledger.append("done", KEY, "dense", {})
    reader = Ledger(tmp_path)
    assert reader.state(KEY) == "done"
    assert len(reader.refresh()) == 1


def test_a_clock_that_was_set_back_does_not_reorder_events(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append("failed", KEY, "dense", {"run": 1})
    ledger.append("done", OTHER, "dense", {"run": 1})
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    other = Ledger(tmp_path)
    other.append("failed", KEY, "dense", {"run": 2})
    other.append("done", OTHER, "dense", {"run": 2})
    assert Ledger(tmp_path).failure(KEY) == {"run": 2}
    assert Ledger(tmp_path).result(OTHER) == {"run": 2}


def test_reading_creates_no_files(tmp_path: Path) -> None:
    reader = Ledger(tmp_path / "results")
    assert reader.refresh() == []
    assert reader.state(KEY) == "waiting"
    assert names(tmp_path) == []
    writer = Ledger(tmp_path / "results")
    writer.append("done", KEY, "dense", {})
    before = names(tmp_path / "results" / "ledger")
    reader.refresh()
    assert names(tmp_path / "results" / "ledger") == before


def test_living_processes_write_files_of_their_own_and_the_files_of_ended_ones_are_used_again(tmp_path: Path) -> None:
    processes = [start(APPENDING, tmp_path, name, 5) for name in "abc"]
    for process in processes:
        assert [line(process) for _ in range(5)] == ["written"] * 5
    assert len(list((tmp_path / "ledger").glob("*.sqlite"))) == 3
    assert len(Ledger(tmp_path).keys()) == 15
    processes[0].kill()
    for process in processes:
        process.communicate()
    for _ in range(3):
        ledger = Ledger(tmp_path)
        ledger.append("done", KEY, "dense", {})
        ledger.close()
    assert len(list((tmp_path / "ledger").glob("*.sqlite"))) == 3
    assert len(Ledger(tmp_path).refresh()) == 18


def test_what_was_appended_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    process = start(APPENDING, tmp_path, "a", 1000)
    for _ in range(20):
        assert line(process) == "written"
    process.kill()
    output, _ = process.communicate()
    written = 20 + output.count("written")
    done = sum(Ledger(tmp_path).state(f"a-{number}") == "done" for number in range(1000))
    assert done in {written, written + 1}


@pytest.mark.parametrize("read_only", [False, True])
def test_the_transaction_of_a_killed_process_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool
) -> None:
    ledger = Ledger(tmp_path)
    ledger.append("done", KEY, "dense", {"top1": 0.5})
    ledger.close()
    process = start(IN_A_TRANSACTION, only_file(tmp_path))
    assert line(process) == "open"
    process.kill()
    process.communicate()
    assert any(name.endswith("-journal") for name in names(tmp_path / "ledger"))
    if read_only:
        connect = sqlite3.connect

        def refuse(target: str, **options: object) -> sqlite3.Connection:
            if target.endswith("mode=rw") and str(tmp_path) in target:
                raise sqlite3.OperationalError("unable to open database file")
            return connect(target, **options)  # type: ignore[call-overload,no-any-return]

        monkeypatch.setattr(sqlite3, "connect", refuse)
    assert Ledger(tmp_path).result(KEY) == {"top1": 0.5}
    assert len(Ledger(tmp_path).refresh()) == 1


def test_the_ledger_is_read_where_files_cannot_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Ledger(tmp_path)
    writer.append("done", KEY, "dense", {})
    writer.close()
    connect = sqlite3.connect

    def without_locks(target: str, **options: object) -> sqlite3.Connection:
        if "immutable=1" not in target:
            raise sqlite3.OperationalError("disk I/O error")
        return connect(target, **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(sqlite3, "connect", without_locks)
    assert Ledger(tmp_path).state(KEY) == "done"


@pytest.mark.skipif(not permissions_bind(), reason="this user may write to read-only folders")
def test_a_read_only_folder_is_read_and_refuses_to_be_written_in_one_line(tmp_path: Path) -> None:
    writer = Ledger(tmp_path)
    writer.append("done", KEY, "dense", {})
    writer.close()
    folder = tmp_path / "ledger"
    for path in [*folder.iterdir(), folder]:
        path.chmod(path.stat().st_mode & 0o555)
    try:
        reader = Ledger(tmp_path)
        assert reader.state(KEY) == "done"
        with pytest.raises(UserError, match=r"cannot write ledger in .*: Permission denied"):
            reader.append("done", OTHER, "dense", {})
    finally:
        folder.chmod(0o755)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(UserError, match=r"cannot write ledger in .*results: Not a directory"):
        Ledger(tmp_path / "results").append("done", KEY, "dense", {})


def test_a_full_disk_is_one_line_and_the_ledger_stays_as_it_was(tmp_path: Path, ledger: Ledger) -> None:
    ledger.append("done", KEY, "dense", {})
    database = ledger._database
    assert database is not None
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UserError, match=r"cannot write to the ledger .*: database or disk is full"):
        ledger.append("done", OTHER, "dense", {"much": "x" * 100_000})
    assert ledger.state(OTHER) == "waiting"
    database.execute("PRAGMA max_page_count = 100000")
    ledger.append("done", OTHER, "dense", {})
    assert len(Ledger(tmp_path).refresh()) == 2


def empty(path: Path) -> None:
    os.truncate(path, 0)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite_the_head(path: Path) -> None:
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])


def overwrite_the_end(path: Path) -> None:
    data = bytearray(path.read_bytes())
    place = data.rindex(b'"number": 7')
    data[place : place + 11] = b'"number": 8'
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "how"),
    [
        (empty, "it is empty"),
        (cut, "malformed"),
        (overwrite_the_head, "not a database"),
        (overwrite_the_end, "row 8 does not have the digest"),
        (lambda path: change(path, "UPDATE events SET event = 'lost' WHERE id = 2"), "row 2 does not have the digest"),
        (lambda path: change(path, "UPDATE events SET payload = x'00' WHERE id = 3"), "row 3 does not have the digest"),
        (lambda path: change(path, "DELETE FROM events WHERE id = 4"), "row 4 is missing"),
        (lambda path: change(path, "DROP TABLE events"), "no such table"),
        (lambda path: change(path, "DELETE FROM meta"), "its version is 'none'"),
    ],
)
def test_a_damaged_file_is_refused_by_name_and_row_and_how_to_go_on_is_said(
    tmp_path: Path, damage: Callable[[Path], None], how: str
) -> None:
    writer = Ledger(tmp_path)
    for number in range(50):
        writer.append("done", f"{number}", "dense", {"number": number, "long": "x" * 200})
    writer.close()
    path = only_file(tmp_path)
    damage(path)
    with pytest.raises(UserError) as caught:
        Ledger(tmp_path).refresh()
    message = str(caught.value)
    assert message.startswith(f"the ledger {path} is damaged: ")
    assert how in message
    assert f"rename it to {path.name}.damaged" in message
    assert "\n" not in message
    with pytest.raises(UserError, match="is damaged"):
        Ledger(tmp_path).append("done", KEY, "dense", {})
    path.rename(path.with_name(f"{path.name}.damaged"))
    Ledger(tmp_path).append("done", KEY, "dense", {})
    assert Ledger(tmp_path).keys() == [KEY]


def test_a_ledger_of_a_newer_version_is_refused_in_one_line(tmp_path: Path, ledger: Ledger) -> None:
    ledger.append("done", KEY, "dense", {})
    change(only_file(tmp_path), f"UPDATE meta SET value = '{events.SCHEMA + 1}'")
    with pytest.raises(UserError, match="written by a newer version"):
        Ledger(tmp_path).refresh()


def test_a_file_that_was_replaced_is_read_again_and_nothing_counts_twice(tmp_path: Path, ledger: Ledger) -> None:
    ledger.append("done", KEY, "dense", {})
    reader = Ledger(tmp_path)
    assert len(reader.refresh()) == 1
    path = only_file(tmp_path)
    shutil.copy(path, tmp_path / "copy")
    (tmp_path / "copy").rename(path)
    assert reader.refresh() == []


def test_the_write_ahead_log_is_not_used(tmp_path: Path, ledger: Ledger) -> None:
    ledger.append("done", KEY, "dense", {})
    with closing(sqlite3.connect(only_file(tmp_path))) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert ledger._database is not None
    assert ledger._database.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_path_with_odd_characters_works(tmp_path: Path) -> None:
    results = tmp_path / "50% of #1?mode=memory é"
    ledger = Ledger(results)
    ledger.append("done", KEY, "dense", {})
    assert Ledger(results).state(KEY) == "done"


def test_a_hundred_thousand_events_are_read_in_seconds(tmp_path: Path) -> None:
    path = tmp_path / "ledger" / "elsewhere-0.sqlite"
    events.create(path)
    text = '{"top1": 0.93, "widths": {"1": [10, 64]}, "note": "' + "x" * 200 + '"}'
    with closing(events.open_to_write(path)) as database:
        events.insert(database, (Event(float(i), f"{i // 2:064x}", "dense", "done", text) for i in range(100_000)))
    ledger = Ledger(tmp_path)
    began = time.process_time()
    assert len(ledger.refresh()) == 100_000
    assert time.process_time() - began < 8


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1e10), st.text(), st.text(), st.text())
def test_events_that_differ_have_different_digests(moment: float, key: str, kind: str, text: str) -> None:
    event = Event(moment, key, kind, "done", text)
    assert event.digest == Event(moment, key, kind, "done", text).digest
    assert event.digest != Event(moment, key, kind, "failed", text).digest
    assert event.digest != Event(moment, key + "x", kind, "done", text).digest


def test_neither_torch_nor_numpy_nor_ray_is_imported() -> None:
    code = (
        "import sys, harness.store.merge, harness.store.leases, harness.store.artifacts\n"
        "print([name for name in ('torch', 'numpy', 'ray') if name in sys.modules])"
    )
    process = start(code)
    output, _ = process.communicate()
    assert output.strip() == "[]"
