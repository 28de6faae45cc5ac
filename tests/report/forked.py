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
from harness.report.beside import Helpers, can_fork
from harness.report.write import write_report
from tests.report.made_up import SHORT, facts, grid

OWN = os.getpid()


def work_is_done_in_another_process_and_handed_back() -> None:
    process, content = Helpers(fork=True).begin(lambda: (os.getpid(), b"content"))()
    assert process != OWN
    assert content == b"content"


def what_the_work_raises_is_raised_where_its_result_is_asked_for() -> None:
    def wrong() -> None:
        raise UserError("no such file")

    asked = Helpers(fork=True).begin(wrong)
    with pytest.raises(UserError, match="no such file"):
        asked()


def work_of_a_process_that_was_killed_is_done_here() -> None:
    assert Helpers(fork=True).begin(partial(_only_here, 7))() == 7


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
        apart = write_report(rows, suite, Path(folder) / "apart", beside=True)
        alone = write_report(rows, suite, Path(folder) / "alone")
        assert [path.name for path in apart] == [path.name for path in alone]
        assert [path.read_bytes() for path in apart] == [path.read_bytes() for path in alone]


def _only_here(number: int) -> int:
    if os.getpid() != OWN:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
