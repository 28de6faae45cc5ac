"""Verdicts for people, and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.reproduce.verdict import Repeated, Spread, Verdict

_NAMES = {
    "top1": "Top-1",
    "top5": "Top-5",
    "macs": "MACs",
    "params": "parameters",
    "widths": "kept channels a layer",
    "curve": "loss and accuracy of every epoch",
    "epochs": "epochs",
    "training_macs": "training MACs",
    "hits": "which test images are right",
}


def verdict_text(verdict: Verdict) -> str:
    """What came of one line, in a few lines."""
    lines = [f"{verdict.line}: {verdict.outcome}"]
    for cell in verdict.cells:
        lines += _cell_text(cell)
    lines += [_spread_text(spread) for spread in verdict.spreads]
    if verdict.outcome == "different" and not verdict.spreads:
        lines.append("  a single stored seed has no interval")
    environment = {name: pair for cell in verdict.cells for name, pair in cell.environment.items()}
    if environment:
        lines.append("  what differs around it:")
        lines += [f"    {_environment_name(name)}: {then} then, {now} now" for name, (then, now) in environment.items()]
    else:
        lines.append("  nothing differs around it: code, packages, processor, threads and device are the same")
    return "\n".join(lines)


def _cell_text(cell: Repeated) -> list[str]:
    seed = f"  seed {cell.before.cell.seed}"
    if cell.again.state != "done":
        return [f"{seed}: {cell.again.state} now: {cell.again.reason}"]
    if not cell.unequal:
        names = ", ".join(_NAMES[name] for name in cell.compared)
        return [f"{seed}: equal to the last bit: {names}"]
    told = []
    for name in cell.unequal:
        before, again = getattr(cell.before, name, None), getattr(cell.again, name, None)
        if isinstance(before, float) and isinstance(again, float):
            told.append(f"{_NAMES[name]} {100 * before:.2f} then, {100 * again:.2f} now")
        elif isinstance(before, int) and isinstance(again, int):
            told.append(f"{_NAMES[name]} {before:,} then, {again:,} now")
        elif name == "curve":
            told.append(f"{_NAMES[name]}, from {_first_difference(cell)} on")
        else:
            told.append(_NAMES[name])
    return [f"{seed}: differs in " + "; ".join(told)]


def _first_difference(cell: Repeated) -> str:
    for one, other in zip(cell.before.curve, cell.again.curve, strict=False):
        if one != other:
            return f"epoch {one.epoch} ({one.stage})"
    return "the end of the shorter"


def _spread_text(spread: Spread) -> str:
    factor, unit = (100.0, "") if spread.figure == "top1" else (1e-6, " M")
    interval = spread.interval.scaled(factor)
    place = "inside" if spread.inside else "outside"
    return (
        f"  {_NAMES[spread.figure]} {factor * spread.again:.2f}{unit} is {place} {interval.low:.2f} to "
        f"{interval.high:.2f}{unit}, where {interval.n} stored seeds put another run with 95 %"
    )


def _environment_name(name: str) -> str:
    return "content key (recipe, data, method's source, engine's version)" if name == "key" else name


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "line": verdict.line,
        "outcome": verdict.outcome,
        "cells": [
            {
                "label": cell.before.cell.label,
                "state": cell.again.state,
                "compared": list(cell.compared),
                "unequal": list(cell.unequal),
                "before": {"top1": cell.before.top1, "macs": cell.before.macs},
                "again": {"top1": cell.again.top1, "macs": cell.again.macs},
                "environment": {name: list(pair) for name, pair in cell.environment.items()},
            }
            for cell in verdict.cells
        ],
        "spreads": [
            {
                "figure": spread.figure,
                "again": spread.again,
                "low": spread.interval.low,
                "high": spread.interval.high,
                "seeds": spread.interval.n,
                "inside": spread.inside,
            }
            for spread in verdict.spreads
        ],
    }


def outcome_of(verdicts: Sequence[Verdict]) -> int:
    """The exit status: 0 if every line came out, 1 otherwise."""
    return 1 if any(verdict.outcome == "different" for verdict in verdicts) else 0
