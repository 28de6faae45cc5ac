"""Ray's feeder: as many workers as there are slots, a job for each that has none, and nobody left waiting."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.execute.board import LOST_WORKERS, Board
from harness.execute.job import Job, Report
from harness.execute.stop import StopSign
from harness.store.ledger import Ledger
from harness.suite.cell import Cell
from harness.suite.schema import Resources
from tests.execute.small import facts, small
from tests.execute.with_ray import Searcher, ray_feeder

REPORT, STILLBORN = ray_feeder.REPORT, ray_feeder.STILLBORN


class Bench:
    """A feeder without Ray: what is given to workers lies in `boxes`."""

    def __init__(self, cells: list[Cell], results: Path, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.boxes: dict[str, list[dict[str, Any] | None]] = {}
        give = SimpleNamespace(remote=lambda worker, job: self.boxes.setdefault(worker, []).append(job))
        monkeypatch.setattr(ray_feeder, "open_boxes", lambda: ("name", SimpleNamespace(give=give)))
        monkeypatch.setattr(ray_feeder, "slots", lambda resources: at_once)
        self.ledger = Ledger(results)
        self.board = Board(cells, self.ledger, results)
        self.stop = StopSign(results / "stop")
        self.feeder = ray_feeder.Feeder(self.board, {}, self.stop, Resources())
        self._count = 0

    def start(self) -> list[str]:
        """Tune starts what it is suggested; the new workers."""
        new = []
        while isinstance(self.feeder.suggest(f"w{self._count}"), dict):
            new.append(f"w{self._count}")
            self._count += 1
        return new

    def up(self, *workers: str) -> None:
        for worker in workers:
            self.feeder.on_trial_result(worker, {})

    def job(self, worker: str) -> Job | None:
        """The last that a worker was given."""
        given = self.boxes[worker][-1]
        return None if given is None else Job.from_dict(given)

    def did(self, worker: str, *kinds: str) -> None:
        """What the worker tells the ledger of its job."""
        job = self.job(worker)
        assert job is not None
        for stage in job.stages:
            if not kinds or stage.kind in kinds:
                told = facts(stage.kind, stage.config.get("target") or 777)
                self.ledger.append("done", stage.key, stage.kind, told)

    def ended(self, worker: str) -> None:
        """The worker reports that its job is done."""
        job = self.job(worker)
        assert job is not None
        self.feeder.on_trial_result(worker, {REPORT: json.dumps(asdict(Report(job.cell, "done")))})


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    return lambda cells, at_once=2: Bench(cells, tmp_path, at_once, monkeypatch)


def natural(seed: int = 0) -> Cell:
    return small("dnal", seed=seed, params={"lambda_a": 2e-4}, shown=("lambda_a",))


def test_all_slots_get_a_worker_at_once(bench: Any) -> None:
    at = bench([small("dense", seed=seed) for seed in range(5)], at_once=3)
    assert len(at.start()) == 3
    assert at.start() == []


def test_no_more_workers_are_started_than_cells_are_open(bench: Any) -> None:
    assert len(bench([small("dense")], at_once=8).start()) == 1


def test_a_dense_stage_of_many_cells_goes_to_one_worker_and_the_others_take_other_work(bench: Any) -> None:
    cells = [small(name, seed=seed, budget=0.5) for seed in range(2) for name in ("l1_norm", "random")]
    at = bench(cells, at_once=3)
    at.up(*at.start())
    jobs = {worker: at.job(worker) for worker in at.boxes}
    assert len(jobs) == 2, "two seeds have two dense stages; a third worker has nothing to do yet"
    assert len({job.stages[0].key for job in jobs.values()}) == 2
    assert {job.stages[0].kind for job in jobs.values()} == {"dense"}
    at.did("w0", "dense")
    at.start()
    third = at.job("w2")
    assert third is not None
    assert [stage.kind for stage in third.stages] == ["compress", "finetune", "measure"]


def test_a_matching_cell_starts_while_its_partner_is_still_being_fine_tuned(bench: Any) -> None:
    partner = natural()
    matching = small("l1_norm", match=partner)
    at = bench([partner, matching])
    at.up(*at.start())
    assert list(at.boxes) == ["w0"]
    at.did("w0", "dense", "compress")
    at.start()
    job = at.job("w1")
    assert job is not None
    assert job.cell == matching.label
    assert job.stages[0].config["target"] == 777
    assert at.job("w0").cell == partner.label
    assert len(at.boxes["w0"]) == 1, "its worker is still at the same job"


def test_a_worker_that_ended_a_job_gets_the_next_one(bench: Any) -> None:
    at = bench([small("dense", seed=seed) for seed in range(2)], at_once=1)
    at.up(*at.start())
    at.did("w0")
    at.ended("w0")
    assert [job["cell"] for job in at.boxes["w0"]] == [small("dense", seed=seed).label for seed in range(2)]


def test_workers_are_sent_home_and_the_search_ends_once_all_is_done(bench: Any) -> None:
    at = bench([small("dense")])
    at.up(*at.start())
    at.did("w0")
    at.ended("w0")
    assert at.job("w0") is None
    assert at.feeder.suggest("x") == Searcher.FINISHED


def test_a_worker_that_comes_up_too_late_is_sent_home(bench: Any) -> None:
    at = bench([small("dense", seed=seed) for seed in range(2)])
    first, late = at.start()
    at.up(first)
    for _ in range(2):
        at.did(first)
        at.ended(first)
    at.up(late)
    assert at.job(late) is None


def test_a_lost_worker_gives_its_job_back_and_is_replaced(bench: Any) -> None:
    at = bench([small("dense")])
    at.up(*at.start())
    at.feeder.on_trial_complete("w0", error=True)
    assert at.start() == ["w1"]
    at.up("w1")
    assert at.job("w1").cell == small("dense").label


def test_a_cell_that_loses_its_worker_again_and_again_fails(bench: Any) -> None:
    at = bench([small("dense")])
    for _ in range(LOST_WORKERS):
        [worker] = at.start()
        at.up(worker)
        at.feeder.on_trial_complete(worker, error=True)
    assert at.start() == []
    assert at.feeder.suggest("x") == Searcher.FINISHED


def test_a_worker_that_gives_up_its_process_reports_its_job_and_is_replaced(bench: Any) -> None:
    """After an error of the GPU: the report comes with the trial's end."""
    at = bench([small("dense", seed=seed) for seed in range(2)], at_once=1)
    at.up(*at.start())
    job = at.job("w0")
    at.did("w0")
    at.feeder.on_trial_complete("w0", {REPORT: json.dumps(asdict(Report(job.cell, "done", spoiled=True)))})
    assert at.start() == ["w1"]
    at.up("w1")
    assert at.job("w1").cell != job.cell


