"""Loss and accuracy by epoch, with the borders of the stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.report.entries import Entry
from harness.report.figure import legend_below, legend_shape, new_figure, place_axes
from harness.report.style import COLUMN_WIDTH, GREY, SMALL_FONT, shade, styles
from harness.report.table import Table
from harness.store.rows import CurvePoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_LINES = 8
_PANEL = 1.25
_STAGE_NAMES = {"dense": "dense", "compress": "search", "finetune": "fine-tuning"}
_DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.2), (4, 1, 1, 1), (1, 1))


def curves(table: Table) -> Figure | None:
    """Mean over seeds of the training loss and of the held-out accuracy; None if there is no curve.

    The accuracy is that on training images where a recipe trains on the held-out ones too.
    """
    from matplotlib.ticker import MaxNLocator

    shown = _chosen([entry for entry in table.entries if any(row.curve for row in entry.done)])
    if not shown:
        return None
    held_out = all(point.held_out_top1 is not None for entry in shown for row in entry.done for point in row.curve)
    labels = [table.title_of(entry) for entry in shown]
    _, legend_height = legend_shape(labels, COLUMN_WIDTH)
    bottom = legend_height + 0.4
    height = bottom + 2 * _PANEL + 0.1 + 0.22
    figure = new_figure(COLUMN_WIDTH, height)
    lower = place_axes(figure, 0.5, bottom, COLUMN_WIDTH - 0.6, _PANEL)
    upper = place_axes(figure, 0.5, bottom + _PANEL + 0.1, COLUMN_WIDTH - 0.6, _PANEL)
    colours, dashes = _looks(shown)
    handles = []
    longest = 0
    losses: list[float] = []
    for entry, colour, dash in zip(shown, colours, dashes, strict=True):
        epochs, loss, accuracy = _means(entry, held_out)
        longest = max(longest, *epochs)
        losses += loss
        for axes, values in ((upper, loss), (lower, accuracy)):
            (line,) = axes.plot(epochs, values, color=colour, linewidth=0.9)
            if dash:
                line.set_dashes(dash)
        handles.append(line)
    for axes in (upper, lower):
        axes.set_xlim(0.5, longest + 0.5)
        axes.grid(visible=False, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if min(losses) > 0:
        upper.set_yscale("log")
        _plain_log_ticks(upper, min(losses), max(losses))
    upper.tick_params(labelbottom=False)
    upper.set_ylabel("Training loss", labelpad=2)
    lower.set_ylabel("Held-out top-1 (%)" if held_out else "Training top-1 (%)", labelpad=2)
    lower.set_xlabel("Epoch", labelpad=2)
    _borders(upper, lower, shown)
    legend_below(figure, handles, labels)
    return figure


def _chosen(entries: Sequence[Entry]) -> list[Entry]:
    """Whole networks, then what methods chose themselves, then one point of each other method; eight at most."""
    whole = [entry for entry in entries if entry.is_whole]
    natural = [entry for entry in entries if entry.kind == "natural" and not entry.is_whole]
    room = _MOST_LINES - len(whole[:2])
    if len(natural) > room:
        natural = [natural[round(number * (len(natural) - 1) / (room - 1))] for number in range(room)]
    others: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        if entry.kind != "natural":
            others.setdefault((entry.cell.method, entry.kind), entry)
    return [*whole[:2], *natural, *others.values()][:_MOST_LINES]


def _means(entry: Entry, held_out: bool) -> tuple[list[int], list[float], list[float]]:
    """Epochs from 1, mean loss, mean accuracy in per cent, over the seeds that have a curve."""
    found: list[tuple[CurvePoint, ...]] = [row.curve for row in entry.done if row.curve]
    together = list(zip(*found, strict=False))
    epochs = [points[0].epoch + 1 for points in together]
    loss = [sum(point.loss for point in points) / len(points) for points in together]
    accuracy = [
        sum(100 * ((point.held_out_top1 or 0.0) if held_out else point.train_top1) for point in points) / len(points)
        for points in together
    ]
    return epochs, loss, accuracy


def _looks(shown: Sequence[Entry]) -> tuple[list[tuple[float, float, float]], list[tuple[float, ...]]]:
    """A colour a method, paler and differently dashed from one of its points to the next."""
    looks = styles(entry.cell.method for entry in shown)
    methods = [entry.cell.method for entry in shown]
    colours, dashes = [], []
    for number, method in enumerate(methods):
        before, all_of_it = methods[:number].count(method), methods.count(method)
        colours.append(shade(looks[method].colour, 0.65 * before / max(all_of_it - 1, 1)))
        dashes.append(_DASHES[before % len(_DASHES)])
    return colours, dashes


def _borders(upper: Axes, lower: Axes, shown: Sequence[Entry]) -> None:
    """Draws where stages end in the first shown cell that searches, and names the stages above the picture."""
    curve = next(
        (row.curve for entry in shown for row in entry.done if any(point.stage == "compress" for point in row.curve)),
        shown[0].done[0].curve,
    )
    stages: dict[str, list[int]] = {}
    for point in curve:
        stages.setdefault(point.stage, []).append(point.epoch + 1)
    for number, (stage, epochs) in enumerate(stages.items()):
        if number > 0:
            for axes in (upper, lower):
                axes.axvline(min(epochs) - 0.5, color=GREY, linewidth=0.6, linestyle=":")
        upper.annotate(
            _STAGE_NAMES.get(stage, stage),
            ((min(epochs) + max(epochs)) / 2, 1.0),
            (0, 2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=SMALL_FONT,
            color=GREY,
        )


def _plain_log_ticks(axes: Axes, low: float, high: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    from harness.report.figure import round_numbers

    axes.set_ylim(low / 1.1, high * 1.1)
    axes.yaxis.set_major_locator(FixedLocator(round_numbers(low / 1.1, high * 1.1)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
