"""All pictures of a table, by name."""

from __future__ import annotations

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


def figures(table: Table, facts: SuiteFacts) -> dict[str, Figure]:
    """{name: figure} of all pictures that the measured rows can fill; to be called within `figure.settings()`."""
    found = {f"pareto_{axis}": pareto(table, axis, facts) for axis in facts.x}
    found["pareto_latency"] = pareto(table, "latency", facts)
    found |= {"widths": widths(table), "choices": choices(table), "gates": gates(table)}
    found |= {"curves": curves(table), "cost": cost(table, facts)}
    return {name: figure for name, figure in found.items() if figure is not None}
