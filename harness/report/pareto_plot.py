"""Accuracy over cost: what a smaller network loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from harness.report import numbers
from harness.report.entries import Entry
from harness.report.entries import Figure as CostName
from harness.report.facts import Axis, SuiteFacts
from harness.report.figure import legend_below, legend_shape, log_axis, new_figure, place_axes
from harness.report.published import PublishedRow
from harness.report.series import looks_of, series
from harness.report.style import COLUMN_WIDTH, GREY, Style, styles
from harness.report.table import Table
from harness.stats.pareto import front

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

_HEIGHT = 2.1
_AXES_WIDTH = COLUMN_WIDTH - 0.68
_SIDE_STEP = 2.4
"""Points between networks of equal cost, which are drawn side by side."""
_WIDEST_SHIFT = 11.0


@dataclass(frozen=True)
class _Point:
    """Mean cost in the axis's unit, from the smallest to the largest seed; mean accuracy in per cent, half-width."""

    x: float
    y: float
    bar: float | None = None
    low: float = 0.0
    high: float = 0.0

    @property
    def is_wide(self) -> bool:
        """Whether the seeds differ in cost by what can be seen."""
        return self.high > 1.01 * self.low > 0


@dataclass(frozen=True)
class _Series:
    """Points under one entry of the legend."""

    label: str
    style: Style
    fill: Literal["full", "left", "none"]
    points: tuple[_Point, ...]
    shift: float = 0.0


def pareto(table: Table, axis: Axis | Literal["latency"], facts: SuiteFacts) -> Figure | None:
    """Mean top-1 over cost, one marker a method; None if nothing is measured.

    Upright bars are 95 % intervals, level ones go from the cheapest to the dearest seed.

    Published rows are drawn hollow where they are comparable; costs then follow the published counting rule.
    """
    cost: CostName = "latency_seconds" if axis == "latency" else axis
    measured = [entry for entry in table.entries if entry.done]
    printed = axis != "latency" and any(row.flops if axis == "macs" else row.params for row in table.beside)
    if printed and all(entry.spread("paper_flops") and entry.spread("paper_params") for entry in measured):
        cost = "paper_flops" if axis == "macs" else "paper_params"
    by_paper = cost in ("paper_flops", "paper_params")
    size, heading = _scale(measured, cost)
    ours = _ours(measured, cost, size, facts)
    if not ours:
        return None
    drawn = ours + (_theirs(table.beside, cost == "paper_flops", size, measured, facts) if by_paper else [])
    labels = [one.label for one in drawn] + ["Pareto front of the means"]
    _, legend_height = legend_shape(labels, COLUMN_WIDTH)
    bottom = legend_height + 0.4
    figure = new_figure(COLUMN_WIDTH, _HEIGHT + bottom)
    axes = place_axes(figure, 0.6, bottom, _AXES_WIDTH, _HEIGHT - 0.08)
    means = [(point.x, point.y) for one in ours for point in one.points]
    edge = [means[position] for position in front(means)]
    xs, ys = [x for x, _ in edge], [y for _, y in edge]
    handles: list[Artist] = [_draw(axes, one) for one in drawn]
    handles += axes.plot(xs, ys, drawstyle="steps-post", color=GREY, linewidth=0.7, linestyle="--", zorder=1)
    _limits(axes, drawn)
    axes.set_xlabel(f"{heading}, log scale", labelpad=2)
    axes.set_ylabel("Top-1 (%)", labelpad=2)
    legend_below(figure, handles, labels)
    return figure


_HEADINGS: dict[CostName, str] = {
    "macs": "Executed MACs",
    "params": "Parameters",
    "paper_flops": "FLOPs by the paper's rule",
    "paper_params": "Parameters by the paper's rule",
}


def _scale(measured: Sequence[Entry], cost: CostName) -> tuple[float, str]:
    """(how much one of the axis's unit is, the axis's heading with its unit)."""
    if cost in _HEADINGS:
        unit = numbers.unit_for(spread.mean for entry in measured if (spread := entry.spread(cost)) is not None)
        return unit.size, unit.named(_HEADINGS[cost])
    timed = next((row.latency.settings for entry in measured for row in entry.done if row.latency is not None), None)
    return 1e-3, f"Latency (ms), batch {timed.batch}" if timed is not None else ""


