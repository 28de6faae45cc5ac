"""All pictures of a table, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report.choices_plot import choices
from harness.report.curves_plot import curves
from harness.report.facts import SuiteFacts
from harness.report.pareto_plot import pareto
from harness.report.table import Table
from harness.report.widths_plot import widths

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTIONS = {
    "pareto_macs": "Top-1 over MACs; points of equal MACs are drawn side by side",
    "pareto_params": "Top-1 over parameters; points of equal count are drawn side by side",
    "widths": "Channels kept in each layer: mean over seeds, smallest to largest seed as a line",
    "choices": "Candidates of the supernet, layer by layer: hidden channels kept; below, output channels of all",
    "curves": "Training loss and accuracy by epoch, means over seeds; dotted: where stages end",
}


def figures(table: Table, facts: SuiteFacts) -> dict[str, Figure]:
    """{name: figure} of all pictures that the measured rows can fill; to be called within `figure.settings()`."""
    found = {f"pareto_{axis}": pareto(table, axis, facts) for axis in facts.x}
    found |= {"widths": widths(table), "choices": choices(table), "curves": curves(table)}
    return {name: figure for name, figure in found.items() if figure is not None}
