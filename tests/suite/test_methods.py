from __future__ import annotations

import itertools

import pytest

from harness.errors import SuiteError
from harness.suite.cell import Budget
from tests.suite.conftest import HEAD, Load


def variants(load: Load, methods: str) -> list[str]:
    return [cell.variant for cell in load(methods=methods).cells]


def test_a_name_alone_has_the_default_parameters(load: Load) -> None:
    (cell,) = load(methods="  - dnal").cells
    assert cell.params == {"lambda_a": 1e-4, "threshold": 0.9, "schedule": "exponential"}
    assert (cell.shown, cell.budget, cell.allocate, cell.cuts) == ((), None, "uniform", ("inner", "branch"))
    assert cell.label == "vgg_digits/digits/dnal/seed=0"


def test_a_list_under_a_parameter_is_an_axis_and_the_last_one_varies_fastest(load: Load) -> None:
    assert variants(load, "  - dnal: {lambda_a: [1e-4, 2e-4], threshold: [0.5, 0.9]}") == [
        "dnal[lambda_a=0.0001,threshold=0.5]",
        "dnal[lambda_a=0.0001,threshold=0.9]",
        "dnal[lambda_a=0.0002,threshold=0.5]",
        "dnal[lambda_a=0.0002,threshold=0.9]",
    ]


def test_a_list_under_a_parameter_that_takes_a_list_is_one_value(load: Load) -> None:
    (cell,) = load(methods="  - random: {steps: [1, 2], budget: {macs: 0.5}}").cells
    assert cell.params["steps"] == [1, 2]


def test_a_list_of_lists_under_a_parameter_that_takes_a_list_is_an_axis(load: Load) -> None:
    cells = load(methods="  - random: {steps: [[1, 2], [3]], budget: {macs: 0.5}}").cells
    assert [cell.params["steps"] for cell in cells] == [[1, 2], [3]]


def test_each_gives_several_methods_one_block(load: Load) -> None:
    assert variants(load, "  - {each: [l1_norm, random], budget: {macs: [0.5, 0.25]}}") == [
        "l1_norm[macs=0.5]",
        "l1_norm[macs=0.25]",
        "random[macs=0.5]",
        "random[macs=0.25]",
    ]


def test_budgets_may_mix_metrics_and_matches(load: Load) -> None:
    methods = "  - dnal\n  - l1_norm: {budget: [{macs: [0.5, 123456789]}, {params: 1}, {match: dnal}]}"
    assert variants(load, methods)[1:] == [
        "l1_norm[macs=0.5]",
        "l1_norm[macs=123456789]",
        "l1_norm[params=1]",
        "l1_norm[match=dnal]",
    ]


def test_a_budget_above_one_is_a_count(load: Load) -> None:
    (cell,) = load(methods="  - l1_norm: {budget: {macs: 2e8}}").cells
    assert cell.budget == Budget("macs", 200_000_000.0)


def test_cuts_are_kept_in_one_order_and_named_when_unusual(load: Load) -> None:
    methods = "  - dnal: {cuts: [[branch, inner], [stream, inner]]}"
    cells = load(methods=methods).cells
    assert [cell.cuts for cell in cells] == [("inner", "branch"), ("inner", "stream")]
    assert [cell.variant for cell in cells] == ["dnal", "dnal[cuts=inner+stream]"]


def test_a_match_gives_one_cell_for_each_of_the_partners_even_a_later_one(load: Load) -> None:
    cells = load(methods="  - l1_norm: {budget: {match: dnal}}\n  - dnal: {lambda_a: [1e-4, 2e-4]}").cells
    assert [cell.match for cell in cells] == [cells[2], cells[3], None, None]
    assert cells[0].variant == "l1_norm[match=dnal[lambda_a=0.0001]]"


def test_a_match_has_the_partner_of_its_own_backbone_and_seed(load: Load) -> None:
    text = (
        HEAD.replace("[0]", "[0, 5]").replace("digits\nb", "cifar10\nb").replace("[vgg_digits]", "[vgg16, vgg16_half]")
    )
    for cell in load(f"{text}methods:\n  - dnal\n  - l1_norm: {{budget: {{match: dnal}}}}\n").cells:
        if cell.match is not None:
            assert (cell.match.backbone, cell.match.seed) == (cell.backbone, cell.seed)


def test_allocate_from_takes_the_widths_of_each_partner(load: Load) -> None:
    cells = load(
        methods="  - dnal: {lambda_a: [1e-4, 2e-4]}\n  - {each: [l1_norm, random], allocate: {from: dnal}}"
    ).cells
    assert [cell.widths_of for cell in cells[2:]] == [cells[0], cells[1], cells[0], cells[1]]
    assert {cell.allocate for cell in cells[2:]} == {"from"}
    assert all(cell.budget is None and cell.match is None for cell in cells[2:])


