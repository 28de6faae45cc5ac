"""Which learning rate each epoch of a cell has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.batches import steps_per_epoch
from harness.data.catalogue import data_set
from harness.plan.stages import chain_of
from harness.registry import method
from harness.suite.cell import Cell
from harness.suite.recipe import RECIPES, Epochs, Recipe
from harness.suite.schedule import learning_rates
from harness.suite.schedule import rates as stated_rates
from harness.train.rates import Cosine, rates_of
from tests.cells import cell

PAPER = RECIPES["paper_cifar"]
CUT = {"budget": 0.5}


def runs(rates: Sequence[float]) -> list[tuple[float, int]]:
    """[(learning rate, epochs in a row)]."""
    return [(pytest.approx(rate), len(list(group))) for rate, group in groupby(rates)]


def rates(wanted: Cell, kind: str) -> list[float]:
    return next(stage.config["learning_rates"] for stage in chain_of(wanted, {}).stages if stage.kind == kind)


def paper(name: str, **fields: object) -> Cell:
    return cell(name, recipe=PAPER, **fields)


def test_the_papers_dense_stage_is_the_first_half_of_its_baseline() -> None:
    assert PAPER.epochs == Epochs(dense=100, search=20, finetune=120, baseline=200)
    assert runs(rates(paper("dnal"), "dense")) == [(0.1, 100)]


def test_fine_tuning_after_a_search_replays_the_baselines_tail_from_epoch_80() -> None:
    assert runs(rates(paper("dnal"), "finetune")) == [(0.1, 20), (0.01, 50), (0.001, 50)]


def test_a_rival_without_a_search_fine_tunes_for_140_epochs_from_epoch_60() -> None:
    assert runs(rates(paper("l1_norm", budget=0.5), "finetune")) == [(0.1, 40), (0.01, 50), (0.001, 50)]


def test_a_network_from_scratch_has_the_whole_schedule_stretched_to_240_epochs() -> None:
    assert runs(rates(paper("uniform", budget=0.5), "finetune")) == [(0.1, 120), (0.01, 60), (0.001, 60)]


def test_the_dense_network_finishes_its_own_schedule() -> None:
    baseline, total = (paper("dense", params={"epochs": epochs}) for epochs in ("baseline", "total"))
    assert runs(rates(baseline, "finetune")) == [(0.01, 50), (0.001, 50)]
    assert runs(rates(total, "finetune")) == [(0.1, 20), (0.01, 60), (0.001, 60)]


def test_epochs_of_a_cells_life_are_numbered_on() -> None:
    first = {
        name: next(stage for stage in chain_of(paper(name, **fields), {}).stages if stage.kind == "finetune").config
        for name, fields in {"dnal": {}, "l1_norm": {"budget": 0.5}, "uniform": {"budget": 0.5}}.items()
    }
    assert {name: config["first_epoch"] for name, config in first.items()} == {
        "dnal": 120,
        "l1_norm": 100,
        "uniform": 0,
    }


def test_the_steps_of_imagenet_come_one_epoch_late() -> None:
    for name, base in (("imagenet_vgg16", 0.01), ("imagenet_resnet50", 0.1)):
        recipe = RECIPES[name]
        assert (recipe.epochs.total, recipe.epochs.schedule) == (110, 90)
        dense = stated_rates(recipe, 90, 0, recipe.epochs.dense)
        tail = stated_rates(recipe, 90, 90 - recipe.epochs.finetune, 90)
        assert isinstance(dense, list)
        assert isinstance(tail, list)
        assert runs(dense) == [(base, 30)]
        assert runs(tail) == [(base, 11), (base / 10, 30), (base / 100, 29)]


def test_late_milestones_change_every_rate_one_epoch_later() -> None:
    late = PAPER.model_copy(update={"late_milestones": True})
    for length in (200, 240, 37):
        assert learning_rates(late, length) == [PAPER.lr, *learning_rates(PAPER, length)[:-1]]


@pytest.mark.parametrize(
    ("name", "dense", "tail", "ends"),
    [
        ("imagenet_mobilenetv2", (0.1, 0.05), (0.0854, 0.0), (160, 120, 30)),
        ("imagenet_proxylessnas", (0.05, 0.0125), (0.0417, 0.0), (150, 150, 40)),
    ],
)
def test_the_cosines_of_imagenet_fall_at_every_step(
    name: str, dense: tuple[float, float], tail: tuple[float, float], ends: tuple[int, int, int]
) -> None:
    recipe = RECIPES[name].model_copy(update={"batch": 64})
    stages = {stage.kind: stage for stage in chain_of(cell("dnal", recipe=recipe), {}).stages}
    for kind, expected, horizon, start, epochs in (
        ("dense", dense, ends[0], 0, recipe.epochs.dense),
        ("finetune", tail, ends[1], ends[2], recipe.epochs.finetune),
    ):
        stated = stages[kind].config["learning_rates"]
        assert stated == {"cosine": {"base": recipe.lr, "horizon": horizon, "start": start}, "epochs": epochs}
        assert stages[kind].epochs == epochs
        cosine = rates_of(stated)
        assert isinstance(cosine, Cosine)
        assert (cosine.at(0), cosine.at(epochs)) == pytest.approx(expected, abs=5e-5)


def test_a_cosine_by_the_step_passes_through_the_rates_by_the_epoch() -> None:
    recipe = PAPER.model_copy(update={"schedule": "cosine"})
    by_step = rates_of(stated_rates(recipe.model_copy(update={"per_iteration": True}), 200, 80, 200))
    assert isinstance(by_step, Cosine)
    assert [by_step.at(epoch) for epoch in range(120)] == pytest.approx(learning_rates(recipe, 200)[80:])


def test_the_dense_network_keeps_to_its_own_schedule_from_the_start() -> None:
    recipe = RECIPES["imagenet_mobilenetv2"].model_copy(update={"batch": 64})
    for epochs, horizon in (("baseline", 120), ("total", 180)):
        whole = cell("dense", recipe=recipe, params={"epochs": epochs})
        stages = {stage.kind: stage for stage in chain_of(whole, {}).stages}
        assert stages["dense"].config["learning_rates"]["cosine"] == {"base": 0.1, "horizon": horizon, "start": 0}
        assert stages["finetune"].config["learning_rates"]["cosine"] == {"base": 0.1, "horizon": horizon, "start": 80}


def test_rivals_share_the_dense_stage_of_a_cosine() -> None:
    recipe = RECIPES["imagenet_mobilenetv2"].model_copy(update={"batch": 64})
    one, other = (chain_of(cell(name, recipe=recipe, **more), {}) for name, more in (("dnal", {}), ("l1_norm", CUT)))
    assert one.stages[0].key == other.stages[0].key


def test_no_epochs_have_no_rates_whatever_the_schedule() -> None:
    recipe = PAPER.model_copy(update={"schedule": "cosine", "per_iteration": True})
    assert stated_rates(recipe, 200, 200, 200) == []


def test_the_papers_mobilenetv2_on_cifar10() -> None:
    recipe = RECIPES["paper_cifar_mobilenetv2"]
    tail = stated_rates(recipe, 300, 120, 300)
    assert isinstance(tail, list)
    assert runs(tail) == [(0.1, 30), (0.01, 75), (0.001, 75)]
    assert recipe.epochs == Epochs(dense=150, search=20, finetune=180, baseline=300)


@pytest.mark.parametrize(
    ("recipe", "steps"),
    [
        ("imagenet_vgg16", 10_010),
        ("imagenet_resnet50", 5_005),
        ("imagenet_mobilenetv2", 5_005),
        ("imagenet_proxylessnas", 13_346),
    ],
)
def test_a_lambda_of_an_imagenet_protocol_is_not_scaled_in_its_own_recipe(recipe: str, steps: int) -> None:
    known = RECIPES[recipe]
    assert steps_per_epoch(data_set("imagenet").train_images, known.batch) == steps
    params = method("dnal").Params(reference_epochs=known.epochs.search, reference_steps=steps)
    assert method("dnal").strength_factor(params, steps, known.epochs.search) == pytest.approx(1.0)


LENGTHS = st.builds(
    Epochs, dense=st.integers(1, 30), search=st.integers(1, 10), finetune=st.integers(0, 30), baseline=st.just(60)
)


@given(epochs=LENGTHS)
def test_every_method_trains_for_the_same_total(epochs: Epochs) -> None:
    recipe = Recipe(epochs=epochs)
    for wanted in (
        cell("dense", recipe=recipe),
        cell("dnal", recipe=recipe),
        cell("l1_norm", budget=0.5, recipe=recipe),
        cell("uniform", budget=0.5, recipe=recipe),
    ):
        assert sum(stage.epochs for stage in chain_of(wanted, {}).stages) == epochs.total


@given(epochs=LENGTHS)
def test_fine_tuning_ends_where_the_baselines_schedule_ends(epochs: Epochs) -> None:
    recipe = Recipe(epochs=epochs)
    schedule = learning_rates(recipe, 60)
    tuned = rates(cell("dnal", recipe=recipe), "finetune")
    assert tuned == schedule[60 - epochs.finetune :]
    longer = rates(cell("l1_norm", budget=0.5, recipe=recipe), "finetune")
    assert longer == schedule[60 - epochs.finetune - epochs.search :]


@given(epochs=LENGTHS, schedule=st.sampled_from(["step", "cosine", "constant"]), length=st.integers(1, 300))
def test_learning_rates_begin_at_the_base_and_never_rise(epochs: Epochs, schedule: str, length: int) -> None:
    recipe = Recipe(epochs=epochs, lr=0.3, schedule=schedule)
    found = learning_rates(recipe, length)
    assert len(found) == length
    assert found[0] == pytest.approx(0.3)
    assert found == sorted(found, reverse=True)
    assert min(found) > 0


@given(length=st.integers(2, 400), milestones=st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4, unique=True))
def test_a_step_schedule_falls_by_gamma_at_each_milestone(length: int, milestones: list[float]) -> None:
    recipe = Recipe(epochs=PAPER.epochs, milestones=tuple(sorted(milestones)), gamma=0.5)
    for epoch, rate in enumerate(learning_rates(recipe, length)):
        passed = sum(epoch / length >= milestone - 1e-12 for milestone in milestones)
        strictly = sum(epoch / length >= milestone + 1e-12 for milestone in milestones)
        assert 0.1 * 0.5**passed <= rate * (1 + 1e-12)
        assert rate * (1 - 1e-12) <= 0.1 * 0.5**strictly


def test_the_cosine_falls_to_half_in_the_middle() -> None:
    recipe = PAPER.model_copy(update={"schedule": "cosine"})
    assert learning_rates(recipe, 100)[50] == pytest.approx(0.05)
