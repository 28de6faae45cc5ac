"""Accuracy over cost: what a smaller network loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from harness.report import numbers
from harness.report.entries import Cost, Entry
from harness.report.facts import Axis, SuiteFacts
from harness.report.figure import legend_below, legend_shape, log_axis, new_figure, place_axes
from harness.report.notes import common_cuts
from harness.report.published import PublishedRow
from harness.report.style import COLUMN_WIDTH, GREY, Style, styles
from harness.report.table import Table
from harness.stats.pareto import front
from harness.suite.cell import DEFAULT_CUTS

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 2.1
_AXES_WIDTH = COLUMN_WIDTH - 0.68
_SIDE_STEP = 2.4
"""Points between networks of equal cost, which are drawn side by side."""
_WIDEST_SHIFT = 11.0


@dataclass(frozen=True)
class _Series:
    """Points under one entry of the legend; costs in the axis's unit, accuracies in per cent."""

    label: str
    style: Style
    fill: Literal["full", "left", "none"]
    points: tuple[tuple[float, float, float | None], ...]
    shift: float = 0.0


def pareto(table: Table, axis: Axis, facts: SuiteFacts) -> Figure | None:
    """Mean top-1 over cost, one marker a method, with 95 % intervals; None if nothing is measured.

    Published rows are drawn hollow where they are comparable; costs then follow the published counting rule.
    """
    cost: Cost = axis
    measured = [entry for entry in table.entries if entry.done]
    printed = any(row.flops if axis == "macs" else row.params for row in table.beside)
    if printed and all(entry.spread("paper_flops") and entry.spread("paper_params") for entry in measured):
        cost = "paper_flops" if axis == "macs" else "paper_params"
    by_paper = cost in ("paper_flops", "paper_params")
    unit = numbers.unit_for(spread.mean for entry in measured if (spread := entry.spread(cost)) is not None)
    ours = _ours(measured, cost, unit, facts)
    if not ours:
        return None
    series = ours + (_theirs(table.beside, axis, unit, measured, facts) if by_paper else [])
    labels = [one.label for one in series] + ["Pareto front of the means"]
    _, legend_height = legend_shape(labels, COLUMN_WIDTH)
    bottom = legend_height + 0.4
    figure = new_figure(COLUMN_WIDTH, _HEIGHT + bottom)
    axes = place_axes(figure, 0.6, bottom, _AXES_WIDTH, _HEIGHT - 0.08)
    means = [(x, y) for one in ours for x, y, _ in one.points]
    edge = [means[position] for position in front(means)]
    xs, ys = [x for x, _ in edge], [y for _, y in edge]
    handles: list[Artist] = [_draw(axes, one) for one in series]
    handles += axes.plot(xs, ys, drawstyle="steps-post", color=GREY, linewidth=0.7, linestyle="--", zorder=1)
    _limits(axes, series)
    heading = {"macs": "Executed MACs", "params": "Parameters"}
    if by_paper:
        heading = {"macs": "FLOPs by the paper's rule", "params": "Parameters by the paper's rule"}
    axes.set_xlabel(f"{unit.named(heading[axis])}, log scale", labelpad=2)
    axes.set_ylabel("Top-1 (%)", labelpad=2)
    legend_below(figure, handles, labels)
    return figure


