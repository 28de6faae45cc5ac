"""The fair table: lines of equal budget side by side."""

from __future__ import annotations

import csv
import io
import json

import pytest

from harness.report.fair import FairLine, budget_groups, fair_table
from harness.report.records import fair_csv, report_json
from harness.report.table import Table, tables
from harness.store.rows import Row

from .made_up import budgeted, cell, done, facts, failed, grid

HALF = {"target": 156_731_904}


def table(rows: list[Row]) -> Table:
    [made] = tables(rows, facts())
    return made


def lines(rows: list[Row]) -> dict[str, FairLine]:
    """{method: its line} of a table with a line a method."""
    found = table(rows).fair_lines
    assert found is not None
    return {line.entry.cell.method: line for line in found.lines}


def over_seeds(of: dict[str, tuple[float, ...]], macs: int = 156_731_904) -> list[Row]:
    """Rows at half of the MACs, one a method and seed."""
    return [
        done(budgeted(method, 0.5, seed), top1, macs, **HALF)
        for method, accuracies in of.items()
        for seed, top1 in enumerate(accuracies)
    ]


DENSE = [done(cell("dense", seed), top1) for seed, top1 in enumerate((0.940, 0.941, 0.943))]
THREE = {"l1_norm": (0.930, 0.931, 0.932), "random": (0.920, 0.9215, 0.9218), "uniform": (0.910, 0.9101, 0.9135)}


def column(made: Table, heading: str) -> list[str]:
    assert made.fair is not None
    return [line.cells[made.fair.header.index(heading)] for line in made.fair.lines]


def test_lines_of_one_budget_are_compared_with_the_best_other_one() -> None:
    found = lines([*DENSE, *over_seeds(THREE)])
    rivals = {name: line.rival.cell.method if line.rival else None for name, line in found.items()}
    assert rivals == {"dense": None, "l1_norm": "random", "random": "l1_norm", "uniform": "l1_norm"}


def test_the_p_values_are_corrected_over_all_pairs_of_the_budget_not_only_those_shown() -> None:
    made = table([*DENSE, *over_seeds(THREE)])
    assert made.fair_lines is not None
    assert made.fair_lines.pairs == 3
    [best, other, _] = [line for line in made.fair_lines.lines if line.rival is not None]
    assert best.against_rival is not None
    assert best.against_rival.p is not None
    assert other.corrected == best.corrected
    assert best.corrected is not None
    assert best.corrected > best.against_rival.p


def test_differences_from_dense_and_rival_are_paired_by_seed() -> None:
    found = lines([*DENSE, *over_seeds(THREE)])
    random = found["random"]
    assert random.against_dense is not None
    assert random.against_rival is not None
    assert random.against_dense.difference.mean == pytest.approx(0.9211 - 0.9413333333)
    assert random.against_rival.difference.mean == pytest.approx(0.9211 - 0.931)


def test_dense_is_that_of_the_same_total_of_epochs() -> None:
    longer = [done(cell("dense", 0, params={"epochs": "total"}), 0.95, epochs={"dense": 100, "finetune": 200})]
    shorter = [done(cell("dense", 0, params={"epochs": "baseline"}), 0.94, epochs={"dense": 100, "finetune": 140})]
    rows = [*longer, *shorter, *over_seeds({"l1_norm": (0.93,), "random": (0.92,)})]
    assert sum(rows[2].epochs.values()) == 240
    found = [line for line in table(rows).fair_lines.lines if line.entry.cell.method == "l1_norm"]  # type: ignore[union-attr]
    assert found[0].against_dense is not None
    assert found[0].against_dense.difference.mean == pytest.approx(0.93 - 0.94)


def test_a_control_is_nobodys_rival_and_compared_with_the_line_whose_widths_it_has() -> None:
    partner = cell("dnal")
    rows = [
        done(partner, 0.90, 1_000_000),
        done(cell("l1_norm", match=partner), 0.91, 1_000_000),
        done(cell("random", widths_of=partner, allocate="from"), 0.99, 1_000_000),
    ]
    found = lines(rows)
    assert found["random"].is_control
    rivals = {name: line.rival.cell.method if line.rival else None for name, line in found.items()}
    assert rivals == {"dnal": "l1_norm", "l1_norm": "dnal", "random": "dnal"}


def test_what_matches_a_budgeted_line_is_in_its_group() -> None:
    partner = budgeted("dnal", 0.5)
    rows = [done(partner, 0.9, 1_000_000), done(cell("random", match=partner), 0.8, 1_000_000)]
    rows.append(done(budgeted("l1_norm", 0.5), 0.7, 1_000_000))
    assert [len(group) for group in budget_groups(table(rows).entries).values()] == [3]


