"""What a method kept of each layer: the learned widths, as bars, or as steps where there are many layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.report.choices import parsed
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
_MOST_BARS = 80
"""Layers up to which bars can be told apart on a page; beyond, they are drawn as steps."""
_CLASSIFIERS = ("classifier", "fc", "head", "linear")
_LETTER = 0.06
"""Width of a letter of a heading, inches."""
_STREAM = "stream:"
_LAYERS = "Layer, in the network's order"


@dataclass(frozen=True)
class _Part:
    """Groups of one sort, drawn side by side: their heading, names, where the first one stands, the heading's room."""

    heading: str
    groups: tuple[str, ...]
    start: float
    room: float = 0.0

    @property
    def places(self) -> list[float]:
        return [self.start + number for number in range(len(self.groups))]

    @property
    def end(self) -> float:
        return max(self.start + len(self.groups), self.middle + self.room / 2 + 0.5)

    @property
    def middle(self) -> float:
        return self.start + (len(self.groups) - 1) / 2


def widths(table: Table) -> Figure | None:
    """One panel for each point whose widths the method itself chose; None if there is none.

    Drawn is the mean share of channels kept, layer by layer in the network's order; the line (or the band) on it goes
    from the smallest to the largest seed; a cross stands where nothing is kept. Streams, hidden linear layers and what
    the candidates of a supernet write stand apart from the other layers.
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
    crossed = any(kept == 0 for entry in shown for row in entry.done for kept, _ in row.widths.values())
    left, bottom, right = 0.45, 0.38, 0.08
    height = bottom + lines * (_PANEL + _GAP)
    figure = new_figure(full, height)
    width = (full - columns * (left + right)) / columns
    looks = styles(entry.cell.method for entry in table.entries)
    for number, entry in enumerate(shown):
        line, column = number % lines, number // lines
        start = column * (left + width + right) + left
        axes = place_axes(figure, start, height - (line + 1) * (_PANEL + _GAP) + 0.02, width, _PANEL)
        parts = _parts(entry, width)
        _panel(axes, entry, parts, looks[entry.cell.method].colour)
        axes.set_title(table.title_of(entry), loc="left", pad=3, fontsize=7)
        _label_below(axes, parts, is_lowest=line == lines - 1 or number == len(shown) - 1)
    middle = bottom + (height - bottom) / 2
    figure.text(0.02 / full, middle / height, "Channels kept (%)", rotation=90, ha="left", va="center")
    if crossed:
        figure.text(1 - right / full, 1 - 0.02 / height, "×: none kept", ha="right", va="top", fontsize=6)
    return figure


def _is_cut(entry: Entry) -> bool:
    return any(kept < size for row in entry.done for kept, size in row.widths.values())


def _spread_out(entries: list[Entry], most: int) -> list[Entry]:
    return [entries[round(number * (len(entries) - 1) / (most - 1))] for number in range(most)]


def _parts(entry: Entry, inches: float) -> list[_Part]:
    """The groups by sort: ordinary ones, outputs of a supernet's candidates, streams, hidden linear layers.

    Args:
        entry: whose widths.
        inches: width of the axes, which the headings of small parts must fit into.
    """
    sorts: dict[str, list[str]] = {"": [], "outputs of candidates": [], "streams": [], "linear": []}
    candidates = False
    for name in entry.done[0].widths:
        is_output = (parts := parsed(name)) is not None and parts[1]
        candidates = candidates or parts is not None
        linear = "fc" in entry.cell.cuts and name.split(".")[0] in _CLASSIFIERS
        sort = "streams" if name.startswith(_STREAM) else "linear" if linear else ""
        sorts["outputs of candidates" if is_output else sort].append(name)
    many = len(entry.done[0].widths)
    gap = max(1.0, 0.02 * many)
    found, start = [], 1.0
    for sort, names in sorts.items():
        if names:
            heading = "fixed layers and hidden channels of candidates" if candidates and not sort else sort
            missing = max(0.0, _LETTER * len(sort) / inches * 1.1 * many - len(names))
            start += missing / 2
            found.append(_Part(heading, tuple(names), start, len(names) + missing))
            start += len(names) + gap + missing / 2
    return found


def _panel(axes: Axes, entry: Entry, parts: Sequence[_Part], colour: str) -> None:
    from matplotlib.transforms import offset_copy

    many = sum(len(part.groups) for part in parts)
    for part in parts:
        counts = [[row.widths[group][0] for row in entry.done if group in row.widths] for group in part.groups]
        sizes = [max(entry.done[0].widths[group][1], 1) for group in part.groups]
        means = [sum(kept) / len(kept) for kept in counts]
        shares = [100 * mean / size for mean, size in zip(means, sizes, strict=True)]
        low = [100 * min(kept) / size for kept, size in zip(counts, sizes, strict=True)]
        high = [100 * max(kept) / size for kept, size in zip(counts, sizes, strict=True)]
        if many > _MOST_BARS:
            _steps(axes, part.start, shares, low, high, colour)
        else:
            axes.bar(part.places, shares, width=0.72, color=colour, linewidth=0)
            if len(entry.done) > 1:
                axes.vlines(part.places, low, high, color="black", linewidth=0.6)
        gone = [place for place, share in zip(part.places, shares, strict=True) if share == 0]
        axes.plot(gone, [4.0] * len(gone), "x", color="black", markersize=2.2, markeredgewidth=0.5)
        if many <= _MOST_NUMBERED:
            above = offset_copy(axes.transData, fig=axes.figure, y=1, units="points")  # type: ignore[arg-type]
            for place, mean, top in zip(part.places, means, high, strict=True):
                if mean == 0:
                    continue
                text = f"{mean:.0f}" if mean >= 10 or mean == int(mean) else f"{mean:.1f}"
                axes.text(place, top, text, transform=above, ha="center", va="bottom", fontsize=5)
    axes.set_xlim(0.4, parts[-1].end - 0.4)
    axes.set_ylim(0, 118)
    axes.set_yticks([0, 50, 100])
    axes.grid(visible=False, axis="x")


def _steps(
    axes: Axes, start: float, shares: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str
) -> None:
    """A filled staircase, one stair a layer, with a grey band from the smallest to the largest seed."""
    edges = [start - 0.5 + number for number in range(len(shares) + 1)]

    def stairs(values: Sequence[float]) -> list[float]:
        return [*values, values[-1]]

    axes.fill_between(edges, stairs(shares), step="post", color=colour, linewidth=0)
    if list(low) != list(high):
        axes.fill_between(edges, stairs(low), stairs(high), step="post", color="black", alpha=0.35, linewidth=0)


def _label_below(axes: Axes, parts: Sequence[_Part], is_lowest: bool) -> None:
    """Numbers of the layers, and the names of what stands apart."""
    first = parts[0]
    count = len(first.groups)
    step = 1 if count <= _MOST_NUMBERED else next(step for step in (5, 10, 20, 50, 100) if count / step <= 12)
    places = [place for number, place in enumerate(first.places, 1) if number % step == 0 or number == 1]
    axes.set_xticks(places, [f"{place:.0f}" for place in places])
    if not is_lowest:
        axes.tick_params(labelbottom=False)
        return
    if len(parts) == 1:
        axes.set_xlabel(first.heading.capitalize() or _LAYERS, labelpad=2)
        return
    for part in parts:
        heading = part.heading or _LAYERS
        axes.annotate(
            heading[0].upper() + heading[1:],
            (part.middle, 0.0),
            (0, -16 if part is first else -4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=7,
        )