def test_workers_that_never_come_up_end_the_run_with_a_word(bench: Any) -> None:
    at = bench([small("dense")])
    for _ in range(STILLBORN):
        [worker] = at.start()
        at.feeder.on_trial_complete(worker, error=True)
    assert at.start() == []
    assert "before their first job" in at.board.halted


def test_the_stop_sign_sends_idle_workers_home_and_starts_no_more(bench: Any) -> None:
    partner = natural()
    at = bench([partner, small("l1_norm", match=partner)])
    at.up(*at.start())
    at.stop.raise_sign()
    job = at.job("w0")
    at.feeder.on_trial_result("w0", {REPORT: json.dumps(asdict(Report(job.cell, "stopped")))})
    assert (at.job("w0"), at.job("w1")) == (None, None)
    assert at.feeder.suggest("x") == Searcher.FINISHED


def test_slots_are_counted_on_each_node(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 7.0, "GPU": 1.0}},
        {"Alive": True, "Resources": {"CPU": 3.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    monkeypatch.setattr(ray_feeder.ray, "nodes", lambda: nodes)
    assert ray_feeder.slots(Resources(cpu=2)) == 4
    assert ray_feeder.slots(Resources(cpu=1, gpu=0.3333)) == 3
    assert ray_feeder.slots(Resources(cpu=4, gpu=0.25)) == 1