def test_a_natural_outcome_that_nobody_matches_is_no_budget() -> None:
    rows = [done(cell("dnal"), 0.9, 1_000_000), done(cell("sss"), 0.9, 1_100_000)]
    assert budget_groups(table(rows).entries) == {}
    assert fair_table(table(rows).entries) is None
    assert table(rows).fair is None


def test_a_missed_budget_is_given_with_its_sign() -> None:
    rows = over_seeds({"l1_norm": (0.93,), "random": (0.92,)}, macs=159_866_542)
    assert column(table(rows), "Missed (%)") == ["+2.00", "+2.00"]


def test_a_failed_line_stands_in_the_table_with_its_reason_as_a_footnote() -> None:
    rows = [*over_seeds({"l1_norm": (0.93,), "random": (0.92,)}), failed(budgeted("uniform", 0.5), "out of memory")]
    made = table(rows)
    assert made.fair is not None
    [line] = [line for line in made.fair.lines if line.cells[0] == "Uniform width"]
    assert line.marks == ("a",)
    assert made.footnotes == (("a", "1 of 1 seed failed: out of memory"),)
    assert column(made, "Top-1 (%)")[2] == "—"


def test_the_front_is_told_by_the_seeds() -> None:
    cheap = [done(budgeted("l1_norm", 0.1, seed), top1, 31_346_381) for seed, top1 in enumerate((0.93, 0.931, 0.932))]
    dear = over_seeds({"random": (0.910, 0.9115, 0.9118), "uniform": (0.95, 0.9501, 0.9535)})
    assert {name: line.front for name, line in lines([*cheap, *dear]).items()} == {
        "l1_norm": "on",
        "random": "dominated",
        "uniform": "on",
    }


def test_a_single_seed_has_no_p() -> None:
    made = table(over_seeds({"l1_norm": (0.93,), "random": (0.92,)}))
    assert column(made, "p (Holm)") == ["—", "—"]
    assert column(made, "Δ rival (points)") == ["+1.00", "−1.00"]


def test_the_cuts_have_a_column_where_they_differ() -> None:
    rows = [
        done(budgeted(method, 0.5, cuts=cuts), 0.9, 1_000_000)
        for method, cuts in (("l1_norm", ("inner",)), ("random", ("inner", "stream")))
    ]
    made = table(rows)
    assert column(made, "Cuts") == ["inner", "inner, stream"]
    assert column(made, "Rival") == ["Random (inner, stream)", "L1-norm (inner)"]
    alike = table(over_seeds(THREE))
    assert alike.fair is not None
    assert "Cuts" not in alike.fair.header


def test_the_csv_has_the_digits_of_the_table() -> None:
    made = table(grid())
    records = list(csv.DictReader(io.StringIO(fair_csv([made]))))
    printed = [f"{100 * float(line['top1_mean']):.2f} ± {100 * float(line['top1_half_width']):.2f}" for line in records]
    assert column(made, "Top-1 (%)") == printed
    corrected = [float(line["rival_p_holm"]) if line["rival_p_holm"] else None for line in records]
    assert column(made, "p (Holm)") == ["—" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}" for p in corrected]


def test_the_json_report_has_the_lines_at_full_precision() -> None:
    rows = [*DENSE, *over_seeds(THREE)]
    [record] = report_json(rows, facts())["tables"]
    assert json.loads(json.dumps(record["fair"]))[1]["rival"] == "Random"
    assert len(record["fair"]) == 4


def test_seed_order_does_not_matter() -> None:
    rows = [*DENSE, *over_seeds(THREE)]
    assert table(rows[::-1]).fair_lines is not None
    one, other = (
        {line.entry.cell.method: (line.corrected, line.front) for line in table(given).fair_lines.lines}  # type: ignore[union-attr]
        for given in (rows, rows[::-1])
    )
    assert one == other


def test_tracks_are_compared_apart_and_have_a_column_where_they_differ() -> None:
    rows = [
        done(budgeted(method, 0.5, track=track), top1, 156_731_904, **HALF)
        for track in ("shared_start", "converged")
        for method, top1 in (("l1_norm", 0.93), ("random", 0.92))
    ]
    made = table(rows)
    assert [len(group) for group in budget_groups(made.entries).values()] == [2, 2]
    assert sorted(column(made, "Track")) == ["converged", "converged", "shared_start", "shared_start"]
    alike = table(rows[:2])
    assert alike.fair is not None
    assert "Track" not in alike.fair.header
