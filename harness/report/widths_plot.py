"""What a method kept of each layer: the learned widths as bars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.report.entries import Entry
from harness.report.figure import new_figure, place_axes
from harness.report.style import COLUMN_WIDTH, PAGE_WIDTH, styles
from harness.report.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = 0.62
_GAP = 0.3
_MOST_PANELS = 8
_MOST_NUMBERED = 16
"""Layers up to which the counts fit above the bars."""


def widths(table: Table) -> Figure | None:
    """One panel for each point whose widths the method itself chose; None if there is none.

    Bars are the mean share of channels kept, layer by layer in the network's order; the line on each goes from the
    smallest to the largest seed; the number is the mean count.
    """
    chosen = [entry for entry in table.entries if entry.kind == "natural" and _is_cut(entry)]
    if not chosen:
        return None
    shown = chosen if len(chosen) <= _MOST_PANELS else _spread_out(chosen, _MOST_PANELS)
    columns = 1 if len(shown) <= 4 else 2
    layers = max(len(entry.done[0].widths) for entry in shown)
    if layers > _MOST_NUMBERED and len(shown) > 1:
        columns = 1
    full = COLUMN_WIDTH if columns == 1 and layers <= _MOST_NUMBERED else PAGE_WIDTH
    lines = math.ceil(len(shown) / columns)
    left, bottom, right = 0.45, 0.38, 0.08
    height = bottom + lines * (_PANEL + _GAP)
    figure = new_figure(full, height)
    width = (full - columns * (left + right)) / columns
    looks = styles(entry.cell.method for entry in table.entries)
    for number, entry in enumerate(shown):
        line, column = number % lines, number // lines
        start = column * (left + width + right) + left
        axes = place_axes(figure, start, height - (line + 1) * (_PANEL + _GAP) + 0.02, width, _PANEL)
        _panel(axes, entry, looks[entry.cell.method].colour)
        is_lowest = line == lines - 1 or number == len(shown) - 1
        if is_lowest:
            axes.set_xlabel("Layer, in the network's order", labelpad=2)
        else:
            axes.tick_params(labelbottom=False)
    middle = bottom + (height - bottom) / 2
    figure.text(0.02 / full, middle / height, "Channels kept (%)", rotation=90, ha="left", va="center")
    return figure


def _is_cut(entry: Entry) -> bool:
    return any(kept < size for row in entry.done for kept, size in row.widths.values())


def _spread_out(entries: list[Entry], most: int) -> list[Entry]:
    return [entries[round(number * (len(entries) - 1) / (most - 1))] for number in range(most)]


def _panel(axes: Axes, entry: Entry, colour: str) -> None:
    groups = list(entry.done[0].widths)
    counts = [[row.widths[group][0] for row in entry.done if group in row.widths] for group in groups]
    sizes = [max(entry.done[0].widths[group][1], 1) for group in groups]
    places = range(1, len(groups) + 1)
    means = [sum(kept) / len(kept) for kept in counts]
    shares = [100 * mean / size for mean, size in zip(means, sizes, strict=True)]
    low = [100 * min(kept) / size for kept, size in zip(counts, sizes, strict=True)]
    high = [100 * max(kept) / size for kept, size in zip(counts, sizes, strict=True)]
    axes.bar(places, shares, width=0.72, color=colour, linewidth=0)
    if len(entry.done) > 1:
        axes.vlines(places, low, high, color="black", linewidth=0.6)
    if len(groups) <= _MOST_NUMBERED:
        for place, mean, top in zip(places, means, high, strict=True):
            text = f"{mean:.0f}" if mean >= 10 or mean == int(mean) else f"{mean:.1f}"
            axes.annotate(text, (place, top), (0, 1), textcoords="offset points", ha="center", va="bottom", fontsize=5)
        axes.set_xticks(list(places))
    axes.set_xlim(0.4, len(groups) + 0.6)
    axes.set_ylim(0, 118)
    axes.set_yticks([0, 50, 100])
    axes.grid(visible=False, axis="x")
    axes.set_title(" ".join(entry.title.split()), loc="left", pad=3, fontsize=7)
