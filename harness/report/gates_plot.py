"""Where the gates of a search are after each epoch: a histogram over time, dark where many are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.report.entries import Entry
from harness.report.figure import new_figure, place_axes
from harness.report.style import COLUMN_WIDTH, SMALL_FONT
from harness.report.table import Table
from harness.store.rows import GateHistogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 40
_MOST_PANELS = 5
_PANEL = 0.75
_LEFT, _RIGHT, _TOP, _BOTTOM, _BETWEEN = 0.5, 0.08, 0.2, 0.72, 0.1
_FONT = 6.0
_FAINTEST = 0.45
"""Exponent that makes a bin with few gates visible beside one with nearly all."""


def gates(table: Table) -> Figure | None:
    """One panel for each point whose gates were watched: epochs to the right, factors upwards; None if there is none.

    The shade of a bin is its share of all gates of all seeds. An annealed gate begins in the middle and ends at the
    edges, which is the step that its function has become.
    """
    shown = [(entry, found) for entry in table.entries if (found := spreads(entry))]
    if not shown:
        return None
    if len(shown) > _MOST_PANELS:
        shown = [shown[round(at * (len(shown) - 1) / (_MOST_PANELS - 1))] for at in range(_MOST_PANELS)]
    height = _BOTTOM + len(shown) * (_PANEL + _TOP) + (len(shown) - 1) * _BETWEEN
    figure = new_figure(COLUMN_WIDTH, height)
    start = height
    for number, (entry, found) in enumerate(shown):
        start -= _TOP + _PANEL
        axes = place_axes(figure, _LEFT, start, COLUMN_WIDTH - _LEFT - _RIGHT, _PANEL)
        _panel(axes, found)
        axes.set_title(table.title_of(entry), loc="left", pad=3, fontsize=SMALL_FONT)
        if number < len(shown) - 1 and len(found) == len(shown[-1][1]):
            axes.tick_params(labelbottom=False)
        start -= _BETWEEN
    axes.set_xlabel("Epoch of the search", labelpad=2)
    middle = _BOTTOM + (height - _BOTTOM) / 2
    figure.text(0.02 / COLUMN_WIDTH, middle / height, "Gate", rotation=90, ha="left", va="center")
    _legend(figure)
    return figure


def spreads(entry: Entry) -> list[GateHistogram]:
    """One histogram an epoch over the gates of all seeds, all with the same bins; empty if no gates were watched."""
    by_seed = [[point.gates for point in row.curve if point.gates is not None] for row in entry.done]
    by_epoch = list(zip(*(found for found in by_seed if found), strict=False))
    known = [one for epoch in by_epoch for one in epoch]
    if not known:
        return []
    low, high = min(one.low for one in known), max(one.high for one in known)
    return [GateHistogram(low, high, _together(epoch, low, high)) for epoch in by_epoch]


def _together(found: Sequence[GateHistogram], low: float, high: float) -> tuple[int, ...]:
    """The sum of histograms, in common bins; a count goes to the bin in which the middle of its own lies."""
    counts = [0] * BINS
    for one in found:
        width = (one.high - one.low) / len(one.counts)
        for number, count in enumerate(one.counts):
            place = (one.low + (number + 0.5) * width - low) / (high - low)
            counts[min(int(place * BINS), BINS - 1)] += count
    return tuple(counts)


def _panel(axes: Axes, found: Sequence[GateHistogram]) -> None:
    from matplotlib.colors import PowerNorm
    from matplotlib.ticker import MaxNLocator

    shares = [[count / max(sum(one.counts), 1) for count in one.counts] for one in found]
    axes.imshow(
        list(zip(*shares, strict=True)),
        origin="lower",
        aspect="auto",
        interpolation="none",
        cmap="Greys",
        norm=PowerNorm(_FAINTEST, 0, 1),
        extent=(0.5, len(found) + 0.5, found[0].low, found[0].high),
    )
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    if (found[0].low, found[0].high) == (0.0, 1.0):
        axes.set_yticks([0, 0.5, 1])
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=3))


def _legend(figure: Figure) -> None:
    """The scale of shades, at the bottom of the figure."""
    from matplotlib.colors import PowerNorm

    axes = place_axes(figure, _LEFT, 0.2, 0.9, 0.09)
    axes.imshow(
        [[step / 100 for step in range(101)]],
        cmap="Greys",
        norm=PowerNorm(_FAINTEST, 0, 1),
        aspect="auto",
        extent=(0, 100, 0, 1),
    )
    axes.set_yticks([])
    axes.set_xticks([0, 50, 100], ["0", "50", "100"], fontsize=_FONT)
    axes.tick_params(length=1.5, pad=1, width=0.4)
    axes.grid(visible=False)
    place = ((_LEFT + 0.9 + 0.14) / figure.get_figwidth(), 0.245 / figure.get_figheight())
    figure.text(*place, "% of all gates of all seeds", ha="left", va="center", fontsize=_FONT)
