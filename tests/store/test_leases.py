from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.store import leases
from harness.store.leases import Lease, acquire, live, progress
from harness.store.owner import this_process
from tests.store.processes import line, names, start

KEY = "0f" * 32

HOLDING = """
import sys
from pathlib import Path
from harness.store.leases import acquire
lease = acquire(Path(sys.argv[1]), sys.argv[2])
lease.note({"epoch": 3})
print("held", flush=True)
sys.stdin.read()
"""
RACING = """
import os, sys, time
from pathlib import Path
from harness.store.leases import acquire
results, keys = Path(sys.argv[1]), int(sys.argv[2])
inside, done = results / "inside", results / "done"
print("ready", flush=True)
sys.stdin.readline()
for key in range(keys):
    while not (done / str(key)).exists():
        lease = acquire(results, f"{key}")
        if lease is None:
            time.sleep(0.001)
            continue
        with lease:
            # Fails if another process is in the same place.
            os.close(os.open(inside / str(key), os.O_CREAT | os.O_EXCL))
            time.sleep(0.001)
            if not (done / str(key)).exists():
                with (results / "log").open("a") as log:
                    log.write(f"{key}\\n")
                (done / str(key)).touch()
            (inside / str(key)).unlink()
print("ended", flush=True)
"""


def lease_file(results: Path, key: str = KEY) -> Path:
    return results / "leases" / f"{key}.lease"


def take(results: Path) -> Lease:
    lease = acquire(results, KEY)
    assert lease is not None
    return lease


def age(results: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(lease_file(results), (then, then))


def write_lease_of(results: Path, **changes: object) -> None:
    owner = replace(this_process(), **changes)  # type: ignore[arg-type]
    (results / "leases").mkdir(exist_ok=True)
    lease_file(results).write_text(json.dumps(owner.__dict__))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in a minute"
        time.sleep(0.01)


def test_a_lease_is_held_by_one_and_free_after_its_release(tmp_path: Path) -> None:
    with take(tmp_path) as lease:
        assert acquire(tmp_path, KEY) is None
        assert live(tmp_path) == {KEY: lease.owner}
        assert lease.owner.pid == os.getpid()
    assert live(tmp_path) == {}
    assert not lease_file(tmp_path).exists()
    take(tmp_path).release()


def test_releasing_twice_does_not_free_the_lease_of_another(tmp_path: Path) -> None:
    first = take(tmp_path)
    first.release()
    with take(tmp_path):
        first.release()
        assert acquire(tmp_path, KEY) is None


def test_reading_leases_creates_nothing(tmp_path: Path) -> None:
    assert live(tmp_path) == {}
    assert progress(tmp_path) == {}
    assert names(tmp_path) == []


def test_of_eight_processes_that_race_for_twenty_keys_each_key_has_one_at_a_time(tmp_path: Path) -> None:
    for folder in ("inside", "done"):
        (tmp_path / folder).mkdir()
    processes = [start(RACING, tmp_path, 20) for _ in range(8)]
    for process in processes:
        assert line(process) == "ready"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate()[0] for process in processes]
    assert [output.strip() for output in outputs] == ["ended"] * 8
    assert sorted((tmp_path / "log").read_text().split(), key=int) == [str(key) for key in range(20)]
    assert live(tmp_path) == {}


def test_of_eight_processes_that_race_for_stale_leases_each_key_has_one_at_a_time(tmp_path: Path) -> None:
    dead = start("pass")
    dead.communicate()
    write_lease_of(tmp_path, pid=dead.pid)
    for key in range(20):
        lease_file(tmp_path, str(key)).write_bytes(lease_file(tmp_path).read_bytes())
    lease_file(tmp_path).unlink()
    test_of_eight_processes_that_race_for_twenty_keys_each_key_has_one_at_a_time(tmp_path)


