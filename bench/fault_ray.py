"""Faults of what Ray is made of: workers, the driver, the head's raylet and control store, a node of three."""

from __future__ import annotations

import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path

from bench.fault_kinds import Fault, Tally, World
from harness.store.ledger import Ledger
from tests.faults.faulty import PATIENCE
from tests.faults.nodes import ray_nodes
from tests.faults.processes import (
    alive,
    descendants,
    done_twice,
    drive,
    family_of,
    kill,
    kill_family,
    left,
    same_numbers,
    start,
    started_after_done,
    until,
    working,
)

WAIT = "2"
"""Seconds that each cell of the patient suite takes while faults are injected."""


def ray_faults(world: World) -> list[Fault]:
    """Each fault of this room; all but the last are injected in turn into runs of one suite."""
    reference = world.folder / "patient" / "unbroken"

    def numbers_are_whole(results: Path) -> bool:
        if not reference.exists():
            left(start(drive, world.patient, reference, "inline", None, world.plugins))
        same = same_numbers(world.patient, results, reference, world.plugins)
        return same and not started_after_done(results) and not done_twice(results)

    def kill_in_a_run_of_ray_tune() -> Tally:
        turns = ("worker", "worker", "driver", "raylet", "gcs_server", "worker", "driver", "raylet", "gcs_server")
        rounds = world.count(2)
        killed, survived, lost = Counter[str](), 0, 0.0
        for number in range(rounds):
            results = world.folder / f"ray-{number}"
            driver = _driver(world, results)
            here: Counter[str] = Counter()
            for what in turns[:5] if world.quick else turns:
                family = _family_at_work(driver, results)
                time.sleep(world.moments.uniform(0.0, 1.0))
                pids = _victims(driver, results, what)
                if not pids:
                    break
                lost = max(lost, seconds_unsaved(results))
                for pid in pids:
                    kill(pid)
                here[what] += 1
                if what != "worker":
                    _end(driver, family)
                    driver = _driver(world, results)
            driver.join(300)
            ended = driver.exitcode == 0 or left(_driver(world, results)) == 0
            survived += sum(here.values()) if ended and numbers_are_whole(results) else 0
            killed += here
        note = ", ".join(f"{count} {what}" for what, count in killed.items())
        return Tally("kill -9 under Ray Tune", killed.total(), survived, f"{lost:.1f} s", note)

    def kill_of_a_node_of_three() -> Tally:
        wanted, survived, killed, lost = world.count(3), 0, 0, 0.0
        for number in range(wanted):
            results = world.folder / f"node-{number}"
            with ray_nodes(world.folder, 3, world.plugins, **{PATIENCE: WAIT}) as nodes:
                command = (drive, world.patient, results, nodes.address, None, world.plugins, 2**40, nodes.environment)
                driver = start(*command)

                def away() -> list[int]:
                    return [on for pid in working(results) if (on := nodes.of(pid))]  # noqa: B023

                [node, *_] = until(away)
                time.sleep(world.moments.uniform(0.0, 2.0))
                lost = max(lost, seconds_unsaved(results))
                kill(nodes.processes[node]["raylet"])
                killed += 1
                survived += left(driver) == 0 and numbers_are_whole(results)
        return Tally("kill -9 of one of three nodes", killed, survived, f"{lost:.1f} s", "the same run goes on")

    return [kill_in_a_run_of_ray_tune, kill_of_a_node_of_three]


def seconds_unsaved(results: Path) -> float:
    """The longest time since a stage that runs began or was saved."""
    began: dict[str, float] = {}
    for event in Ledger(results).refresh():
        if event.event == "started" and alive(int(event.payload["pid"])):
            began[event.key] = event.time
        else:
            began.pop(event.key, None)
    kept = [
        max([moment, *(path.stat().st_mtime for path in (results / "checkpoints" / key).glob("*.safetensors"))])
        for key, moment in began.items()
    ]
    return max((time.time() - moment for moment in kept), default=0.0)


def _driver(world: World, results: Path) -> BaseProcess:
    environment = {PATIENCE: WAIT, "RAY_gcs_rpc_server_reconnect_timeout_s": "5"}
    return start(drive, world.patient, results, "tune", None, world.plugins, 2**40, environment)


def _family_at_work(driver: BaseProcess, results: Path) -> dict[int, str]:
    """All processes of a driver, once one of them runs a stage or the driver has ended."""

    def found() -> list[dict[int, str]]:
        family = family_of(driver.pid) if driver.is_alive() else {}
        return [family] if family.keys() & set(working(results)) or not driver.is_alive() else []

    [family] = until(found)
    return dict(family)


def _victims(driver: BaseProcess, results: Path, what: str) -> list[int]:
    """Those that are to be killed; none if the run has ended."""
    if not driver.is_alive():
        return []
    if what == "driver":
        return [driver.pid or 0]
    if what == "worker":
        return working(results)[:1]
    return [pid for pid, words in descendants(driver.pid or 0) if words.split(" ")[0].endswith(f"/{what}")]


def _end(driver: BaseProcess, family: dict[int, str]) -> None:
    """Waits for the end of a driver that lost its Ray, or of a Ray that lost its driver, and helps if it must."""
    driver.join(120)
    driver.kill()
    driver.join()
    kill_family(family)
