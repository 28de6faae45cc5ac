"""What a method is given, and what its training costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.channels.graph import ChannelGroup, KeptChannels
from harness.errors import StageFailure
from harness.execute.network import Decision, changed_weights, fresh_network
from harness.execute.place import Place
from harness.execute.task import HarnessTask, _by_channel
from harness.method import Scores
from harness.plan.stages import chain_of
from harness.registry import method
from harness.store.artifacts import write_artifact
from harness.suite.cell import Cell, Cut
from tests.channels.networks import drawn
from tests.execute.small import small
from tests.methods.residual import residual, residual_backbone

Make = Callable[..., HarnessTask]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """The task of a cell, on fresh weights; `changes` are to the stage's configuration."""

    def made(cell: Cell | None = None, **changes: Any) -> HarnessTask:
        cell = cell or small("random", budget=0.5)
        config = {**chain_of(cell, {}).stages[1].config, **changes}
        params = method(cell.method).Params.model_validate(cell.params)
        return HarnessTask(Place(tmp_path, tmp_path), "0" * 64, config, params, fresh_network(config))

    return made


def even(task: HarnessTask) -> Scores:
    return {group.name: torch.arange(group.size).float() for group in task.groups}


def test_the_initial_weights_are_those_of_the_seed(make: Make) -> None:
    one, same, other = (make(small("random", budget=0.5, seed=seed)).network.state_dict() for seed in (0, 0, 1))
    assert changed_weights(one, same) == {}
    assert "features.conv1.weight" in changed_weights(one, other)


def test_the_generator_is_seeded_for_this_cell_and_this_method(make: Make) -> None:
    def drawn(name: str, seed: int) -> list[float]:
        cell = small(name, budget=0.5, seed=seed)
        return torch.rand(3, generator=make(cell).generator).tolist()

    assert drawn("random", 0) == drawn("random", 0)
    assert drawn("random", 0) != drawn("random", 1)
    assert drawn("random", 0) != drawn("l1_norm", 0)


def test_allocation_meets_the_budget_from_the_best_channels(make: Make) -> None:
    task = make()
    kept = task.allocate(even(task))
    widths = task.graph.widths | {name: len(channels) for name, channels in kept.items()}
    assert task.target is not None
    assert task.cost(widths) == pytest.approx(task.target, rel=0.02)
    for group in task.groups:
        assert kept[group.name] == tuple(range(group.size - len(kept[group.name]), group.size))


def test_cost_is_counted_in_the_budgets_metric(make: Make) -> None:
    macs, params = make(), make(metric="params")
    assert macs.cost(macs.graph.widths) == macs.model.dense_macs
    assert params.cost(params.graph.widths) == params.model.dense_params


def test_scores_that_lack_a_group_are_refused_by_its_name(make: Make) -> None:
    task = make()
    scores = even(task)
    absent = next(iter(scores))
    del scores[absent]
    with pytest.raises(StageFailure, match=f"no score for group '{absent}'"):
        task.allocate(scores)


def test_scores_of_the_wrong_shape_are_refused_by_their_group(make: Make) -> None:
    task = make()
    group = task.groups[0]
    with pytest.raises(StageFailure, match=rf"'{group.name}' have shape \(3,\), expected \({group.size},\)"):
        task.allocate(even(task) | {group.name: torch.ones(3)})


def test_a_partners_widths_are_taken_with_the_cells_own_choice_of_channels(make: Make) -> None:
    task = make()
    widths = {group.name: 3 for group in task.groups}
    taker = make(allocate="from", widths=widths, target=None)
    kept = taker.allocate(even(taker))
    assert kept == {group.name: tuple(range(group.size - 3, group.size)) for group in task.groups}


def test_a_partners_cut_that_this_cell_may_not_make_is_out_of_reach(make: Make) -> None:
    task = make()
    widths = {group.name: group.size - 1 for group in task.groups}
    taker = make(allocate="from", widths=widths, target=None, cuts=["stream"])
    with pytest.raises(StageFailure) as failure:
        taker.allocate({})
    assert failure.value.reason == "out of reach"


