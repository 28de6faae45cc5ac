"""What each method cost in all, stage by stage: training MACs and device time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.report import numbers
from harness.report.facts import SuiteFacts
from harness.report.figure import legend_below, legend_shape, new_figure, place_axes
from harness.report.series import series
from harness.report.style import COLUMN_WIDTH, SMALL_FONT
from harness.report.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure

STAGE_TITLES = {
    "dense": "dense",
    "compress": "search",
    "networks": "networks tried",
    "choose": "rates tried",
    "study": "study",
    "finetune": "fine-tuning",
    "measure": "measuring",
}
"""What a reader calls the stages; others go by their own names."""
_FILLS = {
    "dense": ("0.25", ""),
    "compress": ("0.6", ""),
    "networks": ("white", "//////"),
    "choose": ("white", "......"),
    "study": ("white", "xxxxxx"),
    "finetune": ("0.85", ""),
    "measure": ("white", ""),
}
_OTHER_FILLS = (("white", "++++++"), ("white", "oooo"))
_ROW = 0.17
_LETTER = 0.052
_LONGEST = 26
_TOP, _RIGHT, _BETWEEN = 0.08, 0.1, 0.1


@dataclass(frozen=True)
class MethodCost:
    """What a cell of one method cost on average.

    Attributes:
        label: the method, as a legend calls it.
        cells: how many.
        macs: {stage: training MACs}.
        seconds: {stage: device-seconds}.
    """

    label: str
    cells: int
    macs: dict[str, float]
    seconds: dict[str, float]


def method_costs(table: Table, facts: SuiteFacts) -> list[MethodCost]:
    """The mean cost of a cell by method and stage, shared stages in full; methods without known costs are left out."""
    found = []
    for one in series([entry for entry in table.entries if entry.done], facts):
        rows = [row for entry in one.entries for row in entry.done if row.stage_macs]
        if rows:
            macs = _mean(row.stage_macs for row in rows)
            found.append(MethodCost(one.label, len(rows), macs, _mean(row.stage_seconds for row in rows)))
    return found


def stages_of(found: Sequence[MethodCost]) -> list[str]:
    """All stages that cost something, in the order in which they run."""
    named = {stage for one in found for costs in (one.macs, one.seconds) for stage, cost in costs.items() if cost}
    order = list(_FILLS)
    return sorted(named, key=lambda stage: (order.index(stage) if stage in order else 1.5, stage))


def cost(table: Table, facts: SuiteFacts) -> Figure | None:
    """A bar a method in each of two panels, in the order of the suite; None if no costs by stage are known."""
    found = method_costs(table, facts)
    if not found:
        return None
    stages = stages_of(found)
    labels = [STAGE_TITLES.get(stage, stage) for stage in stages]
    _, legend_height = legend_shape(labels, COLUMN_WIDTH)
    bottom = legend_height + 0.4
    height = bottom + len(found) * _ROW + _TOP
    figure = new_figure(COLUMN_WIDTH, height)
    names = [_short(one.label) for one in found]
    left = 0.12 + max(len(name) for name in names) * _LETTER
    width = (COLUMN_WIDTH - left - _RIGHT - _BETWEEN) / 2
    macs_axes = place_axes(figure, left, bottom, width, len(found) * _ROW)
    time_axes = place_axes(figure, left + width + _BETWEEN, bottom, width, len(found) * _ROW)
    unit = numbers.unit_for(sum(one.macs.values()) for one in found)
    seconds, size = numbers.time_unit(sum(one.seconds.values()) for one in found)
    fills = _fills(stages)
    _bars(macs_axes, [one.macs for one in found], stages, fills, unit.size)
    handles = _bars(time_axes, [one.seconds for one in found], stages, fills, size)
    macs_axes.set_yticks(range(len(found)), names, fontsize=SMALL_FONT)
    time_axes.set_yticks([])
    macs_axes.set_xlabel(unit.named("Training MACs"), labelpad=2)
    time_axes.set_xlabel(f"Device time ({seconds})", labelpad=2)
    legend_below(figure, handles, labels)
    return figure


def _mean(costs: Iterable[Mapping[str, float]]) -> dict[str, float]:
    known = list(costs)
    stages = dict.fromkeys(stage for one in known for stage in one)
    return {stage: sum(one.get(stage, 0.0) for one in known) / len(known) for stage in stages}


def _short(label: str) -> str:
    one_line = " ".join(label.split())
    return one_line if len(one_line) <= _LONGEST else one_line[: _LONGEST - 1] + "…"


def _fills(stages: Sequence[str]) -> dict[str, tuple[str, str]]:
    others = [stage for stage in stages if stage not in _FILLS]
    return {**_FILLS, **{stage: _OTHER_FILLS[at % len(_OTHER_FILLS)] for at, stage in enumerate(others)}}


def _bars(
    axes: Axes,
    costs: Sequence[Mapping[str, float]],
    stages: Sequence[str],
    fills: Mapping[str, tuple[str, str]],
    size: float,
) -> list[BarContainer]:
    """Stacked bars, the first on top; one handle a stage for the legend."""
    from matplotlib.ticker import MaxNLocator

    starts = [0.0] * len(costs)
    handles: list[BarContainer] = []
    for stage in stages:
        colour, hatch = fills[stage]
        lengths = [one.get(stage, 0.0) / size for one in costs]
        handles.append(
            axes.barh(
                range(len(costs)),
                lengths,
                0.68,
                left=starts,
                facecolor=colour,
                hatch=hatch,
                edgecolor="black",
                linewidth=0.4,
            )
        )
        starts = [start + length for start, length in zip(starts, lengths, strict=True)]
    axes.set_ylim(len(costs) - 0.5, -0.5)
    axes.set_xlim(0, 1.04 * max(starts) or 1.0)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, prune="upper"))
    return handles
