"""The report as data."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import Any

import pytest

from harness.report.records import (
    curves_csv,
    differences_csv,
    published_csv,
    report_json,
    row_records,
    rows_csv,
    rows_jsonl,
    table_csv,
)
from harness.report.table import tables
from harness.store.latencies import Latency, Settings
from harness.store.rows import Row

from .made_up import cell, done, facts, failed, grid, waiting


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_table_as_csv_has_full_precision_and_the_range_over_seeds() -> None:
    rows = [done(cell("dnal", seed), top1, macs) for seed, top1, macs in ((0, 0.9123, 100), (1, 0.9201, 103))]
    [line] = read(table_csv(tables(rows, facts())))
    assert float(line["top1_mean"]) == pytest.approx((0.9123 + 0.9201) / 2, rel=1e-15)
    assert (line["macs_mean"], line["macs_min"], line["macs_max"]) == ("101.5", "100", "103")
    assert json.loads(line["seeds"]) == [0, 1]


def test_the_tables_digits_are_the_csvs_rounded() -> None:
    made = tables(grid(), facts())
    printed = [line.cells[made[0].main.header.index("Top-1 (%)")] for line in made[0].main.lines]
    records = read(table_csv(made))
    assert printed == [
        f"{100 * float(line['top1_mean']):.2f} ± {100 * float(line['top1_half_width']):.2f}" for line in records
    ]


def test_rows_hold_every_field_that_is_known_but_the_curve() -> None:
    row = grid(strengths=(1e-4,), seeds=(0,))[1]
    [record] = [json.loads(line) for line in rows_jsonl(row_records([row])).splitlines()]
    names = {field.name for field in dataclasses.fields(Row)} - {"cell", "curve", "study", "latency"}
    assert names <= record.keys()
    assert "curve" not in record
    assert record["top1"] == row.top1
    assert record["widths"]["features.0"] == list(row.widths["features.0"])
    assert record["label"] == row.cell.label
    assert record["recipe"]["epochs"]["search"] == 20
    assert read(rows_csv(row_records([row])))[0].keys() == record.keys()


def test_partners_are_named_by_their_label() -> None:
    partner = cell("dnal", 1, params={"lambda_a": 1e-4})
    record = json.loads(rows_jsonl(row_records([waiting(cell("random", 1, match=partner))])))
    assert record["match"] == partner.label


def test_a_line_break_in_a_reason_does_not_break_the_csv_line() -> None:
    text = rows_csv(row_records([failed(cell("dense"), 'crashed:\n"a", b')]))
    assert len(text.splitlines()) == 2
    assert read(text)[0]["reason"] == 'crashed: "a", b'


def test_curves_have_one_line_an_epoch() -> None:
    rows = grid(strengths=(1e-4,), seeds=(0,))[:2]
    lines = read(curves_csv(rows))
    assert len(lines) == 240 * 2
    assert (lines[-1]["cell"], lines[-1]["epoch"]) == (rows[1].cell.label, "239")


def test_differences_are_shares_at_full_precision() -> None:
    partner = cell("dnal")
    rows = [done(partner, 0.9), done(cell("random", match=partner), 0.8125)]
    [line] = read(differences_csv(tables(rows, facts())))
    assert float(line["top1_difference_mean"]) == pytest.approx(-0.0875)
    assert line["top1_difference_half_width"] == ""


def test_published_rows_are_data_with_their_notes() -> None:
    suite = facts(published="dnal_2022 / CIFAR-10 / VGG16")
    lines = {line["method"]: line for line in read(published_csv(tables(grid(seeds=(0,)), suite)))}
    assert len(lines) == 11
    assert lines["GAL-0.1"]["note"].startswith("93.42 is after fine-tuning")
    assert lines["Baseline"]["note"] == ""
    assert {line["comparable"] for line in lines.values()} == {"True"}


def test_the_json_document_is_json_and_counts_the_cells() -> None:
    suite = facts(published="dnal_2022 / CIFAR-10 / VGG16")
    rows = [*grid(strengths=(1e-4,)), waiting(cell("dense", 9)), failed(cell("dense", 8))]
    found: dict[str, Any] = json.loads(json.dumps(report_json(rows, suite)))
    assert found["cells"] == {"done": 21, "waiting": 1, "failed": 1}
    [made] = found["tables"]
    assert made["published"]["comparable"] is True
    assert len(made["published"]["rows"]) == 11
    assert made["entries"][0]["model"] == "Dense"
    assert len(made["differences"]) == 5


def test_costs_by_stage_and_latencies_are_columns_only_where_they_are_known() -> None:
    plain = done(cell("dense"), 0.9)
    assert not {"stage_macs", "stage_seconds", "latency"} & set(row_records([plain])[0])
    settings = Settings(16, "cpu", "A processor", 1, channels_last=True, compiled=False)
    timed = done(cell("dense", 1), 0.9, latency=Latency("0" * 64, settings, 0.02, (0.02, 0.02), 9, 1.0, None))
    first, second = row_records([plain, timed])
    assert first["latency"] is None
    assert second["latency"]["median"] == 0.02
    assert second["latency"]["settings"]["batch"] == 16
