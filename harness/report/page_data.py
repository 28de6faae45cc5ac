"""What the page's script draws, as JSON values: points with what they are called, curves, widths, gates, costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from harness.report import numbers
from harness.report.cost_plot import STAGE_TITLES, method_costs, stages_of
from harness.report.entries import Entry, Figure
from harness.report.facts import SuiteFacts
from harness.report.page_cells import CellPage
from harness.report.page_table import published_hover
from harness.report.pareto_plot import published_looks
from harness.report.series import series
from harness.report.style import Style, styles
from harness.report.table import Table
from harness.store.rows import Row

COSTS: tuple[Figure, ...] = get_args(Figure)
COST_TITLES = {
    "macs": "Executed MACs",
    "params": "Parameters",
    "training_macs": "Training MACs",
    "device_seconds": "Device time (s)",
    "latency_seconds": "Latency of a batch (s)",
    "paper_flops": "FLOPs by the paper's rule",
    "paper_params": "Parameters by the paper's rule",
}
_SYMBOLS = {
    "*": "star",
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "<": "triangle-left",
    "p": "pentagon",
    ">": "triangle-right",
    "d": "diamond-tall",
    "h": "hexagon",
}
"""Plotly's names of the markers that the pictures have."""


def charts(
    tables: Sequence[Table], cells: Sequence[CellPage], identifiers: Mapping[int, str], facts: SuiteFacts
) -> dict[str, Any]:
    """All that is drawn: `tables` in the page's order, `cells` by identifier.

    Args:
        tables: of the report.
        cells: sections of the page.
        identifiers: {id of a row: identifier of its section}.
        facts: of the suite.
    """
    return {
        "tables": [_table(table, identifiers, facts) for table in tables],
        "cells": {cell.identifier: _cell(cell.row) for cell in cells if cell.has_charts},
        "costs": COST_TITLES,
        "stages": STAGE_TITLES,
    }


def _table(table: Table, identifiers: Mapping[int, str], facts: SuiteFacts) -> dict[str, Any]:
    measured = [entry for entry in table.entries if entry.done]
    gathered = series(measured, facts)
    looks = styles(one.look for one in gathered)
    drawn = [
        {
            "label": _one_line(one.label),
            **_style(looks[one.look]),
            "control": one.is_control,
            "steered": one.is_steered,
            "points": [_point(entry, table, identifiers) for entry in one.entries],
        }
        for one in gathered
    ]
    costs = method_costs(table, facts)
    return {
        "title": table.title,
        "series": drawn,
        "published": _published(table, measured, facts),
        "axes": [cost for cost in COSTS if any(entry.spread(cost) for entry in measured)],
        "methods": [{"label": _one_line(one.label), "macs": one.macs, "seconds": one.seconds} for one in costs],
        "stages": stages_of(costs),
    }


def _style(look: Style) -> dict[str, str]:
    return {"colour": look.colour, "symbol": _SYMBOLS[look.marker]}


def _point(entry: Entry, table: Table, identifiers: Mapping[int, str]) -> dict[str, Any]:
    top1 = entry.accuracy("top1")
    assert top1 is not None  # an entry is drawn only if a seed of it is measured
    costs = {cost: [spread.mean, spread.low, spread.high] for cost in COSTS if (spread := entry.spread(cost))}
    title = table.title_of(entry)
    return {
        "point": entry.point,
        "title": title,
        "top1": 100 * top1.mean,
        "half": 100 * top1.half_width if top1.half_width is not None else None,
        "costs": costs,
        "hover": [
            title,
            f"top-1 {numbers.interval(top1)} %, {top1.n} seed{'s' if top1.n != 1 else ''}",
            *_told(entry),
            *dict.fromkeys(_measured_at(row) for row in entry.done),
        ],
        "cell": identifiers[id(entry.done[0])],
        "seeds": [
            {
                "top1": 100 * (row.top1 or 0.0),
                "costs": {cost: value for cost in COSTS if (value := getattr(row, cost)) is not None},
                "hover": [row.cell.label, f"top-1 {numbers.percent(row.top1 or 0.0)} %", _measured_at(row)]
                + ([f"key {row.key[:12]}"] if row.key else []),
                "cell": identifiers[id(row)],
            }
            for row in entry.done
        ],
    }


def _told(entry: Entry) -> list[str]:
    found = []
    for cost, name in (("macs", "MACs"), ("params", "parameters")):
        spread, ratio = entry.spread(cost), entry.ratio(cost)  # type: ignore[arg-type]
        if spread is not None:
            unit = numbers.unit_for([spread.mean])
            text = f"{numbers.count(spread.mean, unit)} {unit.symbol} {name}".replace("  ", " ")
            found.append(text + (f" ({numbers.ratio(ratio)} fewer)" if ratio is not None and ratio > 1 else ""))
    return found


def _measured_at(row: Row) -> str:
    known = row.provenance
    if not known:
        return "no provenance kept"
    parts = [
        f"commit {str(known['commit'])[:12]}{' with changes' if known.get('dirty') else ''}"
        if known.get("commit")
        else "",
        str(known.get("device_name") or known.get("processor") or ""),
    ]
    return ", ".join(part for part in parts if part)


def _published(table: Table, measured: Sequence[Entry], facts: SuiteFacts) -> list[dict[str, Any]]:
    """Published rows, where they may stand beside ours."""
    looks = published_looks(table.beside, measured, facts)
    return [
        {
            "label": f"{row.family} ‡",
            **_style(looks[row.family]),
            "top1": float(row.top1),
            "costs": {"paper_flops": row.flops, "paper_params": row.params},
            "hover": published_hover(row, facts.published or ""),
        }
        for row in table.beside
        if row.top1
    ]


def _cell(row: Row) -> dict[str, Any]:
    gates = [point.gates for point in row.curve if point.gates is not None]
    return {
        "curve": {
            "stage": [point.stage for point in row.curve],
            "epoch": [point.epoch + 1 for point in row.curve],
            "loss": [_rounded(point.loss, 5) for point in row.curve],
            "train": [_rounded(100 * point.train_top1, 5) for point in row.curve],
            "held_out": [
                _rounded(100 * point.held_out_top1, 5) if point.held_out_top1 is not None else None
                for point in row.curve
            ],
            "test": [_rounded(100 * point.test_top1, 5) if point.test_top1 is not None else None for point in row.curve]
            if row.best_test is not None
            else [],
        },
        "widths": [[name, kept, size] for name, (kept, size) in row.widths.items()],
        "gates": [[one.low, one.high, *one.counts] for one in gates],
    }


def _rounded(value: float, digits: int) -> float | None:
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _one_line(text: str) -> str:
    return " ".join(text.split())
