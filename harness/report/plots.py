"""All pictures of a table, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from harness.report.choices_plot import choices
from harness.report.cost_plot import cost
from harness.report.curves_plot import curves
from harness.report.facts import SuiteFacts
from harness.report.gates_plot import gates
from harness.report.pareto_plot import pareto
from harness.report.table import Table
from harness.report.widths_plot import widths

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTIONS = {
    "pareto_macs": "Top-1 over MACs; points of equal MACs are drawn side by side",
    "pareto_params": "Top-1 over parameters; points of equal count are drawn side by side",
    "pareto_latency": "Top-1 over the time of a forward pass",
    "widths": "Channels kept in each layer: mean over seeds, smallest to largest seed as a line",
    "choices": "Candidates of the supernet, layer by layer: hidden channels kept; below, output channels of all",
    "gates": "Gates after each epoch of the search: how many are where",
    "curves": "Training loss and accuracy by epoch, means over seeds; dotted: where stages end",
    "cost": "What a cell cost by stage, mean over the cells of a method; stages that cells share are counted in full",
}


def figures(table: Table, facts: SuiteFacts) -> dict[str, Callable[[], Figure | None]]:
    """{name: what draws it, if the measured rows can fill it}, to be called within `figure.settings()`."""
    found: dict[str, Callable[[], Figure | None]] = {
        f"pareto_{axis}": partial(pareto, table, axis, facts) for axis in facts.x
    }
    found["pareto_latency"] = partial(pareto, table, "latency", facts)
    found |= {"widths": partial(widths, table), "choices": partial(choices, table), "gates": partial(gates, table)}
    return found | {"curves": partial(curves, table), "cost": partial(cost, table, facts)}