def test_a_profile_without_a_budget_takes_its_rates_as_they_stand(make: Make) -> None:
    task = make(allocate="profile", profile={"rates": [["features.conv2", 0.5]], "most": 1.0}, target=None)
    kept = task.allocate(even(task))
    for group in task.groups:
        width = group.size // 2 if group.name == "features.conv2" else group.size
        assert kept[group.name] == tuple(range(group.size - width, group.size))


@pytest.fixture
def residual_task(tmp_path: Path) -> Iterator[Make]:
    """As `make`, on a residual network: of its method, kinds of cuts and changes to the configuration."""

    def made(cuts: tuple[Cut, ...], **changes: Any) -> HarnessTask:
        cell = residual("random", cuts, budget=0.4)
        config = {**chain_of(cell, {}).stages[1].config, **changes}
        params = method(cell.method).Params.model_validate(cell.params)
        return HarnessTask(Place(tmp_path, tmp_path), "0" * 64, config, params, fresh_network(config))

    with residual_backbone():
        yield made


def random_scores(task: HarnessTask, seed: int) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    return {group.name: torch.rand(group.size, generator=generator) for group in task.groups}


def settled_widths(task: HarnessTask, kept: KeptChannels) -> dict[str, int]:
    return {name: len(channels) for name, channels in task.graph.complete(kept).items()}


@pytest.mark.parametrize("cuts", [("inner", "branch"), ("inner", "stream"), ("inner", "branch", "stream")])
@pytest.mark.parametrize(
    "changes",
    [
        {"allocate": "uniform"},
        {"allocate": "global"},
        {"allocate": "global", "normalise": "none"},
        {"allocate": "per_mac"},
        {"allocate": "profile", "profile": {"rates": [["*conv1", 0.6], ["*", 0.4]], "most": 1.0}},
    ],
    ids=["uniform", "global", "global without norm", "per_mac", "profile"],
)
def test_the_budget_of_a_residual_network_is_met_by_what_is_left_in_the_end(
    cuts: tuple[Cut, ...], changes: dict[str, Any], residual_task: Make
) -> None:
    task = residual_task(cuts, **changes)
    assert task.target is not None
    for seed in range(3):
        kept = task.allocate(random_scores(task, seed))
        assert task.cost(settled_widths(task, kept)) == pytest.approx(task.target, rel=0.01)


@pytest.mark.parametrize("cuts", [("inner",), ("inner", "branch"), ("inner", "branch", "stream")])
def test_a_partners_widths_are_met_exactly_by_other_channels_of_a_residual_network(
    cuts: tuple[Cut, ...], residual_task: Make
) -> None:
    partner = residual_task(cuts)
    widths = settled_widths(partner, drawn(partner.graph, cuts, seed=5, removed=0.0))
    task = residual_task(cuts, allocate="from", widths=widths, target=None)
    equal = {group.name: torch.zeros(group.size) for group in task.groups}
    for scores in (random_scores(task, 0), equal):
        kept = task.allocate(scores)
        assert settled_widths(task, kept) == widths
        arranged = task.arrange({name: len(channels) for name, channels in kept.items()})
        assert settled_widths(task, arranged) == widths


@pytest.mark.parametrize("cuts", [("inner",), ("inner", "stream")])
def test_a_partners_branches_that_follow_from_what_it_cut_are_not_asked_for(
    cuts: tuple[Cut, ...], residual_task: Make
) -> None:
    partner = residual_task(cuts)
    kept = drawn(partner.graph, cuts, seed=5, removed=0.0) | {"layer1.0.conv1": ()}
    widths = settled_widths(partner, kept)
    assert partner.graph.removed(kept) == ["layer1.0.conv2"]
    task = residual_task(cuts, allocate="from", widths=widths, target=None)
    assert settled_widths(task, task.allocate(random_scores(task, 0))) == widths


def test_a_partner_that_cut_branches_is_out_of_reach_of_a_cell_that_may_not(residual_task: Make) -> None:
    partner = residual_task(("inner", "branch"))
    widths = partner.graph.widths | {"layer1.0.conv2": 3}
    task = residual_task(("inner",), allocate="from", widths=widths, target=None)
    with pytest.raises(StageFailure, match=r"the partner cut group 'layer1\.0\.conv2'"):
        task.allocate(random_scores(task, 0))


