"""Tracks, the choice of fine-tuning's learning rate, and controls from new weights, as stages."""

from __future__ import annotations

from typing import Any

import pytest

from harness.plan.stages import Chain, Stage, chain_of
from harness.suite.cell import Cell
from harness.suite.recipe import Epochs, Recipe
from harness.suite.schedule import learning_rates
from tests.cells import RECIPE, cell

LONG = Recipe(epochs=Epochs(dense=8, search=4, finetune=12, baseline=16), lr=0.1)


def stages(wanted: Cell, results: dict[str, Any] | None = None) -> dict[str, Stage]:
    return {stage.kind: stage for stage in chain_of(wanted, results or {}).stages}


def all_rates(wanted: Cell) -> list[float]:
    found = stages(wanted)
    dense = found["dense"].config["learning_rates"] if "dense" in found else []
    return [*dense, *found["finetune"].config["learning_rates"]]


def test_without_tracks_choice_and_controls_the_keys_are_what_they_were_before_these_came() -> None:
    unset = cell("l1_norm", budget=0.5, recipe=LONG)
    config = stages(unset)["finetune"].config
    assert not {"fresh", "track", "finetune_lr"} & config.keys()
    assert "finetune_lr" not in LONG.model_dump(mode="json")
    explicit = LONG.model_copy(update={"finetune_lr": "base"})
    same = cell("l1_norm", budget=0.5, recipe=explicit).in_track("shared_start")
    assert [stage.key for stage in stages(same).values()] == [stage.key for stage in stages(unset).values()]


def test_the_converged_dense_stage_is_annealed_and_the_tail_of_its_schedule_follows() -> None:
    wanted = cell("l1_norm", budget=0.5, recipe=LONG).in_track("converged")
    schedule = learning_rates(LONG, 16)
    assert all_rates(wanted) == schedule + schedule
    assert stages(wanted)["finetune"].config["first_epoch"] == 16


@pytest.mark.parametrize("name", ["dense", "l1_norm", "random", "uniform", "dnal"])
@pytest.mark.parametrize("track", ["shared_start", "converged"])
def test_totals_are_equal_within_a_track(name: str, track: Any) -> None:
    budget = None if name in {"dense", "dnal"} else 0.5
    wanted = cell(name, budget=budget, recipe=LONG).in_track(track)
    total = {"shared_start": 8 + 4 + 12, "converged": 16 + 4 + 12}[track]
    assert sum(stage.epochs for stage in chain_of(wanted, {}).own_stages) == total


def test_all_methods_of_the_converged_track_share_one_dense_stage_of_their_own() -> None:
    rivals = [cell(name, budget=0.5, recipe=LONG).in_track("converged") for name in ("l1_norm", "random")]
    keys = {stages(each)["dense"].key for each in (*rivals, cell("dnal", recipe=LONG).in_track("converged"))}
    assert len(keys) == 1
    assert stages(cell("dnal", recipe=LONG))["dense"].key not in keys


def choosing(wanted: str = "choose", **fields: Any) -> Cell:
    return cell("l1_norm", budget=0.5, recipe=LONG.model_copy(update={"finetune_lr": wanted}), **fields)


def test_both_learning_rates_are_trained_and_the_first_is_the_stage_that_is_there_anyway() -> None:
    plain = stages(cell("l1_norm", budget=0.5, recipe=LONG))
    chain = chain_of(choosing(), {})
    assert [stage.kind for stage in chain.stages] == ["dense", "compress", "finetune", "finetune", "choose", "measure"]
    base, tenth, choose, measure = chain.stages[2:]
    assert base.key == plain["finetune"].key
    assert tenth.config["learning_rates"] == pytest.approx([rate / 10 for rate in base.config["learning_rates"]])
    assert choose.parents == (base.key, tenth.key)
    assert measure.parents == (choose.key,)


def test_a_tenth_alone_is_the_candidate_of_the_choice() -> None:
    assert stages(choosing("tenth"))["finetune"].key == chain_of(choosing(), {}).stages[3].key


def test_a_cosine_by_the_step_is_scaled_too() -> None:
    recipe = LONG.model_copy(update={"finetune_lr": "tenth", "schedule": "cosine", "per_iteration": True})
    config = stages(cell("l1_norm", budget=0.5, recipe=recipe))["finetune"].config
    assert config["learning_rates"]["cosine"]["base"] == pytest.approx(0.01)


@pytest.mark.parametrize("name", ["dense", "uniform"])
def test_training_that_is_no_fine_tuning_keeps_its_rates(name: str) -> None:
    budget = None if name == "dense" else 0.5
    plain = cell(name, budget=budget, recipe=LONG)
    choice = cell(name, budget=budget, recipe=LONG.model_copy(update={"finetune_lr": "choose"}))
    assert [stage.key for stage in chain_of(choice, {}).stages] == [stage.key for stage in chain_of(plain, {}).stages]


CONTROLLED = cell("l1_norm", budget=0.25, recipe=LONG)


def decided(macs: int, training_macs: int = 0) -> dict[str, Any]:
    """What the ledger has once the method has decided."""
    deciding = chain_of(CONTROLLED, {}).deciding
    assert deciding is not None
    return {deciding: {"macs": macs, "training_macs": training_macs, "widths": {}}}


def control(mode: Any, results: dict[str, Any]) -> Chain:
    return chain_of(CONTROLLED.from_scratch(mode), results)


def test_a_control_of_equal_epochs_trains_new_weights_on_the_schedule_stretched_to_the_total() -> None:
    chain = control("epochs", {})
    assert chain.measure is not None
    own = chain.own_stages
    assert [stage.kind for stage in own] == ["finetune", "measure"]
    assert own[0].config["learning_rates"] == learning_rates(LONG, 24)
    assert own[0].config["fresh"] is True
    assert own[0].parents == (chain_of(CONTROLLED, {}).deciding,)


def test_a_control_rests_on_the_very_decision_of_its_cell() -> None:
    assert control("epochs", {}).stages[:2] == chain_of(CONTROLLED, {}).stages[:2]


def test_a_control_of_equal_macs_waits_for_the_decision() -> None:
    chain = control("macs", {})
    assert chain.measure is None
    assert chain.waits_for == chain_of(CONTROLLED, {}).deciding


def test_a_control_of_equal_macs_trains_for_dense_search_and_fine_tuning_together() -> None:
    whole = chain_of(CONTROLLED, {}).stages[0].training_macs // (3 * 1293 * 8)
    results = decided(whole // 4, training_macs=3 * 1293 * whole)
    chain = control("macs", results)
    bill = 3 * 1293 * (8 * whole + whole + 16 * (whole // 4))
    assert chain.controlled_macs == bill
    assert chain.own_stages[0].epochs == (8 + 1 + 4) * 4
    assert chain.own_stages[0].training_macs == pytest.approx(bill, rel=0.02)


def test_a_control_of_equal_macs_is_capped() -> None:
    assert control("macs", decided(1000)).own_stages[0].epochs == 10 * 24


def test_the_two_controls_are_different_work() -> None:
    results = decided(10**5)
    assert control("macs", results).own_stages[0].key != control("epochs", results).own_stages[0].key


def test_a_control_of_a_cell_that_waits_for_its_partner_waits_too() -> None:
    partner = cell("dnal", recipe=RECIPE)
    chain = chain_of(cell("l1_norm", match=partner, recipe=RECIPE).from_scratch("epochs"), {})
    assert (chain.measure, chain.deciding, chain.partner) == (None, None, partner)
    assert chain.own_stages == ()