def _ours(measured: Sequence[Entry], cost: CostName, size: float, facts: SuiteFacts) -> list[_Series]:
    gathered = series(measured, facts)
    looks = styles(one.look for one in gathered)
    found: list[_Series] = []
    steered: list[bool] = []
    for one in gathered:
        points = tuple(point for entry in one.entries if (point := _point(entry, cost, size)) is not None)
        if points:
            found.append(_Series(one.label, looks[one.look], "left" if one.is_control else "full", points))
            steered.append(one.is_steered)
    # What was driven to a budget or to a partner's cost would lie on one vertical line: it is spread to both sides.
    step = min(_SIDE_STEP, 2 * _WIDEST_SHIFT / max(sum(steered), 1))
    number = 0
    for position, is_steered in enumerate(steered):
        if is_steered:
            side = 1 if number % 2 == 0 else -1
            found[position] = replace(found[position], shift=side * (number // 2 + 1) * step)
            number += 1
    return found


def _point(entry: Entry, cost: CostName, size: float) -> _Point | None:
    spread, accuracy = entry.spread(cost), entry.accuracy("top1")
    if spread is None or accuracy is None or spread.mean <= 0:
        return None
    half_width = None if accuracy.half_width is None else 100 * accuracy.half_width
    return _Point(spread.mean / size, 100 * accuracy.mean, half_width, spread.low / size, spread.high / size)


def _theirs(
    rows: Sequence[PublishedRow], by_flops: bool, size: float, measured: Sequence[Entry], facts: SuiteFacts
) -> list[_Series]:
    """Published rows under one entry of the legend a family of methods."""
    families: dict[str, list[_Point]] = {}
    for row in rows:
        cost = row.flops if by_flops else row.params
        if cost and row.top1:
            families.setdefault(row.family, []).append(_Point(cost / size, float(row.top1)))
    looks = published_looks(rows, measured, facts)
    return [_Series(f"{family} ‡", looks[family], "none", tuple(points)) for family, points in families.items()]


def published_looks(rows: Sequence[PublishedRow], measured: Sequence[Entry], facts: SuiteFacts) -> dict[str, Style]:
    """{family of published rows: its look}, that of our own method of that title where there is one."""
    from harness.registry import methods

    titles = {facts.method_title(name).casefold(): name for name in methods()}
    titles |= {facts.method_title(entry.cell.method).casefold(): entry.cell.method for entry in measured}
    whole = next((entry.cell.method for entry in measured if entry.is_whole), None)
    names = {
        family: whole if family == "Baseline" and whole else titles.get(family.casefold(), f"published {family}")
        for family in dict.fromkeys(row.family for row in rows)
    }
    looks = styles([*names.values(), *looks_of(measured).values()])
    return {family: looks[name] for family, name in names.items()}


def _draw(axes: Axes, one: _Series) -> Artist:
    from matplotlib.figure import Figure
    from matplotlib.transforms import offset_copy

    figure = axes.figure
    assert isinstance(figure, Figure)
    shifted = offset_copy(axes.transData, fig=figure, x=one.shift, y=0, units="points")
    _draw_bars(axes, one, shifted)
    (markers,) = axes.plot(
        [point.x for point in one.points],
        [point.y for point in one.points],
        linestyle="none",
        marker=one.style.marker,
        markersize=one.style.size,
        fillstyle=one.fill,
        color=one.style.colour,
        markerfacecoloralt="white",
        markeredgewidth=0.7,
        markeredgecolor="white" if one.fill == "full" else one.style.colour,
        zorder=4 if one.fill == "none" else 3,
        transform=shifted,
    )
    return markers


def _draw_bars(axes: Axes, one: _Series, shifted: Transform) -> None:
    """All bars as one line with gaps, all their ends as markers: a large table has thousands."""
    upright = [(point.x, point.y - point.bar, point.y + point.bar) for point in one.points if point.bar is not None]
    level = [(point.y, point.low, point.high) for point in one.points if point.is_wide]
    gap = float("nan")
    xs = [x for at, _, _ in upright for x in (at, at, gap)] + [x for _, *ends in level for x in (*ends, gap)]
    ys = [y for _, *ends in upright for y in (*ends, gap)] + [y for at, _, _ in level for y in (at, at, gap)]
    look: dict[str, Any] = {"color": one.style.colour, "zorder": 2, "transform": shifted}
    if xs:
        axes.plot(xs, ys, linewidth=0.7, solid_capstyle="butt", **look)
    if upright:
        ends = [(at, end) for at, *both in upright for end in both]
        axes.plot(*zip(*ends, strict=True), linestyle="none", marker="_", markersize=3, markeredgewidth=0.7, **look)


def _limits(axes: Axes, drawn: Sequence[_Series]) -> None:
    """Limits that hold every mean; an interval that is wider than all means are apart runs out of the picture."""
    points = [point for one in drawn for point in one.points]
    xs = [x for point in points for x in (point.x, point.low, point.high) if x > 0]
    ys = [point.y for point in points]
    # Room at both ends for a marker that is shifted by so many points.
    share = (6 + max(abs(one.shift) for one in drawn)) / (72 * _AXES_WIDTH)
    margin = max((max(xs) / min(xs)) ** (share / (1 - 2 * share)), 1.1)
    log_axis(axes, min(xs) / margin, max(xs) * margin)
    worst, best = min(ys), max(ys)
    span = max(best - worst, 1.0)
    low = min(max(point.y - (point.bar or 0.0), worst - 0.4 * span) for point in points)
    high = max(min(point.y + (point.bar or 0.0), best + 0.4 * span) for point in points)
    margin = max(0.05 * span, (1.0 - (high - low)) / 2)
    axes.set_ylim(low - margin, high + margin)
