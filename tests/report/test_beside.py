"""Work in forked processes beside this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.report.beside import Helpers

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked here")
@pytest.mark.parametrize(
    "what",
    [
        "work_is_done_in_another_process_and_handed_back",
        "what_the_work_raises_is_raised_where_its_result_is_asked_for",
        "work_of_a_process_that_was_killed_is_done_here",
        "a_prepared_process_does_its_work_once_it_is_ready",
        "a_second_work_after_the_prepared_one_is_begun_as_any_other",
        "what_making_ready_raises_is_raised_where_the_result_is_asked_for",
        "work_for_a_prepared_process_that_was_killed_is_done_here",
        "a_prepared_process_without_work_is_ended",
        "a_process_that_heeds_no_signal_is_ended",
        "shared_jobs_are_each_done_once_and_come_in_their_order",
        "shared_jobs_that_a_killed_process_took_are_done_here",
        "ending_leaves_no_process_behind",
        "nothing_is_forked_beside_a_thread",
        "a_report_made_in_several_processes_has_the_bytes_of_one_made_in_one",
    ],
)
def test_with_forked_processes(what: str) -> None:
    code = f"from tests.report import forked; forked.{what}()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_without_forking_work_is_done_here() -> None:
    assert Helpers(fork=False).begin(os.getpid)() == os.getpid()


def test_without_forking_prepared_work_is_done_here() -> None:
    helped = Helpers(fork=False)
    helped.prepare(pytest.fail)
    assert helped.begin_prepared(os.getpid)() == os.getpid()


def test_without_forking_shared_jobs_come_in_their_order() -> None:
    assert Helpers(fork=False).share([lambda n=number: n for number in range(9)]) == list(range(9))