def _ours(measured: Sequence[Entry], cost: Cost, unit: numbers.Unit, facts: SuiteFacts) -> list[_Series]:
    cuts_differ = common_cuts(measured) is None
    tracks_differ = len({entry.cell.track for entry in measured}) > 1
    drawn_as = _drawn_as(measured)
    looks = styles(drawn_as.values())
    gathered: dict[tuple[str, bool, str, str, str | None], list[Entry]] = {}
    for entry in sorted(measured, key=lambda entry: entry.position):
        cell = entry.cell
        is_control = cell.widths_of is not None or cell.scratch is not None
        key = (cell.method, is_control, drawn_as[entry.point], cell.track, cell.scratch)
        gathered.setdefault(key, []).append(entry)
    found: list[_Series] = []
    steered: list[bool] = []
    for (method, is_control, look, track, scratch), group in gathered.items():
        label = facts.method_title(method)
        partner = group[0].cell.widths_of
        if is_control and partner is not None:
            label = f"{facts.widths_title(method)}, {facts.method_title(partner.method)} widths"
        if scratch is not None:
            label += f", new weights ({'equal epochs' if scratch == 'epochs' else 'equal training MACs'})"
        if tracks_differ:
            label += f" ({track})"
        if cuts_differ and not group[0].is_whole:
            label += f" ({group[0].cuts})"
        points = tuple(point for entry in group if (point := _point(entry, cost, unit)) is not None)
        if points:
            found.append(_Series(label, looks[look], "left" if is_control else "full", points))
            steered.append(all(entry.kind != "natural" for entry in group))
    # What was driven to a budget or to a partner's cost would lie on one vertical line: it is spread to both sides.
    step = min(_SIDE_STEP, 2 * _WIDEST_SHIFT / max(sum(steered), 1))
    number = 0
    for position, is_steered in enumerate(steered):
        if is_steered:
            side = 1 if number % 2 == 0 else -1
            found[position] = replace(found[position], shift=side * (number // 2 + 1) * step)
            number += 1
    return found


def _drawn_as(measured: Sequence[Entry]) -> dict[int, str]:
    """{grid point: what has one look}: the method; where the points differ in cuts, unusual ones are told apart."""
    alike = common_cuts(measured) is not None
    return {
        entry.point: entry.cell.method
        if alike or entry.is_whole or entry.cell.cuts == DEFAULT_CUTS
        else f"{entry.cell.method} {entry.cuts}"
        for entry in measured
    }


def _point(entry: Entry, cost: Cost, unit: numbers.Unit) -> tuple[float, float, float | None] | None:
    spread, accuracy = entry.spread(cost), entry.accuracy("top1")
    if spread is None or accuracy is None or spread.mean <= 0:
        return None
    half_width = None if accuracy.half_width is None else 100 * accuracy.half_width
    return spread.mean / unit.size, 100 * accuracy.mean, half_width


def _theirs(
    rows: Sequence[PublishedRow], axis: Axis, unit: numbers.Unit, measured: Sequence[Entry], facts: SuiteFacts
) -> list[_Series]:
    """Published rows, in the style of our own run of the same method where there is one."""
    titles = {facts.method_title(entry.cell.method).casefold(): entry.cell.method for entry in measured}
    whole = next((entry.cell.method for entry in measured if entry.is_whole), None)
    families: dict[str, list[tuple[float, float, float | None]]] = {}
    for row in rows:
        cost = row.flops if axis == "macs" else row.params
        if cost and row.top1:
            families.setdefault(row.family, []).append((cost / unit.size, float(row.top1), None))
    names = {
        family: whole if family == "Baseline" and whole else titles.get(family.casefold(), f"published {family}")
        for family in families
    }
    looks = styles([*names.values(), *_drawn_as(measured).values()])
    return [_Series(f"{family} ‡", looks[names[family]], "none", tuple(points)) for family, points in families.items()]


def _draw(axes: Axes, one: _Series) -> Artist:
    from matplotlib.figure import Figure
    from matplotlib.transforms import offset_copy

    figure = axes.figure
    assert isinstance(figure, Figure)
    shifted = offset_copy(axes.transData, fig=figure, x=one.shift, y=0, units="points")
    barred = [(x, y, bar) for x, y, bar in one.points if bar is not None]
    if barred:
        axes.errorbar(
            [x for x, _, _ in barred],
            [y for _, y, _ in barred],
            yerr=[bar for _, _, bar in barred],
            fmt="none",
            ecolor=one.style.colour,
            elinewidth=0.7,
            capsize=1.5,
            capthick=0.7,
            zorder=2,
            transform=shifted,
        )
    (markers,) = axes.plot(
        [x for x, _, _ in one.points],
        [y for _, y, _ in one.points],
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


def _limits(axes: Axes, series: Sequence[_Series]) -> None:
    """Limits that hold every mean; an interval that is wider than all means are apart runs out of the picture."""
    points = [point for one in series for point in one.points]
    xs, ys = [x for x, _, _ in points], [y for _, y, _ in points]
    # Room at both ends for a marker that is shifted by so many points.
    share = (6 + max(abs(one.shift) for one in series)) / (72 * _AXES_WIDTH)
    margin = max((max(xs) / min(xs)) ** (share / (1 - 2 * share)), 1.1)
    log_axis(axes, min(xs) / margin, max(xs) * margin)
    span = max(max(ys) - min(ys), 1.0)
    low = min(max(y - (bar or 0.0), min(ys) - 0.4 * span) for _, y, bar in points)
    high = max(min(y + (bar or 0.0), max(ys) + 0.4 * span) for _, y, bar in points)
    margin = max(0.05 * span, (1.0 - (high - low)) / 2)
    axes.set_ylim(low - margin, high + margin)
