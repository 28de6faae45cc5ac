"""The processes that read photographs: none is left behind, and none that dies takes a batch with it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path

import pytest
import torch

from harness.data.workers import check_memory, usable
from harness.errors import UserError
from tests.data.pictures_on_disk import COUNT, loader


def children() -> set[int]:
    """The living readers of this test process: what its own fork server has forked, and nobody else's processes."""
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    found = set()
    for entry in Path("/proc").iterdir():
        if server is not None and entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z" and int(parent) == server:
                found.add(int(entry.name))
    return found


def wait_until(done: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_processes_of_a_pass_end_with_it(shared_tiny: Path) -> None:
    made = loader(shared_tiny, 2)
    list(made.plain(4))
    wait_until(lambda: not children())
    unfinished = made.plain(4)
    next(unfinished)
    assert len(children()) == 2
    del unfinished
    wait_until(lambda: not children())


def test_a_process_that_dies_is_replaced_and_no_batch_is_lost(shared_tiny: Path) -> None:
    expected = [images for images, _ in loader(shared_tiny).epoch(0, 0, 2, True)]
    passing = loader(shared_tiny, 1).epoch(0, 0, 2, True)
    found = [next(passing)[0]]
    for each in children():
        os.kill(each, signal.SIGKILL)
    found += [images for images, _ in passing]
    assert torch.equal(torch.cat(found), torch.cat(expected))


TRAINER = """\
import sys, time
from pathlib import Path
from harness.data.catalogue import data_set
from harness.data.photographs import PhotographLoader
from harness.data.sets import find_photographs

if __name__ == "__main__":
    declared = data_set("folder/tiny@32", Path(sys.argv[1]))
    part = find_photographs(declared, Path(sys.argv[1])).train
    passing = PhotographLoader(part, declared, workers=2).plain(2)
    next(passing)
    print("reading", flush=True)
    if sys.argv[2] == "hang":
        time.sleep(60)
    print(sum(len(labels) for _, labels in passing), flush=True)
"""


@pytest.fixture
def trainer(shared_tiny: Path, tmp_path: Path) -> Path:
    path = tmp_path / "trainer.py"
    path.write_text(TRAINER)
    return path


def started(trainer: Path, folder: Path, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(trainer), str(folder), how], stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def in_session(session: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, own = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(own) == session and state != "Z":
                found.append(int(entry.name))
    return found


def test_a_killed_trainer_leaves_no_process_behind(trainer: Path, shared_tiny: Path) -> None:
    with started(trainer, shared_tiny, "hang") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        assert len(in_session(process.pid)) > 3
        process.kill()
    wait_until(lambda: not in_session(process.pid))


def test_an_interrupt_of_the_whole_group_is_the_trainers_alone(trainer: Path, shared_tiny: Path) -> None:
    with started(trainer, shared_tiny, "go on") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        for each in in_session(process.pid):
            if each != process.pid:
                os.kill(each, signal.SIGINT)
        assert process.stdout.readline() == f"{COUNT - 2}\n"
    assert process.returncode == 0


def test_a_daemon_of_multiprocessing_reads_by_itself() -> None:
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[int] = context.Queue()
    for daemon in (True, False):
        process = context.Process(target=lambda: answers.put(usable(4)), daemon=daemon)
        process.start()
        assert answers.get(timeout=120) == (0 if daemon else 4)
        process.join()


def test_batches_that_do_not_fit_into_shared_memory_are_refused_in_one_line() -> None:
    check_memory(1, 1)
    with pytest.raises(UserError, match=r"/dev/shm has .* MiB free, and the batches under way need .*--shm-size"):
        check_memory(2, shutil.disk_usage("/dev/shm").total)
