"""A stage that hangs becomes a row that says where it hung, and the others go on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from harness.execute.job import Report
from harness.execute.ray_servers import ServersWatch, own_servers
from harness.execute.watchdog import Hung, Watchdog
from harness.train.watch import Watch
from tests.faults.faulty import install
from tests.faults.processes import drive, left, reasons, said_by, speak_to, start, starts, until, write_methods


def test_a_stage_that_hangs_is_ended_where_it_hangs_and_the_suite_goes_on(tmp_path: Path) -> None:
    suite, results, plugins = write_methods(tmp_path, "sleeping", "l1_norm"), tmp_path / "results", install(tmp_path)
    assert left(start(drive, write_methods(tmp_path / "first", "random"), results, "inline", None, plugins)) == 0
    assert left(start(drive, suite, results, "inline", 3.0, plugins)) == 0
    found = reasons(suite, results, plugins)
    assert found["l1_norm"] == "done"
    assert found["sleeping"].startswith("hung: no step, batch or epoch for 3 s")
    assert "time.sleep(3600)" in found["sleeping"], "the traceback says where"
    # it is not tried again by itself
    before = starts(results)
    assert left(start(drive, suite, results, "inline", 3.0, plugins)) == 0
    assert starts(results) == before


def test_a_stage_that_cannot_be_interrupted_is_recorded_and_its_process_ends(tmp_path: Path) -> None:
    suite, results, plugins = write_methods(tmp_path, "stubborn", "l1_norm"), tmp_path / "results", install(tmp_path)
    lives = [left(start(drive, suite, results, "inline", 3.0, plugins)) for _ in range(2)]
    assert lives == [3, 0]
    found = reasons(suite, results, plugins)
    assert found["l1_norm"] == "done"
    assert found["stubborn"].startswith("hung: ")
    assert "faulty.py" in found["stubborn"]
    assert "hung and could not be interrupted; the same command goes on without it" in said_by(results).read_text()


def test_a_worker_is_given_up_after_a_hang_and_after_no_other_failure() -> None:
    assert Report("cell", "failed", "hung: no step, batch or epoch for 1800 s").worn
    assert not Report("cell", "failed", "diverged: the loss is nan").worn
    assert not Report("cell", "done").worn


def test_signs_of_life_keep_the_watchdog_quiet() -> None:
    gone: list[str] = []
    dog = Watchdog(0.4, gone.append)
    watch = dog.listening(Watch())
    with dog:
        for _ in range(30):
            time.sleep(0.02)
            watch.should_stop()
        for _ in range(30):
            time.sleep(0.02)
            watch.note({})
    assert gone == []


def test_without_signs_of_life_the_block_is_left_by_an_exception_that_no_method_catches() -> None:
    before = signal.getsignal(signal.SIGALRM)

    def hang() -> None:
        try:
            threading.Event().wait(60)
        except Exception:
            pytest.fail("a method could catch it")

    def watched() -> None:
        with Watchdog(0.2, pytest.fail):
            hang()

    with pytest.raises(Hung):
        watched()
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_watch_without_a_main_thread_gives_up_with_all_stacks() -> None:
    gone: list[str] = []
    over = threading.Event()

    def hang_in_a_thread_of_its_own() -> None:
        with Watchdog(0.1, lambda trace: (gone.append(trace), over.set())[1], grace=0.1):
            over.wait(60)

    thread = threading.Thread(target=hang_in_a_thread_of_its_own)
    thread.start()
    thread.join()
    assert "hang_in_a_thread_of_its_own" in gone[0]


def test_a_driver_whose_ray_was_killed_ends_and_says_how_to_go_on(tmp_path: Path) -> None:
    said = tmp_path / "said.txt"
    driver = start(wait_for_a_raylet, said)
    assert left(driver) == 3
    assert "Ray ended (raylet was killed); the same command goes on from here" in said.read_text()
    assert "tidied" in said.read_text()


def wait_for_a_raylet(said: Path) -> None:
    """A driver with a process of a raylet's name, which is killed."""
    speak_to(said)
    raylet = said.with_name("raylet")
    shutil.copyfile("/bin/sleep", raylet)
    raylet.chmod(0o755)
    server = subprocess.Popen([raylet, "600"])
    until(lambda: own_servers() == {server.pid: "raylet"})
    with ServersWatch(lambda: print("tidied", flush=True)):
        server.kill()
        time.sleep(600)
