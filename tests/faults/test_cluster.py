"""Three Ray nodes: everything that they are made of is killed; the numbers are those of an unbroken run without Ray."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.store.ledger import Ledger
from tests.faults.faulty import PATIENCE, install
from tests.faults.nodes import Nodes, ray_nodes
from tests.faults.processes import (
    done_twice,
    drive,
    kill,
    left,
    said_by,
    same_numbers,
    start,
    started_after_done,
    until,
    working,
    write_methods,
)


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the methods that misbehave."""
    return install(tmp_path_factory.mktemp("plugins"))


@pytest.fixture(scope="module")
def nodes(plugins: Path) -> Iterator[Nodes]:
    """Three nodes of a core each, whose workers find the methods that misbehave."""
    with ray_nodes(plugins, 3, plugins, **{PATIENCE: "4"}) as running:
        yield running


def test_six_kills_of_all_that_ray_is_made_of_change_no_number(nodes: Nodes, plugins: Path, tmp_path: Path) -> None:
    moments = random.Random(11)
    results, budgets = tmp_path / "results", "[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]"
    suite = write_methods(tmp_path, "patient", seeds=2, budgets=budgets)
    reference = start(drive, suite, tmp_path / "unbroken", "inline", None, plugins)
    command = (drive, suite, results, nodes.address, None, plugins, 2**40, nodes.environment)

    def a_worker(on: tuple[int, ...] = (0, 1, 2)) -> int:
        def found() -> int | None:
            return next((pid for pid in working(results) if nodes.of(pid) in on), None)

        return int(until(found))

    def wait_a_little() -> None:
        time.sleep(moments.uniform(0.0, 1.0))

    def kill_a_worker() -> None:
        pid = a_worker()
        wait_a_little()
        kill(pid)

    driver = start(*command)
    kill_a_worker()
    kill_a_worker()
    a_worker()
    wait_a_little()
    kill(driver.pid)
    driver.join()
    driver = start(*command)
    # a driver gives a cell up that loses three workers: two are lost in each driver's life
    kill_a_worker()
    lost = nodes.of(a_worker(on=(1, 2)))
    wait_a_little()
    kill(nodes.processes[lost or 1]["raylet"])
    done_before = finished(results)
    until(lambda: finished(results) > done_before)
    for kind in ("gcs_server", "raylet"):
        kill(nodes.processes[0][kind])
    assert left(driver) not in {0, None}, said_by(results).read_text()
    assert finished(results) < 2 + 12 * 3, "all was done before the last kill"
    assert left(start(drive, suite, results, "inline", None, plugins)) == 0
    assert left(reference) == 0
    assert same_numbers(suite, results, tmp_path / "unbroken", plugins), said_by(results).read_text()
    assert started_after_done(results) == done_twice(results) == []


def finished(results: Path) -> int:
    """How many stages are done."""
    return sum(event.event == "done" for event in Ledger(results).refresh())
