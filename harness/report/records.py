"""The report as data: CSV at full precision, one JSON object a cell, one JSON document for the whole."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from typing import Any

from harness.report.encoded import encoded
from harness.report.entries import Entry
from harness.report.facts import SuiteFacts
from harness.report.fair import fair_records
from harness.report.notes import footnotes
from harness.report.table import Table, tables
from harness.store.latencies import Latency
from harness.store.rows import Row, SearchBill
from harness.suite.cell import Cell
from harness.suite.recipe import Recipe

FIGURES = ("paper_flops", "paper_params", "macs", "params", "training_macs", "device_seconds")
COSTS = ("paper_flops", "paper_params", "macs", "params")
_IF_ANY = ("stage_macs", "stage_seconds", "latency")
"""Fields of a row that are written if any row has them: rows recorded before they were kept stay as they were."""
_ROW_FIELDS = tuple(field.name for field in fields(Row) if field.name not in ("cell", "curve", "study", *_IF_ANY))


def entry_record(entry: Entry) -> dict[str, Any]:
    """One printed line at full precision: shares 0..1, plain counts, seconds."""
    record: dict[str, Any] = {
        "model": entry.title,
        "method": entry.cell.method,
        "point": entry.cell.point,
        "backbone": entry.cell.backbone,
        "dataset": entry.cell.data.name,
        "cells": len(entry.rows),
        "done": len(entry.done),
        "failed": len(entry.failed),
        "seeds": list(entry.seeds),
    }
    for name in ("top1", "top5"):
        found = entry.accuracy("top1" if name == "top1" else "top5")
        record[f"{name}_mean"] = found.mean if found is not None else None
        record[f"{name}_half_width"] = found.half_width if found is not None else None
    for figure in FIGURES:
        spread = entry.spread(figure)  # type: ignore[arg-type]
        record[f"{figure}_mean"] = spread.mean if spread is not None else None
        record[f"{figure}_min"] = spread.low if spread is not None else None
        record[f"{figure}_max"] = spread.high if spread is not None else None
    for cost in COSTS:
        record[f"{cost}_ratio"] = entry.ratio(cost)  # type: ignore[arg-type]
    record["epochs"] = entry.epochs
    record["train_images"] = entry.train_images
    record["cuts"] = list(entry.cell.cuts)
    record["track"] = entry.cell.track
    record["scratch"] = entry.cell.scratch
    record["notes"] = footnotes(entry)
    return record


def table_csv(tables: Sequence[Table]) -> str:
    """One line for each printed line of our own."""
    return _csv(_entry_records([entry for table in tables for entry in table.entries]))


def _entry_records(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """One a printed line, all with the same fields: the best epochs on the test images if any line has one."""
    told = [entry_record(entry) for entry in entries]
    if any(entry.best_test for entry in entries):
        for record, entry in zip(told, entries, strict=True):
            best = entry.best_test
            record["best_test_epoch_mean"] = best.mean if best is not None else None
            record["best_test_epoch_half_width"] = best.half_width if best is not None else None
    return told


def difference_records(table: Table) -> list[dict[str, Any]]:
    """The paired differences at full precision; shares of 1."""
    return [
        {
            "backbone": table.backbone,
            "model": difference.entry.title,
            "against": difference.partner.title,
            "top1_difference_mean": difference.top1.mean,
            "top1_difference_half_width": difference.top1.half_width,
            "p": difference.test.p,
            "p_holm": difference.corrected,
            "detectable": difference.test.detectable,
            "seeds": difference.top1.n,
            "macs_relative_difference": difference.macs_gap,
        }
        for difference in table.differences
    ]


def differences_csv(tables: Sequence[Table]) -> str:
    """One line for each paired difference."""
    return _csv([record for table in tables for record in difference_records(table)])


def fair_csv(tables: Sequence[Table]) -> str:
    """One line for each line of the fair tables; empty where no lines compete."""
    return _csv([record for table in tables for record in _fair_records(table)])


def _fair_records(table: Table) -> list[dict[str, Any]]:
    return fair_records(table.backbone, table.fair_lines) if table.fair_lines is not None else []


def published_csv(tables: Sequence[Table]) -> str:
    """One line for each published row beside or below a table: counts, what was printed, and what to know of it."""
    return _csv(
        [
            {"backbone": table.backbone, "comparable": table.published is None} | asdict(row)
            for table in tables
            for row in table.quoted
        ]
    )


def choice_records(table: Table) -> list[dict[str, Any]]:
    """What is left of a supernet: one record for each point, seed, mixed layer and candidate; counts as in the rows."""
    return [
        {
            "backbone": table.backbone,
            "model": chosen.title,
            "point": chosen.entry.cell.point,
            "seed": seed,
            "layer": layer,
            "kernel": kernel,
            "expansion": expansion,
            "hidden_kept": candidate.hidden.counts[number] if candidate.hidden is not None else None,
            "hidden_size": candidate.hidden.size if candidate.hidden is not None else None,
            "output_kept": candidate.output.counts[number] if candidate.output is not None else None,
            "output_size": candidate.output.size if candidate.output is not None else None,
            "removed": candidate.removed[number],
        }
        for chosen in table.chosen
        for number, seed in enumerate(chosen.entry.seeds)
        for (layer, kernel, expansion), candidate in chosen.candidates.items()
    ]


def choices_csv(tables: Sequence[Table]) -> str:
    """One line for each point, seed, mixed layer and candidate of a supernet."""
    return _csv([record for table in tables for record in choice_records(table)])


def study_records(table: Table) -> list[dict[str, Any]]:
    """The trials of all studies at full precision; shares of 1."""
    return [
        {
            "backbone": table.backbone,
            "study": record.study.name,
            "method": record.study.trial.method,
            "seed": record.study.trial.seed,
            "trial": trial.number,
            "params": trial.params,
            "state": trial.state,
            "reason": trial.reason,
            "rank": record.best.index(trial.number) + 1 if trial.number in record.best else None,
            "held_out_top1": trial.top1,
            "macs": trial.macs,
            "params_count": trial.params_count,
            "epochs": trial.epochs,
        }
        for record in table.studies
        for trial in record.trials
    ]


def studies_csv(tables: Sequence[Table]) -> str:
    """One line for each trial of each study."""
    return _csv([record for table in tables for record in study_records(table)])


class _Recipes:
    """Recipes as JSON values; the cells of a suite share one, so that each is converted once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Recipe, dict[str, Any]]] = {}

    def values(self, recipe: Recipe) -> dict[str, Any]:
        if id(recipe) not in self._known:
            self._known[id(recipe)] = (recipe, recipe.model_dump(mode="json"))
        return self._known[id(recipe)][1]