def test_scores_of_rows_are_summed_over_a_channel_of_several_rows() -> None:
    group = ChannelGroup("a", 2, "depthwise", ("a",), (), (), (), rows=3)
    assert _by_channel(group, torch.arange(6.0)).tolist() == [3.0, 12.0]
    assert _by_channel(group, torch.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    with pytest.raises(StageFailure, match=r"have shape \(3,\), expected \(2,\)"):
        _by_channel(group, torch.ones(3))


def test_batches_for_scoring_are_the_same_at_every_call_and_can_be_limited(make: Make) -> None:
    task = make()
    one, two = list(task.training_batches(1)), list(task.training_batches())
    assert len(one) == 1
    assert len(two) == task.steps_per_epoch == 2
    assert torch.equal(one[0][0], two[0][0])
    assert sum(len(labels) for _, labels in two) == 128


def test_what_is_trained_is_billed(make: Make) -> None:
    task = make()
    options = {"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 0.0}
    images, macs = 128, task.model.dense_macs
    convolution = next(module for module in task.network.modules() if isinstance(module, nn.Conv2d))
    norm = next(module for module in task.network.modules() if isinstance(module, nn.BatchNorm2d))
    task.train(task.network, epochs=2, parameters=[norm.weight], **options)
    assert (task.billed.epochs, task.training_macs) == (2, 2 * 2 * macs * images)
    task.train(task.network, epochs=1, parameters=[convolution.weight], **options)
    assert (task.billed.epochs, task.training_macs) == (3, (2 * 2 + 3) * macs * images)
    first = task._config["first_epoch"]
    assert [point["epoch"] for point in task.billed.curve] == [first, first + 1, first + 2]
    assert {point["stage"] for point in task.billed.curve} == {"compress"}


def test_a_decision_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    decision = Decision({"features.0": (0, 3, 5)}, "b" * 64, {"features.0.weight": torch.ones(2, 2)})
    write_artifact(tmp_path, "a" * 64, {"network.safetensors": decision.to_bytes()})
    found = Decision.read(tmp_path, "a" * 64)
    assert (found.kept, found.base) == (decision.kept, decision.base)
    assert torch.equal(found.changed["features.0.weight"], torch.ones(2, 2))


def test_what_is_computed_outside_training_is_billed(make: Make) -> None:
    task = make()
    task.bill(1_000)
    task.bill(234)
    assert task.training_macs == 1_234


def test_what_an_image_costs_beside_the_network_is_billed(make: Make) -> None:
    plain, taught = make(), make()
    for task, extra in ((plain, 0), (taught, 1_000)):
        parameters = list(task.network.parameters())
        options = {"learning_rate": [0.01], "parameters": parameters, "momentum": 0.0, "weight_decay": 0.0}
        task.train(task.network, epochs=1, extra_macs_per_image=extra, **options)
    assert taught.training_macs - plain.training_macs == 1_000 * len(taught._train)


def test_as_many_learning_rates_as_epochs_are_asked_for(make: Make) -> None:
    task = make()
    with pytest.raises(StageFailure, match="trains 2 epochs and gave 1 learning rates"):
        task.train(task.network, epochs=2, learning_rate=[0.1], parameters=[], momentum=0.0, weight_decay=0.0)


def test_held_out_images_are_for_methods_that_declare_it(make: Make) -> None:
    with pytest.raises(StageFailure, match="does not declare `needs_held_out`"):
        make().held_out_batches()


def test_held_out_images_come_whole_and_unaugmented(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make()
    monkeypatch.setattr(method("random"), "needs_held_out", True)
    first, again = (torch.cat([images for images, _ in task.held_out_batches()]) for _ in range(2))
    assert torch.equal(first, again)
    assert len(first) == 144


def test_passes_over_the_training_images_have_orders_of_their_own(make: Make) -> None:
    task = make()

    def labels(epoch: int) -> list[int]:
        return torch.cat([each for _, each in task.training_batches(epoch=epoch)]).tolist()

    assert labels(0) == labels(0)
    assert labels(0) != labels(1)
    assert sorted(labels(0)) == sorted(labels(1))