def test_cells_that_lean_on_others_are_nobodys_partners(load: Load) -> None:
    methods = "  - dnal\n  - l1_norm: {budget: [{macs: 0.5}, {match: dnal}]}\n  - random: {budget: {match: l1_norm}}"
    assert variants(load, methods)[-1:] == ["random[match=l1_norm[macs=0.5]]"]


def test_with_a_budget_the_strengths_are_candidates_and_no_axis(load: Load) -> None:
    cells = load(methods="  - dnal: {threshold: [0.5, 0.9], lambda_a: [1e-4, 2e-4], budget: {macs: 0.5}}").cells
    assert [cell.variant for cell in cells] == ["dnal[threshold=0.5,macs=0.5]", "dnal[threshold=0.9,macs=0.5]"]
    first = cells[0]
    assert first.params["lambda_a"] == 1e-4
    assert [candidate.params["lambda_a"] for candidate in first.candidates] == [1e-4, 2e-4]
    assert all(candidate.budget is None and not candidate.candidates for candidate in first.candidates)
    assert all(candidate.params["threshold"] == 0.5 for candidate in first.candidates)


@pytest.mark.parametrize("budget", ["{macs: 0.5}", "{match: dense}"])
def test_candidates_that_the_suite_lists_are_those_very_cells(load: Load, budget: str) -> None:
    methods = f"  - dense\n  - dnal: {{lambda_a: [1e-4, 2e-4], budget: {budget}}}\n  - dnal: {{lambda_a: [1e-4, 2e-4]}}"
    _, budgeted, *natural = load(methods=methods).cells
    assert list(budgeted.candidates) == natural


def test_candidates_equal_listed_cells_whichever_parameters_are_spelt_out(load: Load) -> None:
    budgeted, natural = load(methods="  - dnal: {budget: {macs: 0.5}}\n  - dnal: {threshold: 0.9}").cells
    assert budgeted.candidates == (natural,)


def test_a_default_strength_is_the_one_candidate_and_is_shown(load: Load) -> None:
    (cell,) = load(methods="  - dnal: {budget: {params: 0.5}}").cells
    assert [candidate.variant for candidate in cell.candidates] == ["dnal[lambda_a=0.0001]"]


def test_candidates_are_given_per_matched_partner(load: Load) -> None:
    methods = "  - l1_norm: {budget: {macs: [0.5, 0.25]}}\n  - dnal: {lambda_a: [1e-4, 2e-4], budget: {match: l1_norm}}"
    cells = load(methods=methods).cells
    assert [cell.match for cell in cells[2:]] == cells[:2]
    assert all(len(cell.candidates) == 2 for cell in cells[2:])


def test_without_a_budget_the_strengths_are_an_axis(load: Load) -> None:
    cells = load(methods="  - dnal: {lambda_a: [1e-4, 2e-4]}").cells
    assert [cell.candidates for cell in cells] == [(), ()]


def test_cells_come_by_backbone_then_method_then_point_then_seed(load: Load) -> None:
    text = (
        "suite: t\ndataset: cifar10\nbackbones: [vgg16, vgg16_half]\nseeds: [3, 1]\nrecipe: short_cifar\n"
        "methods:\n  - dense\n  - dnal: {lambda_a: [2e-4, 1e-4]}\n"
    )
    found = [(cell.backbone, cell.variant, cell.seed) for cell in load(text).cells]
    points = ["dense", "dnal[lambda_a=0.0002]", "dnal[lambda_a=0.0001]"]
    assert found == list(itertools.product(["vgg16", "vgg16_half"], points, [3, 1]))


def test_one_wrong_value_is_reported_once_however_large_the_grid(load: Load) -> None:
    with pytest.raises(SuiteError) as caught:
        load(methods="  - dnal: {lambda_a: [1e-4, 2e-4, 3e-4], threshold: [0.5, 7], budget: {macs: [0.5, 0.25]}}")
    assert [what for _, what in caught.value.problems] == ["dnal: 'threshold' must be below 1, not 7"]


def test_what_is_stated_alike_for_all_of_a_methods_cells_is_in_no_name(load: Load) -> None:
    cells = load(methods="  - dnal: {lambda_a: [1e-4, 2e-4], threshold: 0.5}").cells
    assert [cell.variant for cell in cells] == ["dnal[lambda_a=0.0001]", "dnal[lambda_a=0.0002]"]
    assert [cell.constant for cell in cells] == [("threshold",)] * 2


def test_what_only_some_of_a_methods_cells_state_is_in_their_names(load: Load) -> None:
    methods = "  - dnal: {lambda_a: 1e-4}\n  - dnal: {lambda_a: 2e-4, threshold: 0.5}"
    assert variants(load, methods) == ["dnal[lambda_a=0.0001]", "dnal[lambda_a=0.0002,threshold=0.5]"]