def _cell_record(cell: Cell, recipes: _Recipes) -> dict[str, Any]:
    return {
        "label": cell.label,
        "backbone": cell.backbone,
        "dataset": cell.data.name,
        "dataset_images": cell.data.train_images,
        "method": cell.method,
        "parameters": cell.params,
        "point": cell.point,
        "seed": cell.seed,
        "budget": asdict(cell.budget) if cell.budget is not None else None,
        "match": cell.match.label if cell.match is not None else None,
        "allocate": cell.allocation,
        "widths_of": cell.widths_of.label if cell.widths_of is not None else None,
        "candidates": [candidate.label for candidate in cell.candidates],
        "tuned": [cell.tuned.study.name, cell.tuned.rank + 1] if cell.tuned is not None else None,
        "solve": asdict(cell.solve) if cell.solve is not None else None,
        "cuts": list(cell.cuts),
        "track": cell.track,
        "scratch": cell.scratch,
        "recipe": recipes.values(cell.recipe),
    }


def row_records(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One record a cell: what was asked for and all that is known of it but its curve."""
    recipes, known = _Recipes(), list(rows)
    names = [*_ROW_FIELDS, *(name for name in _IF_ANY if any(getattr(row, name) for row in known))]
    return [_cell_record(row.cell, recipes) | {name: _value(getattr(row, name)) for name in names} for row in known]


def _value(value: Any) -> Any:
    return asdict(value) if isinstance(value, Latency | SearchBill) else value


def rows_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """One line a cell, of `row_records`; lists and mappings as JSON."""
    return _csv(records)


def rows_jsonl(records: Sequence[Mapping[str, Any]]) -> str:
    """One JSON object a line, one line a cell, of `row_records`."""
    return "".join(encoded(record) + "\n" for record in records)


def curves_csv(rows: Iterable[Row]) -> str:
    """One line for each cell and epoch."""
    known = list(rows)
    tested = any(row.best_test is not None for row in known)
    lines = ["cell,stage,epoch,loss,train_top1,held_out_top1" + (",test_top1\n" if tested else "\n")]
    for row in known:
        if row.curve:
            label = _written(row.cell.label)
            # Most of the time would be spent on each number's shortest text.
            figures = [(*point[1:5], point.test_top1) if tested else point[1:5] for point in row.curve]
            texts = encoded(figures)[2:-2].replace("null", "").split("],[")
            lines += [f"{label},{_written(point.stage)},{text}\n" for point, text in zip(row.curve, texts, strict=True)]
    return "".join(lines)


def report_json(rows: Sequence[Row], facts: SuiteFacts) -> dict[str, Any]:
    """The whole report as one JSON document: shares 0..1, plain counts, seconds."""
    return {
        "suite": facts.name,
        "title": facts.title,
        "profile": facts.profile,
        "dataset": facts.data_title,
        "seeds": list(facts.seeds),
        "cells": dict(Counter(row.state for row in rows)),
        "tables": [_table_record(table, facts) for table in tables(rows, facts)],
    }


def _table_record(table: Table, facts: SuiteFacts) -> dict[str, Any]:
    published: dict[str, Any] | None = None
    if facts.published is not None:
        apart = table.published
        published = {
            "reference": facts.published,
            "comparable": apart is None,
            "heading": apart.heading if apart is not None else None,
            "rows": [asdict(row) for row in table.quoted],
        }
    return {
        "backbone": table.backbone,
        "title": table.title,
        "entries": _entry_records(table.entries),
        "fair": _fair_records(table),
        "differences": difference_records(table),
        **({"choices": choice_records(table)} if table.chosen else {}),
        **({"trials": study_records(table)} if table.studies else {}),
        "published": published,
        "above": list(table.above),
        "notes": list(table.main.notes),
    }


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Records of one shape as CSV: None is empty, lists and mappings are JSON, line breaks in texts become spaces."""
    file = io.StringIO()
    if not records:
        return ""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(records[0])
    writer.writerows(
        [value if type(value) in _PLAIN else _field(value) for value in record.values()] for record in records
    )
    return file.getvalue()


_PLAIN = {int, float, bool, type(None)}
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+|\d*\.\d+)(e[+-]?\d+)?", re.ASCII)


def _field(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    return encoded(value) if isinstance(value, dict | list | tuple) else value


@lru_cache(maxsize=4096)
def _written(text: str) -> str:
    """A field as it stands in a line of a CSV file."""
    file = io.StringIO()
    csv.writer(file, lineterminator="").writerow([_text(text)])
    return file.getvalue()


@lru_cache(maxsize=4096)
def _text(value: str) -> str:
    text = " ".join(value.split()) if "\n" in value or "\r" in value else value
    # A spreadsheet would compute it; with the apostrophe it shows the text.
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
