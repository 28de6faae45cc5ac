"""What an evaluation of widths is, what it costs, and that none is made twice."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from harness.channels.surgery import cut
from harness.errors import StageFailure
from harness.execute import evaluator as room
from harness.execute.evaluator import WidthEvaluator
from harness.execute.task import HarnessTask
from harness.method import Fidelity
from harness.suite.cell import Cut
from harness.train.loop import accuracy
from harness.train.watch import Stopped, Watch
from tests.execute.small import small
from tests.methods.residual import residual, residual_backbone
from tests.methods.searching import task_of

IMAGES, HELD_OUT = 128, 144
PLAIN = Fidelity(0.0, 0)
RENEWED = Fidelity(0.0, 2)
TRAINED = Fidelity(1.5, 2, 0.05)

Make = Callable[..., HarnessTask]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A task whose evaluations take 128 training images in batches of 64; the same folder each time."""

    def made(watch: Watch | None = None, **changes: Any) -> HarnessTask:
        return task_of(small("random_search", budget=0.5), tmp_path, watch, **changes)

    return made


def half(task: HarnessTask) -> dict[str, int]:
    return {group.name: group.size // 2 for group in task.groups}


def macs(task: HarnessTask, widths: dict[str, int]) -> int:
    return task.model.macs(widths)


def test_the_whole_network_with_its_own_statistics_is_as_accurate_as_it_was(make: Make) -> None:
    task = make()
    before = accuracy(task.network, task._held_out_loader())
    assert task.evaluator(1)(task.graph.widths, PLAIN) == before


@pytest.mark.parametrize("power", [1, 2])
def test_a_network_inherits_the_channels_of_largest_norm(power: int, make: Make) -> None:
    task = make()
    kept = task.evaluator(power).kept(half(task))
    for group in task.groups:
        [layer] = group.producers
        norms = task.network.state_dict()[f"{layer}.weight"].abs().pow(power).flatten(1).sum(dim=1)
        there = norms[list(kept[group.name])]
        assert len(there) == group.size // 2
        assert there.min() >= norms.sort().values[group.size - group.size // 2]


def test_an_evaluation_is_the_accuracy_of_the_cut_network_with_statistics_of_training_images(make: Make) -> None:
    task = make()
    found = task.evaluator(1)
    widths = half(task)
    narrow = cut(task.network, task.graph, found.kept(widths))
    for module in narrow.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    narrow.train()
    seed = room.derive(task._config["seed"], "evaluation")
    batches = list(task._train.epoch(room.derive(seed, "statistics"), 0, 64, task._config["augment"]))
    with torch.no_grad():
        for images, _ in batches:
            narrow(images)
    assert found(widths, RENEWED) == accuracy(narrow, task._held_out_loader())
    assert len(batches) == 2


def test_training_is_the_recipes_sgd_on_the_first_steps_of_each_pass(make: Make) -> None:
    task = make()
    found = task.evaluator(1)
    widths = half(task)
    narrow = cut(task.network, task.graph, found.kept(widths)).train()
    seed = room.derive(task._config["seed"], "evaluation")
    recipe = {name: task._config[name] for name in ("momentum", "weight_decay")}
    optimiser = torch.optim.SGD(narrow.parameters(), lr=0.05, fused=True, **recipe)
    for epoch, steps in ((0, 2), (1, 1)):
        optimiser.state.clear()
        for images, labels in list(task._train.epoch(seed, epoch, 64, task._config["augment"]))[:steps]:
            optimiser.zero_grad()
            cross_entropy(narrow(images), labels).backward()
            optimiser.step()
    torch.optim.swa_utils.update_bn(
        task._train.epoch(room.derive(seed, "statistics"), 0, 64, task._config["augment"]), narrow
    )
    assert found(widths, TRAINED) == accuracy(narrow, task._held_out_loader())
    found.adopt_best()
    again = cut(found._base, task.graph, found.kept(widths)).state_dict()
    for name, values in narrow.state_dict().items():
        assert torch.equal(values, again[name]), name


def test_the_task_s_own_network_is_left_alone(make: Make) -> None:
    task = make()
    before = copy.deepcopy(task.network.state_dict())
    found = task.evaluator(1)
    found(half(task), TRAINED)
    found.adopt_best()
    for name, values in task.network.state_dict().items():
        assert torch.equal(values, before[name]), name


@pytest.mark.parametrize(
    ("fidelity", "images", "epochs"),
    [
        (PLAIN, HELD_OUT, 0.0),
        (Fidelity(0.0, 1), 64 + HELD_OUT, 0.0),
        (Fidelity(0.0, 100), IMAGES + HELD_OUT, 0.0),
        (Fidelity(0.01, 0), 3 * 64 + HELD_OUT, 0.5),
        (Fidelity(1.5, 2), 3 * (IMAGES + 64) + IMAGES + HELD_OUT, 1.5),
    ],
)
def test_every_image_that_passes_is_billed(fidelity: Fidelity, images: int, epochs: float, make: Make) -> None:
    task = make()
    widths = half(task)
    task.evaluator(1)(widths, fidelity)
    [entry] = task.searched
    assert task.training_macs == entry.macs == images * macs(task, widths)
    assert entry.epochs == epochs
    assert task.billed.seconds == entry.seconds > 0
    assert (task.billed.epochs, task.billed.curve) == (0, [])


def test_widths_that_were_evaluated_are_not_evaluated_or_billed_again(make: Make) -> None:
    task = make()
    found = task.evaluator(1)
    first = found(half(task), RENEWED)
    found._evaluate = None  # type: ignore[method-assign, assignment]
    assert found(half(task), RENEWED) == first
    assert len(task.searched) == len(found.evaluations) == 1


def test_another_fidelity_is_another_evaluation(make: Make) -> None:
    task = make()
    found = task.evaluator(1)
    for fidelity in (PLAIN, RENEWED, TRAINED):
        found(half(task), fidelity)
    assert len(task.searched) == 3


def test_a_new_process_reads_what_is_finished_and_bills_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make()
    value = first.evaluator(1)(half(first), TRAINED)
    monkeypatch.setattr(WidthEvaluator, "_evaluate", None)
    second = make()
    assert second.evaluator(1)(half(second), TRAINED) == value
    assert (second.training_macs, second.searched) == (first.training_macs, first.searched)


def test_what_is_left_of_a_search_holds_no_pickle(make: Make, tmp_path: Path) -> None:
    task = make()
    found = task.evaluator(1)
    found(half(task), TRAINED)
    found.adopt_best()
    names = {path.name for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()}
    assert names == {"evaluations.json", "adopted-0.safetensors"}


def test_an_adopted_network_hands_on_its_weights_and_only_its_channels(make: Make) -> None:
    task = make()
    found = task.evaluator(1)
    wide, narrow = half(task), {name: width // 2 for name, width in half(task).items()}
    found(wide, TRAINED)
    before = found.kept(wide)
    assert found.adopt_best() == wide
    assert found.kept(wide) == before
    after = found.kept(narrow)
    assert all(set(after[name]) <= set(before[name]) for name in after)
    fresh = make().evaluator(1)
    assert found(narrow, PLAIN) != fresh(narrow, PLAIN)


def test_the_most_accurate_is_adopted_and_of_equals_the_first(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make()
    found = task.evaluator(1)
    first = task.groups[0].name
    worth = {8: 0.5, 7: 0.9, 6: 0.9, 5: 0.1}
    real = found._evaluate

    def made_up(kept: Any, *rest: Any) -> Any:
        entry, network = real(kept, *rest)
        return room.Evaluation(entry.widths, worth[len(kept[first])], 0.0, 0, 0.0), network

    monkeypatch.setattr(found, "_evaluate", made_up)
    for width in worth:
        found(half(task) | {first: width}, PLAIN)
    assert found.adopt_best()[first] == 7


@pytest.mark.parametrize("lost", [(), ("adopted-0.safetensors",)], ids=["saved", "lost"])
def test_what_follows_an_adoption_is_the_same_after_a_kill(lost: tuple[str, ...], make: Make) -> None:
    def search(found: WidthEvaluator, task: HarnessTask) -> list[float]:
        wide, narrow = half(task), {name: width // 2 for name, width in half(task).items()}
        values = [found(wide, TRAINED), found(task.graph.widths, RENEWED)]
        found.adopt_best()
        return [*values, found(narrow, TRAINED)]

    first = make()
    values = search(first.evaluator(1), first)
    journal = first.work_folder() / "evaluations.json"
    whole = journal.read_text()
    for name in lost:
        (first.work_folder() / name).unlink()
    last = list(room.json.loads(whole).items())[:2]
    journal.write_text(room.json.dumps(dict(last)))
    second = make()
    assert search(second.evaluator(1), second) == values
    assert second.training_macs == first.training_macs
    assert [each.widths for each in second.searched] == [each.widths for each in first.searched]


def test_adopting_before_anything_was_evaluated_is_a_mistake_of_the_method(make: Make) -> None:
    with pytest.raises(StageFailure, match="has evaluated none"):
        make().evaluator(1).adopt_best()


def test_a_network_that_diverges_is_worth_nothing_and_stops_no_search(make: Make) -> None:
    task = make()
    assert task.evaluator(1)(half(task), Fidelity(1.0, 2, 1e30)) == 0.0
    assert task.training_macs == 3 * IMAGES * macs(task, half(task))


def test_a_search_that_is_asked_to_stop_stops_before_the_next_evaluation(make: Make) -> None:
    task = make(Watch(should_stop=lambda: True))
    with pytest.raises(Stopped):
        task.evaluator(1)(half(task), PLAIN)
    assert task.searched == []


def test_the_best_so_far_is_told_while_a_search_runs(make: Make) -> None:
    told: list[dict[str, Any]] = []
    task = make(Watch(note=told.append))
    found = task.evaluator(1)
    values = [found(half(task), PLAIN), found(task.graph.widths, PLAIN)]
    assert [(facts["evaluations"], facts["best"]) for facts in told] == [(1, values[0]), (2, max(values))]


def test_a_method_that_does_not_declare_that_it_reads_held_out_images_gets_no_evaluations(tmp_path: Path) -> None:
    with pytest.raises(StageFailure, match="does not declare `needs_held_out`"):
        task_of(small("random", budget=0.5), tmp_path).evaluator(1)


@pytest.mark.parametrize("cuts", [("inner", "branch"), ("inner", "branch", "stream")], ids="+".join)
def test_branches_and_streams_are_cut_and_billed_as_they_settle(cuts: tuple[Cut, ...], tmp_path: Path) -> None:
    with residual_backbone():
        task = task_of(residual("netadapt", cuts, budget=0.5), tmp_path)
        found = task.evaluator(2)
        widths = {group.name: max(1, group.size // 3) for group in task.groups}
        found(widths, RENEWED)
        kept = task.graph.complete(found.kept(widths))
        settled = {name: len(channels) for name, channels in kept.items()}
        assert task.searched[0].widths == settled
        assert task.training_macs == (IMAGES + HELD_OUT) * task.model.macs(settled)
        assert found.adopt_best() == widths
        assert task.graph.complete(found.kept(widths)) == kept
