"""What is left of a supernet, drawn: layers to the right, candidates upwards, the darker the more channels are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report.choices import Candidate, Choices
from harness.report.figure import new_figure, place_axes
from harness.report.style import COLUMN_WIDTH, SMALL_FONT
from harness.report.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

_MOST_PANELS = 5
_ROW = 0.115
"""Height of a candidate's row, inches."""
_LEFT, _RIGHT, _TOP, _BOTTOM, _BETWEEN = 0.47, 0.06, 0.2, 0.6, 0.12
_APART = 0.35
"""Room above the row of outputs, in rows."""
_FONT = 6.0
_STRONGEST = 0.92
"""Of the grey scale, where 0 is white and 1 black."""


def choices(table: Table) -> Figure | None:
    """One panel for each point that chose its own widths on a supernet; None if there is none.

    A cell's shade is the mean share of hidden channels kept, over seeds, a removed candidate counted as none. A cross
    marks a candidate that every seed removed, a stroke one that some did. The row below is the share of all output
    channels of the layer's candidates that is kept.
    """
    chosen = table.chosen
    if not chosen:
        return None
    if len(chosen) > _MOST_PANELS:
        chosen = tuple(chosen[round(at * (len(chosen) - 1) / (_MOST_PANELS - 1))] for at in range(_MOST_PANELS))
    rows = max(len(one.kinds) for one in chosen) + 1 + _APART
    height = _BOTTOM + len(chosen) * (rows * _ROW + _TOP) + (len(chosen) - 1) * _BETWEEN
    figure = new_figure(COLUMN_WIDTH, height)
    start = height
    for one in chosen:
        start -= _TOP + rows * _ROW
        axes = place_axes(figure, _LEFT, start, COLUMN_WIDTH - _LEFT - _RIGHT, rows * _ROW)
        _panel(axes, one)
        if one is not chosen[-1]:
            axes.tick_params(labelbottom=False)
        start -= _BETWEEN
    axes.set_xlabel("Mixed layer; numbered where the width changes", labelpad=2, fontsize=SMALL_FONT)
    _legend(figure, several=any(len(one.entry.done) > 1 for one in chosen))
    return figure


def _panel(axes: Axes, chosen: Choices) -> None:
    for column, layer in enumerate(chosen.layers):
        candidates = {candidate.key[1:]: candidate for candidate in chosen.of_layer(layer)}
        for row, kind in enumerate(chosen.kinds):
            if kind in candidates:
                _cell(axes, column, row, _hidden(candidates[kind]))
                _mark(axes, column, row, candidates[kind])
        outputs = [candidate.output for candidate in candidates.values() if candidate.output is not None]
        if outputs:
            share = sum(kept.mean for kept in outputs) / sum(kept.size for kept in outputs)
            _cell(axes, column, len(chosen.kinds) + _APART, share)
    rows = len(chosen.kinds) + 1 + _APART
    axes.set_xlim(-0.05, len(chosen.layers) + 0.05)
    axes.set_ylim(rows, 0)
    names = [f"k{kernel} e{expansion}" for kernel, expansion in chosen.kinds]
    axes.set_yticks([*(row + 0.5 for row in range(len(names))), rows - 0.5], [*names, "outputs"], fontsize=_FONT)
    widths = [chosen.width(layer) for layer in chosen.layers]
    changes = [at for at in range(len(widths)) if at == 0 or widths[at] != widths[at - 1]]
    axes.set_xticks([at + 0.5 for at in changes], [str(chosen.layers[at]) for at in changes], fontsize=_FONT)
    axes.tick_params(length=0, pad=2)
    axes.grid(visible=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_title(" ".join(chosen.title.split()), loc="left", pad=3, fontsize=SMALL_FONT)


def _hidden(candidate: Candidate) -> float:
    """The share of hidden channels kept; where these could not be cut, the share of seeds that kept the candidate."""
    if candidate.hidden is not None:
        return candidate.hidden.mean / max(candidate.hidden.size, 1)
    return 1 - sum(candidate.removed) / len(candidate.removed)


def _shade(share: float) -> str:
    return str(1 - _STRONGEST * share)


def _cell(axes: Axes, column: float, row: float, share: float) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle((column, row), 1, 1, facecolor=_shade(share), edgecolor="0.6", linewidth=0.35, clip_on=False)
    )


def _mark(axes: Axes, column: float, row: float, candidate: Candidate) -> None:
    """Two strokes where every seed removed the candidate, one where some did, dark on light and light on dark."""
    if not any(candidate.removed):
        return
    ink = "black" if _hidden(candidate) < 0.5 else "white"
    inset = 0.27
    near, far = column + inset, column + 1 - inset
    axes.plot([near, far], [row + 1 - inset, row + inset], color=ink, linewidth=0.7, solid_capstyle="butt")
    if all(candidate.removed):
        axes.plot([near, far], [row + inset, row + 1 - inset], color=ink, linewidth=0.7, solid_capstyle="butt")


def _legend(figure: Figure, several: bool) -> None:
    """The scale of shades and what the strokes mean, at the bottom of the figure."""
    axes = place_axes(figure, _LEFT, 0.17, 0.85, 0.09)
    axes.imshow(
        [[step / 50 for step in range(51)]], cmap=_scale(), vmin=0, vmax=1, aspect="auto", extent=(0, 100, 0, 1)
    )
    axes.set_yticks([])
    axes.set_xticks([0, 50, 100], ["0", "50", "100"], fontsize=_FONT)
    axes.tick_params(length=1.5, pad=1, width=0.4)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_linewidth(0.35)
    left = _LEFT + 0.85 + 0.14
    words = (
        "% of channels kept, mean over seeds\n× removed by every seed   / by some"
        if several
        else "% of channels kept\n× removed"
    )
    figure.text(
        left / figure.get_figwidth(), 0.215 / figure.get_figheight(), words, ha="left", va="center", fontsize=_FONT
    )


def _scale() -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("kept", [_shade(0), _shade(1)])
