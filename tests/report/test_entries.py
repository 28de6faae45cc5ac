"""Rows gathered over seeds: which belong together, what they are called, in which order they stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.entries import Entry, entries, sorted_by_cost
from harness.stats.intervals import mean_interval
from harness.store.rows import Row
from harness.suite.cell import Budget

from .made_up import budgeted, cell, done, facts, failed, grid, waiting


def titles(rows: list[Row]) -> list[str]:
    return [entry.title for entry in entries(rows, facts())]


def dnal(strength: float = 1e-4, seed: int = 0, factor: float = 1.0) -> Row:
    return done(
        cell("dnal", seed, params={"lambda_a": strength}), 0.92, 61_000_000, strength=("lambda_a", strength, factor)
    )


def test_seeds_of_one_point_are_one_entry() -> None:
    rows = grid(strengths=(1e-5, 1e-4), seeds=(0, 1, 2))
    found = entries(rows, facts())
    assert len(found) == 1 + 2 * 6
    assert all(entry.seeds == (0, 1, 2) for entry in found)


@given(st.lists(st.floats(0.5, 1), min_size=1, max_size=5))
def test_the_mean_is_that_of_the_measured_seeds(values: list[float]) -> None:
    rows = [done(cell("dense", seed), value) for seed, value in enumerate(values)]
    [entry] = entries([*rows, failed(cell("dense", 8)), waiting(cell("dense", 9))], facts())
    assert entry.accuracy("top1") == mean_interval(values)


def test_different_cuts_are_different_entries() -> None:
    rows = [done(budgeted("l1_norm", 0.5, cuts=cuts), 0.9, 150_000_000) for cuts in (("inner",), ("inner", "stream"))]
    assert len(entries(rows, facts())) == 2


def test_a_strength_in_the_papers_units_is_printed_as_lambda() -> None:
    assert titles([dnal(5e-5)]) == ["DNAL (λ = 5e-5)"]


def test_a_scaled_strength_carries_a_tilde() -> None:
    assert titles([dnal(1e-4, factor=19.9)]) == ["DNAL (λ̃ = 1e-4)"]


def test_a_cell_that_is_not_measured_takes_the_tilde_from_its_method() -> None:
    unmeasured = cell("dnal", params={"lambda_a": 5e-4})
    assert titles([dnal(1e-4, factor=19.9), waiting(unmeasured)])[1] == "DNAL (λ̃ = 5e-4)"


def test_controls_name_the_partner_whose_macs_or_widths_they_take() -> None:
    partner = dnal(1e-4, factor=19.9)
    rows = [
        partner,
        done(cell("l1_norm", match=partner.cell), 0.91, 61_000_000),
        done(cell("random", widths_of=partner.cell, allocate="from"), 0.91, 61_000_000),
    ]
    assert titles(rows)[1:] == ["L1-norm @ DNAL (λ̃ = 1e-4) MACs", "Random, widths of DNAL (λ̃ = 1e-4)"]


@pytest.mark.parametrize(
    ("budget", "title"),
    [
        (Budget("macs", 0.5), "Random @ 50 % MACs"),
        (Budget("macs", 12_500_000), "Random @ 12.50 M MACs"),
        (Budget("params", 0.125), "Random @ 12.5 % params"),
    ],
)
def test_budgets_are_part_of_the_title(budget: Budget, title: str) -> None:
    assert titles([done(cell("random", budget=budget), 0.9)]) == [title]


def test_other_stated_parameters_and_global_allocation_are_part_of_the_title() -> None:
    stated = cell("dnal", params={"threshold": 0.5, "hidden": 1}, shown=("threshold",), allocate="global")
    assert titles([done(stated, 0.9)]) == ["DNAL (threshold = 0.5, global allocation)"]


def test_an_unregistered_method_is_called_by_its_name() -> None:
    assert titles([done(cell("made_by_nobody"), 0.9)]) == ["made_by_nobody"]


def order(rows: list[Row]) -> list[Entry]:
    return sorted_by_cost(entries(rows, facts()))


def test_lines_fall_in_macs_with_the_whole_network_first() -> None:
    rows = [done(budgeted("random", share), 0.9, round(3e8 * share)) for share in (0.1, 0.5, 0.25)]
    rows.append(done(cell("dense"), 0.93))
    found = [entry.spread("macs") for entry in order(rows)]
    assert [spread.mean for spread in found if spread is not None] == [313_463_808, 150_000_000, 75_000_000, 30_000_000]


def test_a_control_that_met_its_partners_macs_stands_right_after_it() -> None:
    large, small = dnal(1e-4), done(cell("dnal", params={"lambda_a": 2e-4}), 0.9, 60_900_000)
    rows = [
        done(cell("uniform", match=large.cell), 0.9, 61_100_000),
        done(cell("l1_norm", match=small.cell), 0.9, 61_050_000),
        small,
        large,
    ]
    assert [entry.title for entry in order(rows)] == [
        "DNAL (λ = 1e-4)",
        "Uniform width @ DNAL (λ = 1e-4) MACs",
        "DNAL (λ = 2e-4)",
        "L1-norm @ DNAL (λ = 2e-4) MACs",
    ]


def test_a_control_that_missed_stands_at_its_own_macs() -> None:
    partner = dnal(1e-4)
    rows = [partner, done(cell("uniform", match=partner.cell), 0.9, 90_000_000)]
    assert order(rows)[0].cell.method == "uniform"


def test_ratios_are_against_the_whole_network() -> None:
    [entry] = entries([done(cell("dense"), 0.9, macs, dense_macs=300) for macs in (100, 200)], facts())
    assert entry.ratio("macs") == 2.0
