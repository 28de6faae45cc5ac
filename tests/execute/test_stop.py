"""A run that is asked to stop goes on later where it was, and ends in the same numbers."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.execute import stop
from harness.execute.board import Board
from harness.execute.inline import run_inline
from harness.execute.place import Place
from harness.execute.stop import StopSign
from harness.store.ledger import Ledger
from harness.suite.cell import Cell
from harness.suite.recipe import Epochs, Recipe
from harness.train.watch import Watch
from tests.cells import Finished, run
from tests.execute.small import events, small, work

RECIPE = Recipe(epochs=Epochs(dense=3, search=2, finetune=2, baseline=5), batch=64)


def grid() -> list[Cell]:
    return [small("dnal", recipe=RECIPE, params={"lambda_a": 2e-4})]


class After:
    """Says stop from its n-th question on."""

    def __init__(self, questions: int) -> None:
        self.left = questions

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def numbers(finished: Finished) -> list[object]:
    return [
        (row.top1, row.top5, row.macs, row.widths, row.curve, row.epochs, row.training_macs) for row in finished.rows
    ]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(grid(), tmp_path_factory.mktemp("unbroken"))


# Each epoch has two steps, and a batch to be scored: asked before each batch and each step, that is five questions.
# In the second epoch of the dense stage, of the search, of fine-tuning.
@pytest.mark.parametrize(("questions", "finished_stages"), [(8, 0), (24, 1), (34, 2)])
def test_a_stopped_run_goes_on_and_ends_in_the_same_numbers(
    questions: int, finished_stages: int, unbroken: Finished, tmp_path: Path
) -> None:
    watch = Watch(should_stop=After(questions), checkpoint_seconds=0)
    stopped = run(grid(), tmp_path, watch)
    assert [row.state for row in stopped.rows] == ["waiting"]
    assert sum(events(tmp_path, "done").values()) == finished_stages
    assert events(tmp_path, "failed") == {}
    assert len(list((tmp_path / "checkpoints").glob("*/*.safetensors"))) == 1
    again = run(grid(), tmp_path)
    assert numbers(again) == numbers(unbroken)
    assert events(tmp_path, "done") == {stage.key: 1 for stage in again.chains[0].stages}


def test_seconds_before_the_stop_are_billed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.train import loop

    whole = loop.accuracy

    def slow(*arguments: object, **options: object) -> float:
        time.sleep(0.3)
        return whole(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "accuracy", slow)
    run(grid(), tmp_path, Watch(should_stop=After(14), checkpoint_seconds=0))
    monkeypatch.setattr(loop, "accuracy", whole)
    finished = run(grid(), tmp_path)
    dense = finished.ledger.result(finished.chains[0].stages[0].key)
    assert dense is not None
    assert dense["seconds"] > 0.6


def test_the_board_says_that_it_was_stopped(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    board = Board(grid(), ledger, tmp_path)
    run_inline(board, Place(tmp_path, tmp_path, watch=Watch(should_stop=lambda: True)), ledger)
    assert board.stopping
    assert events(tmp_path, "started") == {}


@pytest.mark.usefixtures("fake_work")
def test_a_run_that_is_done_when_its_time_is_up_was_not_stopped(tmp_path: Path) -> None:
    work(grid(), tmp_path)
    ledger = Ledger(tmp_path)
    board = Board(grid(), ledger, tmp_path)
    run_inline(board, Place(tmp_path, tmp_path, watch=Watch(should_stop=lambda: True)), ledger)
    assert board.complete
    assert not board.stopping


def test_the_sign_says_stop_once_the_deadline_has_passed(tmp_path: Path) -> None:
    assert StopSign(tmp_path / "stop", deadline=time.time() - 1)()
    assert not StopSign(tmp_path / "stop", deadline=time.time() + 3600)()
    assert not StopSign(tmp_path / "stop")()


def test_the_sign_is_seen_by_every_worker_once_it_is_raised(tmp_path: Path) -> None:
    mine, theirs = (StopSign(tmp_path / "leases" / "stop") for _ in range(2))
    mine.raise_sign()
    assert theirs()
    mine.clear()
    assert theirs(), "once seen it holds"
    assert not StopSign(tmp_path / "leases" / "stop")()


def test_the_sign_looks_at_the_disk_no_oftener_than_twice_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(stop, "time", SimpleNamespace(monotonic=lambda: now, time=time.time))
    mine, theirs = (StopSign(tmp_path / "stop") for _ in range(2))
    assert not theirs()
    mine.raise_sign()
    assert mine(), "who raises it need not look"
    now = 100.4
    assert not theirs()
    now = 100.6
    assert theirs()
