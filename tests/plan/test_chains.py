"""What cells share, and what waits for whom."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.plan.costs import network_cost
from harness.plan.stages import Chain, Results, chain_of
from harness.suite.cell import Budget, Cell
from tests.cells import RECIPE, cell


def key(chain: Chain, kind: str) -> str | None:
    return next((stage.key for stage in chain.stages if stage.kind == kind), None)


def dnal(strength: float) -> Cell:
    return cell("dnal", params={"lambda_a": strength}, shown=("lambda_a",))


def reached(partner: Cell, macs: int, **more: object) -> Results:
    """What is known once the partner's deciding stage is done."""
    deciding = chain_of(partner, {}).deciding
    assert deciding is not None
    return {deciding: {"macs": macs, "widths": {"features.0": [5, 16]}, **more}}


def test_all_methods_that_start_dense_share_one_dense_training_a_seed() -> None:
    cells = [cell("l1_norm", budget=0.5), cell("random", budget=0.25), dnal(1e-4), dnal(2e-4), cell("dense")]
    assert len({key(chain_of(each, {}), "dense") for each in cells}) == 1
    assert key(chain_of(cell("l1_norm", budget=0.5, seed=1), {}), "dense") != key(chain_of(cells[0], {}), "dense")


def test_a_method_that_starts_from_scratch_has_no_dense_stage() -> None:
    kinds = [stage.kind for stage in chain_of(cell("uniform", budget=0.5), {}).stages]
    assert kinds == ["compress", "finetune", "measure"]


def test_dense_at_the_baselines_length_and_at_the_total_share_their_beginning() -> None:
    baseline, total = (cell("dense", params={"epochs": epochs}) for epochs in ("baseline", "total"))
    one, other = chain_of(baseline, {}), chain_of(total, {})
    assert key(one, "dense") == key(other, "dense") == key(chain_of(dnal(1e-4), {}), "dense")
    assert key(one, "finetune") != key(other, "finetune")


def test_dense_with_a_learning_rate_of_its_own_shares_nothing() -> None:
    calibrated = chain_of(cell("dense", params={"lr": 0.05}), {})
    assert key(calibrated, "dense") != key(chain_of(cell("dense"), {}), "dense")


def test_a_schedule_that_its_length_changes_from_the_start_is_not_shared() -> None:
    cosine = RECIPE.model_copy(update={"schedule": "cosine"})
    baseline, total = (cell("dense", params={"epochs": each}, recipe=cosine) for each in ("baseline", "total"))
    assert key(chain_of(baseline, {}), "dense") != key(chain_of(total, {}), "dense")


def test_each_stage_rests_on_the_one_before_it() -> None:
    dense, compress, finetune, measure = chain_of(cell("l1_norm", budget=0.5), {}).stages
    assert [stage.parents for stage in (dense, compress, finetune, measure)] == [
        (),
        (dense.key,),
        (compress.key,),
        (finetune.key,),
    ]


def test_a_budget_is_a_share_of_the_whole_network_or_a_count() -> None:
    whole = network_cost("vgg_digits", "digits")
    share = chain_of(cell("l1_norm", budget=0.25), {}).stages[1].config
    count = chain_of(cell("l1_norm", budget=123_456), {}).stages[1].config
    params = chain_of(replace(cell("l1_norm"), budget=Budget("params", 0.5)), {}).stages[1].config
    assert (share["target"], share["metric"]) == (round(0.25 * whole.macs), "macs")
    assert (count["target"], count["metric"]) == (123_456, "macs")
    assert (params["target"], params["metric"]) == (round(0.5 * whole.params), "params")


@pytest.mark.parametrize("how", ["match", "widths_of"])
def test_a_cell_has_no_key_until_its_partners_outcome_is_known(how: str) -> None:
    partner = dnal(2e-4)
    allocate = {"allocate": "from"} if how == "widths_of" else {}
    waiting = cell("l1_norm", **{how: partner}, **allocate)
    chain = chain_of(waiting, {})
    assert chain.measure is None
    assert chain.waits_for == chain_of(partner, {}).deciding
    assert chain.partner == partner
    assert [stage.kind for stage in chain.stages] == ["dense"]
    known = chain_of(waiting, reached(partner, 100_000))
    assert known.measure is not None
    assert (known.waits_for, known.partner) == (None, None)


def test_a_partner_of_a_partner_is_waited_for_too() -> None:
    first = dnal(2e-4)
    second = cell("l1_norm", match=first)
    third = cell("random", match=second)
    assert chain_of(third, {}).waits_for == ""
    assert chain_of(third, reached(first, 100_000)).waits_for == chain_of(second, reached(first, 100_000)).deciding


@given(macs=st.integers(1, 10**9), other=st.integers(1, 10**9), seconds=st.floats(0, 1e6))
def test_a_matching_cells_key_holds_the_integer_macs_alone(macs: int, other: int, seconds: float) -> None:
    one, two = dnal(1e-4), dnal(2e-4)
    first = chain_of(cell("l1_norm", match=one), reached(one, macs, seconds=1.0)).measure
    again = chain_of(cell("l1_norm", match=two), reached(two, macs, seconds=seconds, params=7)).measure
    elsewhere = chain_of(cell("l1_norm", match=one), reached(one, other)).measure
    assert first is not None
    assert again is not None
    assert elsewhere is not None
    assert first.key == again.key
    assert (first.key == elsewhere.key) == (macs == other)


def test_taking_widths_keys_on_the_widths() -> None:
    partner = dnal(2e-4)
    taker = cell("random", widths_of=partner, allocate="from")
    first = chain_of(taker, reached(partner, 1)).measure
    again = chain_of(taker, reached(partner, 2)).measure
    narrower = chain_of(taker, reached(partner, 1, widths={"features.0": [4, 16]})).measure
    assert first is not None
    assert again is not None
    assert narrower is not None
    assert first.key == again.key != narrower.key


def test_candidates_are_searched_in_the_stages_of_the_natural_cells() -> None:
    naturals = (dnal(1e-4), dnal(2e-4))
    budgeted = cell("dnal", budget=0.5, candidates=naturals)
    stages = chain_of(budgeted, {}).stages
    assert [stage.kind for stage in stages] == ["dense", "compress", "compress", "trim", "finetune", "measure"]
    assert [stage.key for stage in stages[1:3]] == [key(chain_of(natural, {}), "compress") for natural in naturals]
    assert stages[3].parents == tuple(stage.key for stage in stages[1:3])


def test_another_set_of_candidates_is_another_result() -> None:
    one, two = dnal(1e-4), dnal(2e-4)
    both = chain_of(cell("dnal", budget=0.5, candidates=(one, two)), {})
    alone = chain_of(cell("dnal", budget=0.5, candidates=(one,)), {})
    assert key(both, "measure") != key(alone, "measure")
