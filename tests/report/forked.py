"""What test_beside.py runs in fresh processes: a test runner has threads, beside which nothing is forked."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from functools import partial
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.report.beside import Helpers, can_fork, helpers
from harness.report.write import ready_to_draw, write_report
from tests.report.made_up import SHORT, facts, grid

OWN = os.getpid()


def work_is_done_in_another_process_and_handed_back() -> None:
    process, content = Helpers(fork=True).begin(lambda: (os.getpid(), b"content"))()
    assert process != OWN
    assert content == b"content"


def what_the_work_raises_is_raised_where_its_result_is_asked_for() -> None:
    asked = Helpers(fork=True).begin(partial(_wrong, "no such file"))
    with pytest.raises(UserError, match="no such file"):
        asked()


def work_of_a_process_that_was_killed_is_done_here() -> None:
    assert Helpers(fork=True).begin(partial(_only_here, 7))() == 7


def a_prepared_process_does_its_work_once_it_is_ready() -> None:
    with tempfile.TemporaryDirectory() as folder:
        helped = Helpers(fork=True)
        helped.prepare((Path(folder) / "ready").touch)
        process, ready = helped.begin_prepared(partial(_seen, str(Path(folder) / "ready")))()
    assert process != OWN
    assert ready


def a_second_work_after_the_prepared_one_is_begun_as_any_other() -> None:
    helped = Helpers(fork=True)
    helped.prepare(int)
    first, second = helped.begin_prepared(os.getpid), helped.begin_prepared(os.getpid)
    assert OWN not in (one := first(), other := second())
    assert one != other


def what_making_ready_raises_is_raised_where_the_result_is_asked_for() -> None:
    helped = Helpers(fork=True)
    helped.prepare(partial(_wrong, "no such library"))
    with pytest.raises(UserError, match="no such library"):
        helped.begin_prepared(os.getpid)()


def work_for_a_prepared_process_that_was_killed_is_done_here() -> None:
    helped = Helpers(fork=True)
    helped.prepare(partial(_only_here, 0))
    assert helped.begin_prepared(os.getpid)() == OWN


def a_prepared_process_without_work_is_ended() -> None:
    with helpers() as helped:
        helped.prepare(int)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def a_process_that_heeds_no_signal_is_ended() -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: None)  # as Ray's handler, which only takes note
    with helpers() as helped:
        helped.prepare(int)
        helped.begin(signal.pause)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def shared_jobs_are_each_done_once_and_come_in_their_order() -> None:
    with tempfile.TemporaryDirectory() as folder:

        def job(number: int) -> int:
            with (Path(folder) / str(number)).open("x"):  # a second time it would be there already
                return number

        assert Helpers(fork=True).share([partial(job, number) for number in range(300)]) == list(range(300))


def shared_jobs_that_a_killed_process_took_are_done_here() -> None:
    assert Helpers(fork=True).share([partial(_only_here, number) for number in range(50)]) == list(range(50))


def ending_leaves_no_process_behind() -> None:
    helped = Helpers(fork=True)
    helped.begin(signal.pause)
    helped.end()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def nothing_is_forked_beside_a_thread() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    forked = can_fork()
    stop.set()
    thread.join()
    assert not forked


def a_report_made_in_several_processes_has_the_bytes_of_one_made_in_one() -> None:
    rows, suite = grid((1e-4,), (0, 1), SHORT), facts(recipe=SHORT)
    with tempfile.TemporaryDirectory() as folder:
        with helpers() as helped:
            helped.prepare(ready_to_draw)
            apart = write_report(rows, suite, Path(folder) / "apart", helped=helped)
        alone = write_report(rows, suite, Path(folder) / "alone")
        assert [path.name for path in apart] == [path.name for path in alone]
        assert [path.read_bytes() for path in apart] == [path.read_bytes() for path in alone]


def _seen(path: str) -> tuple[int, bool]:
    return os.getpid(), Path(path).exists()


def _wrong(words: str) -> None:
    raise UserError(words)


def _only_here(number: int) -> int:
    if os.getpid() != OWN:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