@pytest.mark.parametrize("reaped", [True, False])
def test_after_a_kill_another_process_takes_over_at_once(tmp_path: Path, reaped: bool) -> None:
    process = start(HOLDING, tmp_path, KEY)
    assert line(process) == "held"
    assert acquire(tmp_path, KEY) is None
    assert progress(tmp_path) == {KEY: {"epoch": 3}}
    process.send_signal(signal.SIGKILL)
    if reaped:
        process.wait()
    else:
        wait_until(lambda: not live(tmp_path))
    assert live(tmp_path) == {}
    assert progress(tmp_path) == {}
    with take(tmp_path) as lease:
        assert live(tmp_path) == {KEY: lease.owner}
        assert progress(tmp_path) == {}
    process.wait()


def test_a_process_that_ends_without_release_frees_its_leases(tmp_path: Path) -> None:
    process = start(HOLDING, tmp_path, KEY)
    assert line(process) == "held"
    process.communicate("")
    take(tmp_path).release()


def test_a_later_process_of_the_same_number_is_not_the_owner(tmp_path: Path) -> None:
    started = this_process().started
    if started is None:
        pytest.skip("this operating system does not say when a process started")
    write_lease_of(tmp_path, started=started - 1)
    assert live(tmp_path) == {}
    take(tmp_path).release()


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"boot": "another"}, {"namespace": "pid:[1]"}])
def test_a_process_that_cannot_be_looked_at_holds_its_lease_for_ninety_seconds(
    tmp_path: Path, change: dict[str, str]
) -> None:
    write_lease_of(tmp_path, pid=2**22 + 1, **change)
    age(tmp_path, leases.STALE_SECONDS - 5)
    assert acquire(tmp_path, KEY) is None
    assert list(live(tmp_path)) == [KEY]
    age(tmp_path, leases.STALE_SECONDS + 5)
    assert live(tmp_path) == {}
    take(tmp_path).release()


def test_a_lease_whose_owner_was_killed_while_writing_it_is_free_after_ninety_seconds(tmp_path: Path) -> None:
    (tmp_path / "leases").mkdir()
    lease_file(tmp_path).touch()
    assert acquire(tmp_path, KEY) is None
    age(tmp_path, leases.STALE_SECONDS + 5)
    take(tmp_path).release()


def test_the_clock_of_this_process_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lease_of(tmp_path, host="elsewhere")
    monkeypatch.setattr(time, "time", lambda: 1e10)
    assert acquire(tmp_path, KEY) is None
    age(tmp_path, 1e10 - lease_file(tmp_path).stat().st_mtime + leases.STALE_SECONDS + 5)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    take(tmp_path).release()


def test_a_lease_from_before_the_clock_was_set_back_ages_from_now_on(tmp_path: Path) -> None:
    write_lease_of(tmp_path, host="elsewhere")
    age(tmp_path, -3600)
    assert acquire(tmp_path, KEY) is None
    assert abs(lease_file(tmp_path).stat().st_mtime - time.time()) < 60


def test_a_lease_is_renewed_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.02)
    with take(tmp_path):
        age(tmp_path, 1000)
        wait_until(lambda: time.time() - lease_file(tmp_path).stat().st_mtime < 100)


def test_an_owner_that_was_suspended_too_long_learns_that_it_lost_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = take(tmp_path)
    age(tmp_path, leases.STALE_SECONDS + 5)
    second = take(tmp_path)
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.02)
    third = Lease(tmp_path / "leases", KEY, first.owner)
    wait_until(lambda: third.lost)
    first.release()
    assert not second.lost
    assert live(tmp_path) == {KEY: second.owner}
    second.release()


def test_notes_are_written_at_most_once_a_second_and_go_with_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with take(tmp_path) as lease:
        lease.note({"epoch": 1, "loss": 0.5})
        lease.note({"epoch": 2})
        assert progress(tmp_path) == {KEY: {"epoch": 1, "loss": 0.5}}
        later = time.monotonic() + 2
        monkeypatch.setattr(time, "monotonic", lambda: later)
        lease.note({"epoch": 3})
        assert progress(tmp_path) == {KEY: {"epoch": 3}}
    assert not (tmp_path / "leases" / f"{KEY}.progress").exists()


@pytest.mark.parametrize("key", ["", "..", "a/b", ".steal", "a\n"])
def test_a_key_that_cannot_be_a_file_name_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="key of a lease"):
        acquire(tmp_path, key)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(UserError, match=r"cannot write .* in .*leases: Not a directory"):
        acquire(tmp_path / "results", KEY)
