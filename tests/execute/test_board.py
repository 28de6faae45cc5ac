"""The board hands out what is ready, longest first, and nothing twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from harness.execute.board import LOST_WORKERS, Board
from harness.execute.job import Job, Report
from harness.store.leases import acquire
from harness.store.ledger import Ledger
from harness.store.states import cell_state
from harness.suite.cell import Cell
from harness.suite.recipe import Epochs
from tests.cells import chain
from tests.execute.small import RECIPE, facts, small


def board(cells: list[Cell], results: Path) -> tuple[Board, Ledger]:
    ledger = Ledger(results)
    return Board(cells, ledger, results), ledger


def do(ledger: Ledger, job: Job) -> Report:
    """What a worker would tell of its stages."""
    for stage in job.stages:
        ledger.append("done", stage.key, stage.kind, facts(stage.kind, stage.config.get("target") or 1000))
    return Report(job.cell, "done")


def natural(seed: int = 0) -> Cell:
    return small("dnal", seed=seed, params={"lambda_a": 2e-4}, shown=("lambda_a",))


def order(cells: list[Cell], results: Path) -> list[str]:
    """Cells in the order in which they are handed out to many workers, none of which finishes."""
    waiting, _ = board(cells, results)
    found = []
    while (job := waiting.next()) is not None:
        found.append(job.cell)
    return found


@pytest.mark.parametrize("turned", [False, True])
def test_the_longest_work_is_handed_out_first(turned: bool, tmp_path: Path) -> None:
    cells = [small("uniform", budget=budget) for budget in (0.1, 0.9, 0.5)]
    longest_first = [cells[1].label, cells[2].label, cells[0].label]
    assert order(cells[::-1] if turned else cells, tmp_path) == longest_first


def test_work_that_others_wait_for_counts_as_longer(tmp_path: Path) -> None:
    alone, partner = small("dense", seed=1), natural()
    long = RECIPE.model_copy(update={"epochs": Epochs(dense=1, search=1, finetune=9)})
    waiting = small("l1_norm", match=partner, recipe=long)
    assert order([partner, alone], tmp_path) == [alone.label, partner.label]
    assert order([partner, alone, waiting], tmp_path) == [partner.label, alone.label]


def test_a_stage_that_is_handed_out_is_not_handed_out_again(tmp_path: Path) -> None:
    cells = [small("l1_norm", budget=0.5), small("random", budget=0.5)]
    waiting, ledger = board(cells, tmp_path)
    first = waiting.next()
    assert first is not None
    assert [stage.kind for stage in first.stages] == ["dense", "compress", "finetune", "measure"]
    assert waiting.next() is None
    ledger.append("done", first.stages[0].key, "dense", facts("dense", 1000))
    second = waiting.next()
    assert second is not None
    assert [stage.kind for stage in second.stages] == ["compress", "finetune", "measure"]
    assert waiting.in_flight == 2


def test_a_stage_that_another_driver_runs_is_waited_for(tmp_path: Path) -> None:
    wanted = small("l1_norm", budget=0.5)
    waiting, ledger = board([wanted], tmp_path)
    dense = chain(wanted, ledger).stages[0]
    lease = acquire(tmp_path, dense.key)
    assert lease is not None
    with lease:
        assert waiting.next() is None
        assert not waiting.complete
    assert waiting.next() is not None


def test_a_matching_cell_is_handed_out_once_its_partners_outcome_is_known(tmp_path: Path) -> None:
    partner = natural()
    matching = small("uniform", match=partner)
    waiting, ledger = board([matching, partner], tmp_path)
    job = waiting.next()
    assert job is not None
    assert job.cell == partner.label
    assert waiting.next() is None
    for stage in job.stages[:2]:
        ledger.append("done", stage.key, stage.kind, facts(stage.kind, 777))
    early = waiting.next()
    assert early is not None
    assert early.cell == matching.label
    assert early.stages[0].config["target"] == 777


def test_a_partner_that_failed_ends_the_wait(tmp_path: Path) -> None:
    partner = natural()
    matching = small("uniform", match=partner)
    waiting, ledger = board([matching, partner], tmp_path)
    job = waiting.next()
    assert job is not None
    ledger.append("failed", job.stages[0].key, "dense", {"reason": "diverged", "message": "the loss is nan"})
    waiting.finished(Report(job.cell, "failed"))
    assert waiting.next() is None
    assert waiting.complete
    assert cell_state(chain(partner, ledger), ledger).reason == "diverged: the loss is nan"
    assert cell_state(chain(matching, ledger), ledger).reason == f"its partner {partner.label} failed"


def test_nothing_is_handed_out_once_the_run_is_to_stop(tmp_path: Path) -> None:
    waiting, _ = board([small("dense"), small("dense", seed=1)], tmp_path)
    job = waiting.next()
    assert job is not None
    waiting.finished(Report(job.cell, "stopped"))
    assert waiting.stopping
    assert waiting.next() is None
    assert waiting.complete


def test_nothing_is_handed_out_once_the_machine_is_found_wanting(tmp_path: Path) -> None:
    waiting, _ = board([small("dense"), small("dense", seed=1)], tmp_path)
    job = waiting.next()
    assert job is not None
    waiting.finished(Report(job.cell, "halted", "the disk is full"))
    assert waiting.halted == "the disk is full"
    assert waiting.next() is None
    assert waiting.complete


def test_a_board_without_open_cells_is_complete(tmp_path: Path) -> None:
    cells = [small("dense")]
    waiting, ledger = board(cells, tmp_path)
    job = waiting.next()
    assert job is not None
    assert not waiting.complete
    waiting.finished(do(ledger, job))
    assert waiting.complete
    assert board(cells, tmp_path)[0].complete


def test_a_job_whose_worker_dies_is_handed_out_again_a_few_times_and_then_fails(tmp_path: Path) -> None:
    wanted = small("dense")
    waiting, ledger = board([wanted], tmp_path)
    for _ in range(LOST_WORKERS):
        job = waiting.next()
        assert job is not None
        waiting.lost(job.cell)
    assert waiting.next() is None
    assert waiting.complete
    assert cell_state(chain(wanted, ledger), ledger).reason == f"worker lost: the worker died {LOST_WORKERS} times"


def test_a_worker_that_dies_while_the_run_is_stopped_fails_nothing(tmp_path: Path) -> None:
    wanted = small("dense")
    waiting, ledger = board([wanted], tmp_path)
    job = waiting.next()
    assert job is not None
    waiting.stopping = True
    for _ in range(LOST_WORKERS):
        waiting.lost(job.cell)
    assert waiting.complete
    assert cell_state(chain(wanted, ledger), ledger).state == "waiting"


@pytest.mark.parametrize("chance", range(4))
def test_many_workers_do_every_stage_once_whatever_the_order(chance: int, tmp_path: Path) -> None:
    cells = []
    for seed in range(2):
        partner = natural(seed)
        cells += [small("dense", seed=seed), partner, small("l1_norm", seed=seed, match=partner)]
        cells += [
            small("random", seed=seed, widths_of=partner, allocate="from"),
            small("uniform", seed=seed, budget=0.5),
        ]
        cells.append(small("dnal", seed=seed, budget=0.5, candidates=(partner,)))
    drawn = random.Random(chance)
    drawn.shuffle(cells)
    waiting, ledger = board(cells, tmp_path)
    running: dict[str, Job] = {}
    done: list[str] = []
    while not waiting.complete:
        while len(running) < 4 and (job := waiting.next()) is not None:
            handed_out = {stage.key for other in running.values() for stage in other.stages}
            assert not handed_out & {stage.key for stage in job.stages if stage.key not in done}
            running[job.cell] = job
        finished = running.pop(drawn.choice(sorted(running)))
        for stage in finished.stages:
            assert all(ledger.state(parent) == "done" for parent in stage.parents)
            do(ledger, Job(finished.cell, (stage,)))
            done.append(stage.key)
        waiting.finished(Report(finished.cell, "done"))
    assert len(done) == len(set(done))
    assert {cell_state(chain(each, ledger), ledger).state for each in cells} == {"done"}
