"""`record_test_curve`: the test images are read after every epoch of fine-tuning, and nothing else changes."""

from __future__ import annotations

import pytest

from harness.store.rows import Row
from harness.suite.recipe import Epochs, Recipe
from tests.cells import Finished, run
from tests.execute.small import small

PLAIN = Recipe(epochs=Epochs(dense=2, search=1, finetune=2, baseline=3), batch=32, lr=0.1)
RECORDING = PLAIN.model_copy(update={"record_test_curve": True})

CELLS = [small("l1_norm", budget=0.25, recipe=recipe) for recipe in (PLAIN, RECORDING)]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Finished]:
    """The cell without and with the switch, in one results folder."""
    results = tmp_path_factory.mktemp("curve")
    return [run([cell], results) for cell in CELLS]


@pytest.fixture(scope="module")
def plain(both: list[Finished]) -> Row:
    return both[0].rows[0]


@pytest.fixture(scope="module")
def recording(both: list[Finished]) -> Row:
    return both[1].rows[0]


def test_every_epoch_of_fine_tuning_is_tested_and_no_other(recording: Row) -> None:
    assert {point.stage: point.test_top1 is not None for point in recording.curve} == {"dense": False, "finetune": True}


def test_the_last_epoch_is_what_is_measured(recording: Row) -> None:
    assert recording.curve[-1].test_top1 == pytest.approx(recording.top1, abs=0.005)


def test_the_best_epoch_is_never_worse_than_the_last(plain: Row, recording: Row) -> None:
    assert plain.best_test is None
    tested = [point.test_top1 for point in recording.curve if point.test_top1 is not None]
    assert recording.best_test == max(*tested, recording.top1 or 0.0)


def test_training_and_what_is_measured_are_the_same_to_the_last_bit(plain: Row, recording: Row) -> None:
    assert (recording.top1, recording.top5, recording.training_macs) == (plain.top1, plain.top5, plain.training_macs)
    assert [point._replace(test_top1=None) for point in recording.curve] == list(plain.curve)


def test_unless_it_is_asked_for_stages_keep_their_names(both: list[Finished]) -> None:
    plain, recording = (finished.chains[0] for finished in both)
    kinds = [stage.kind for stage in plain.stages]
    differ = {kind for kind, one, other in zip(kinds, plain.stages, recording.stages, strict=True) if one != other}
    assert differ == {"finetune", "measure"}
    assert not any("record_test_curve" in stage.config for stage in plain.stages)
    assert "record_test_curve" not in PLAIN.model_dump()


def test_new_weights_of_a_control_are_tested_after_every_epoch_too(both: list[Finished]) -> None:
    control = CELLS[1].from_scratch("epochs")
    [row] = run([control], both[1].results).rows
    assert row.state == "done"
    assert row.curve
    assert all(point.test_top1 is not None for point in row.curve)
