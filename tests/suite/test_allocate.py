"""`allocate:` in a suite."""

from __future__ import annotations

import pytest

from harness.errors import SuiteError
from harness.suite.cell import Profile
from tests.suite.conftest import Load


def variants(load: Load, methods: str) -> list[str]:
    return [cell.variant for cell in load(methods=methods).cells]


def test_modes_are_named_in_a_cells_name(load: Load) -> None:
    modes = "[uniform, global, per_mac, {global: [l2, none, max]}, {profile: {'*': 0.5}}]"
    found = load(methods=f"  - l1_norm: {{budget: {{macs: 0.5}}, allocate: {modes}}}").cells
    assert [cell.variant for cell in found] == [
        "l1_norm[macs=0.5]",
        "l1_norm[macs=0.5,allocate=global]",
        "l1_norm[macs=0.5,allocate=per_mac]",
        "l1_norm[macs=0.5,allocate=global:l2]",
        "l1_norm[macs=0.5,allocate=global:none]",
        "l1_norm[macs=0.5,allocate=global:max]",
        "l1_norm[macs=0.5,allocate=profile:*:0.5]",
    ]


def test_global_and_its_default_norm_are_one_cell(load: Load) -> None:
    with pytest.raises(SuiteError, match="stated twice"):
        load(methods="  - l1_norm: {budget: {macs: 0.5}, allocate: [global, {global: mean}]}")


def test_a_profile_is_patterns_in_the_order_of_the_file(load: Load) -> None:
    (cell,) = load(
        methods="  - l1_norm: {budget: {macs: 0.5}, allocate: {profile: {features.conv2: 0.1, '*': 0.5}, most: 0.9}}"
    ).cells
    assert cell.allocate == "profile"
    assert cell.profile == Profile((("features.conv2", 0.1), ("*", 0.5)), most=0.9)


def test_a_list_of_rates_is_one_profile_and_a_list_of_profiles_is_an_axis(load: Load) -> None:
    one = load(methods="  - l1_norm: {budget: {macs: 0.5}, allocate: {profile: [0.5, 0.25]}}").cells
    assert [cell.profile for cell in one] == [Profile(((None, 0.5), (None, 0.25)))]
    two = load(methods="  - l1_norm: {budget: {macs: 0.5}, allocate: {profile: [[0.5, 0.25], {a: 0.1}]}}").cells
    assert [cell.profile for cell in two] == [Profile(((None, 0.5), (None, 0.25))), Profile((("a", 0.1),))]


def test_a_profile_needs_no_budget_for_its_rates_as_they_stand(load: Load) -> None:
    (cell,) = load(methods="  - l1_norm: {allocate: {profile: {'*': 0.5}}}").cells
    assert cell.budget is None
    assert cell.variant == "l1_norm[allocate=profile:*:0.5]"


def test_long_profiles_have_short_names_of_their_own(load: Load) -> None:
    first, second = ", ".join(["0.45"] * 12), ", ".join(["0.45"] * 11 + ["0.5"])
    names = variants(load, f"  - l1_norm: {{allocate: {{profile: [[{first}], [{second}]]}}}}")
    assert len(set(names)) == 2
    assert all(len(name) < 40 for name in names)


def test_other_modes_need_a_budget(load: Load) -> None:
    for mode in ("global", "per_mac", "{global: l2}"):
        with pytest.raises(SuiteError, match="l1_norm needs a budget"):
            load(methods=f"  - l1_norm: {{allocate: {mode}}}")


@pytest.mark.parametrize(
    ("allocate", "expected"),
    [
        ("globl", "unknown allocation 'globl'; did you mean 'global'?"),
        ("per_macs", "unknown allocation 'per_macs'; did you mean 'per_mac'?"),
        ("{globl: l2}", "allocate: unknown key 'globl'; did you mean 'global'?"),
        ("{global: mena}", "unknown norm 'mena'; did you mean 'mean'?"),
        ("{global: 2}", "'global' must be one of mean, l2, max, none, not 2"),
        ("{profile: {a: 0.5}, mst: 0.9}", "allocate: unknown key 'mst'; did you mean 'most'?"),
        ("{global: l2, most: 0.9}", "allocate: unknown key 'most'"),
        ("{profile: {a: 50%}}", "'a' must be a share of channels that go, not '50%'; write 50% as 0.5"),
        ("{profile: {a: 1}}", "'a' must be from 0 to below 1, not 1"),
        ("{profile: {a: -0.1}}", "'a' must be from 0 to below 1, not -0.1"),
        ("{profile: {a: 0.5}, most: 0}", "'most' must be above 0 and at most 1, not 0"),
        ("{profile: [0.5, x]}", "'profile' must be a share of channels that go, not 'x'"),
        ("{profile: {a: 0}}", "'profile' must be a mapping of patterns"),
        ("{profile: half}", "'profile' must be a mapping of patterns"),
        ("{profile: []}", "'profile' must be a mapping of patterns"),
        ("profile", "'allocate' must be uniform, global, per_mac"),
        ("{}", "'allocate' must be uniform, global, per_mac"),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_what_was_meant(load: Load, allocate: str, expected: str) -> None:
    with pytest.raises(SuiteError) as mistake:
        load(methods=f"  - l1_norm: {{budget: {{macs: 0.5}}, allocate: {allocate}}}")
    (problem,) = mistake.value.problems
    assert problem[1].startswith(expected), problem[1]
    assert problem[0].line > 1
    assert problem[0].column > 1
