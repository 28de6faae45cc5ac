"""What is damaged on disk is noticed, named and made again, with the same numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.execute.job import Job, run_job
from harness.execute.place import Place
from harness.plan.stages import Chain
from harness.store.artifacts import artifact_folder, has_artifact
from harness.store.ledger import Ledger
from harness.suite.cell import Cell
from tests.cells import Finished, run
from tests.execute.small import events, small


def grid() -> list[Cell]:
    return [small("l1_norm", budget=0.5)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """An undamaged run."""
    return run(grid(), tmp_path_factory.mktemp("whole"))


@pytest.fixture
def results(whole: Finished, tmp_path: Path) -> Path:
    """A copy of it that may be damaged."""
    shutil.copytree(whole.results, tmp_path / "copy")
    return tmp_path / "copy"


def forget(results: Path, chain: Chain, *kinds: str) -> None:
    """Makes stages open again, with what they left."""
    ledger = Ledger(results)
    for stage in chain.stages:
        if stage.kind in kinds:
            ledger.refresh()
            ledger.append("lost", stage.key, stage.kind, {"reason": "a test"})
            shutil.rmtree(artifact_folder(results, stage.key))
    ledger.close()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def numbers(finished: Finished) -> list[object]:
    return [(row.top1, row.top5, row.macs, row.widths, row.curve) for row in finished.rows]


@pytest.mark.parametrize("damage", [flip, cut_off, Path.unlink], ids=["flipped", "cut off", "absent"])
@pytest.mark.parametrize(
    ("damaged", "still_open"),
    [
        ("dense", ("compress", "finetune", "measure")),
        # the weights that a decision refers to are not those of the stage's own parent
        ("dense", ("finetune", "measure")),
        ("compress", ("finetune", "measure")),
        ("finetune", ("measure",)),
    ],
)
def test_a_damaged_artifact_is_named_and_made_again(
    damaged: str, still_open: tuple[str, ...], damage: Callable[[Path], None], whole: Finished, results: Path
) -> None:
    [chain] = whole.chains
    forget(results, chain, *still_open)
    key = next(stage.key for stage in chain.stages if stage.kind == damaged)
    path = artifact_folder(results, key) / "network.safetensors"
    damage(path)
    again = run(grid(), results)
    assert numbers(again) == numbers(whole)
    lost = [event for event in Ledger(results).refresh() if event.event == "lost" and event.key == key]
    assert len(lost) == 1
    assert str(path) in lost[0].payload["reason"]
    assert has_artifact(results, key)
    made_again = {stage.key for stage in chain.stages if stage.kind in {damaged, *still_open}}
    assert events(results, "done") == {stage.key: 1 + (stage.key in made_again) for stage in chain.stages}


def test_damage_that_nothing_open_reads_costs_nothing(whole: Finished, results: Path) -> None:
    [chain] = whole.chains
    flip(artifact_folder(results, chain.stages[0].key) / "network.safetensors")
    again = run(grid(), results)
    assert numbers(again) == numbers(whole)
    assert set(events(results, "started").values()) == {1}


def test_a_file_that_is_whole_but_unreadable_fails_the_cell_rather_than_going_round_in_circles(
    whole: Finished, results: Path
) -> None:
    from harness.store.artifacts import remove_artifact, write_artifact

    [chain] = whole.chains
    forget(results, chain, "compress", "finetune", "measure")
    dense = chain.stages[0]
    remove_artifact(results, dense.key)
    write_artifact(results, dense.key, {"network.safetensors": b"no tensors"})
    ledger = Ledger(results)
    report = run_job(Job("l1_norm", chain.stages[1:]), Place(results, results), ledger)
    assert report.status == "failed"
    assert "network.safetensors" in report.message
    assert ledger.state(chain.stages[1].key) == "failed"


def test_numbers_of_two_runs_are_the_same(whole: Finished, tmp_path: Path) -> None:
    assert numbers(run(grid(), tmp_path)) == numbers(whole)
