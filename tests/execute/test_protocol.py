"""Tracks, chosen learning rates and controls from new weights, run to their rows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.execute.network import Decision, cut_fresh, read_tensors, trained_network
from harness.execute.place import Place
from harness.store.rows import Row
from harness.suite.cell import Cell
from harness.suite.recipe import Epochs, Recipe
from harness.train.loop import accuracy
from tests.cells import Finished, run
from tests.execute.small import small, starts

RECIPE = Recipe(epochs=Epochs(dense=2, search=1, finetune=2, baseline=3), batch=32, lr=0.1)
CHOOSING = RECIPE.model_copy(update={"finetune_lr": "choose"})

PRUNED = small("l1_norm", budget=0.25, recipe=RECIPE)
GRID: dict[str, Cell] = {
    "pruned": PRUNED,
    "epochs": PRUNED.from_scratch("epochs"),
    "macs": PRUNED.from_scratch("macs"),
    "converged": PRUNED.in_track("converged"),
}
CHOICE = small("l1_norm", budget=0.25, recipe=CHOOSING)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(list(GRID.values()), tmp_path_factory.mktemp("protocol"))


@pytest.fixture(scope="module")
def chosen(finished: Finished) -> Finished:
    """The same cell under the recipe that chooses, in the same results folder."""
    return run([CHOICE], finished.results)


@pytest.fixture(scope="module")
def rows(finished: Finished, chosen: Finished) -> dict[str, Row]:
    found = [*finished.rows, *chosen.rows]
    assert [row.state for row in found] == ["done"] * len(found), [row.reason for row in found]
    return dict(zip([*GRID, "choosing"], found, strict=True))


def bill(row: Row) -> int:
    assert row.training_macs is not None
    return row.training_macs


def test_a_control_has_the_widths_of_its_cell(rows: dict[str, Row]) -> None:
    for control in ("epochs", "macs"):
        assert (rows[control].macs, rows[control].params) == (rows["pruned"].macs, rows["pruned"].params)
        assert rows[control].widths == rows["pruned"].widths


def test_a_control_of_equal_epochs_trains_for_the_total_and_is_billed_that_alone(rows: dict[str, Row]) -> None:
    row = rows["epochs"]
    assert row.epochs == {"finetune": 5}
    assert bill(row) == 3 * row.macs * 128 * 5  # type: ignore[operator]
    assert [point.stage for point in row.curve] == ["finetune"] * 5


def test_a_control_of_equal_training_macs_comes_within_half_an_epoch_and_says_so(rows: dict[str, Row]) -> None:
    row = rows["macs"]
    per_epoch = 3 * row.macs * 128  # type: ignore[operator]
    assert sum(row.epochs.values()) > 5
    assert abs(bill(row) - bill(rows["pruned"])) <= per_epoch / 2
    share = 100 * bill(row) / bill(rows["pruned"])
    told = f"new weights, {row.epochs['finetune']} epochs: {share:.1f} % of the training MACs of the cell that it"
    assert any(note.startswith(told) for note in row.notes)


def test_a_control_starts_from_new_weights(finished: Finished) -> None:
    stage = finished.chains[1].own_stages[0]
    decision = Decision.read(finished.results, stage.parents[0])
    assert decision.base is not None
    new = cut_fresh(stage.config, decision.kept).state_dict()
    inherited = decision.network(finished.results, stage.config).state_dict()
    first = next(name for name, tensor in new.items() if tensor.dim() == 4)
    assert not torch.equal(new[first], inherited[first])
    from harness.execute import stages

    seen = {}
    original = stages._train_weights

    def spying(place, key, config, network, stage, first_epoch):  # type: ignore[no-untyped-def]
        seen.update({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return original(place, key, config, network, stage, first_epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "_train_weights", spying)
        place = Place(finished.results, finished.results)
        stages.run_stage(place, "finetune", stage.key, stage.config, stage.parents)
    assert all(torch.equal(seen[name], new[name]) for name in new)


def test_the_converged_cell_trains_the_whole_schedule_first(rows: dict[str, Row]) -> None:
    assert rows["converged"].epochs == {"dense": 3, "compress": 0, "finetune": 3}
    assert rows["pruned"].epochs == {"dense": 2, "compress": 0, "finetune": 3}


def test_the_candidate_that_does_better_on_held_out_images_is_taken(chosen: Finished) -> None:
    finished, [chain] = chosen, chosen.chains
    base, tenth, choose = chain.stages[2:5]
    facts = finished.ledger.result(choose.key)
    assert facts is not None
    place = Place(finished.results, finished.results)
    _, held_out = place.loaders(choose.config)
    assert held_out is not None
    right = {
        stage.key: accuracy(trained_network(finished.results, stage.key, stage.config)[0], held_out)
        for stage in (base, tenth)
    }
    assert facts["held_out_top1"] == list(right.values())
    assert right[base.key] != right[tenth.key], "the test needs candidates that differ"
    assert facts["chosen"] == max(right, key=lambda key: right[key])
    taken, _ = read_tensors(finished.results, choose.key, "network.safetensors")
    expected, _ = read_tensors(finished.results, facts["chosen"], "network.safetensors")
    assert all(torch.equal(taken[name], expected[name]) for name in expected)


def test_the_row_shows_the_choice(rows: dict[str, Row]) -> None:
    (note,) = [note for note in rows["choosing"].notes if note.startswith("fine-tuned from learning rate")]
    assert {"0.1", "0.01"} == {word.strip(");") for word in note.split() if word.strip(");") in {"0.1", "0.01"}}


def test_the_bill_holds_both_candidates_and_the_epochs_tell_them_apart(rows: dict[str, Row]) -> None:
    plain, choosing = rows["pruned"], rows["choosing"]
    assert choosing.epochs == plain.epochs
    assert (plain.tried_epochs, choosing.tried_epochs) == (0, 3)
    assert bill(choosing) - bill(plain) == 3 * plain.macs * 128 * 3  # type: ignore[operator]


def test_choosing_never_reads_the_test_split(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read = []
    original = Place.test_loader

    def noting(self: Place, data: str):  # type: ignore[no-untyped-def]
        read.append(data)
        return original(self, data)

    monkeypatch.setattr(Place, "test_loader", noting)
    [row] = run([CHOICE], tmp_path).rows
    assert row.state == "done"
    assert read == ["digits"]


def test_a_candidate_that_is_there_already_is_not_trained_again(finished: Finished, chosen: Finished) -> None:
    base = finished.chains[0].stages[2].key
    assert base in {stage.key for stage in chosen.chains[0].stages}
    assert starts(finished.results)[base] == 1
