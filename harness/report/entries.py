"""Rows gathered over seeds: one entry a printed line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from harness.report import numbers
from harness.report.facts import SuiteFacts
from harness.stats.intervals import Interval, mean_interval
from harness.store.rows import Row
from harness.suite.cell import Cell
from harness.suite.protocol import DEFAULT_TRACK, Scratch

Figure = Literal["macs", "params", "paper_flops", "paper_params", "training_macs", "device_seconds", "latency_seconds"]
Cost = Literal["macs", "params", "paper_flops", "paper_params"]
Kind = Literal["natural", "budget", "match", "widths", "scratch"]

SCRATCH_TITLES: dict[Scratch, str] = {"epochs": "epochs", "macs": "training MACs"}
STAGES = ("dense", "compress", "finetune")
NEARLY_EQUAL = 0.01
"""Relative difference of two costs below which they count as equal."""


@dataclass(frozen=True)
class Spread:
    """A figure over seeds, in its own unit."""

    mean: float
    low: float
    high: float

    @property
    def varies(self) -> bool:
        """Whether the seeds differ."""
        return self.low != self.high


@dataclass(frozen=True)
class Entry:
    """One point of the grid without its seed: one printed line.

    Attributes:
        point: number of the grid point, by which partners are found.
        title: what a table calls it.
        name: the title without its partner or budget.
        rows: all of the point, whatever their state, by seed.
        partner: the grid point whose MACs or widths it takes, or None.
        position: in the suite's order.
    """

    point: int
    title: str
    name: str
    rows: tuple[Row, ...]
    partner: int | None
    position: int

    @property
    def cell(self) -> Cell:
        """Of the first seed."""
        return self.rows[0].cell

    @cached_property
    def done(self) -> tuple[Row, ...]:
        """The measured rows."""
        return tuple(row for row in self.rows if row.state == "done" and row.top1 is not None)

    @cached_property
    def failed(self) -> tuple[Row, ...]:
        """The rows that ended without a figure."""
        return tuple(row for row in self.rows if row.state == "failed")

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Of the measured rows."""
        return tuple(row.cell.seed for row in self.done)

    @cached_property
    def kind(self) -> Kind:
        """What sets how much is cut."""
        if self.cell.scratch is not None:
            return "scratch"
        if self.cell.widths_of is not None:
            return "widths"
        if self.cell.match is not None:
            return "match"
        return "budget" if self.cell.budget is not None else "natural"

    @cached_property
    def is_whole(self) -> bool:
        """Whether the network is uncut in every seed."""
        return bool(self.done) and all(row.macs is not None and row.macs == row.dense_macs for row in self.done)

    @cached_property
    def _accuracies(self) -> dict[str, Interval | None]:
        return {}

    @cached_property
    def _spreads(self) -> dict[str, Spread | None]:
        return {}

    def by_seed(self, name: Literal["top1", "top5"]) -> dict[int, float]:
        """{seed: share} of the measured rows."""
        found = {row.cell.seed: getattr(row, name) for row in self.done}
        return {seed: value for seed, value in found.items() if value is not None}

    def accuracy(self, name: Literal["top1", "top5"]) -> Interval | None:
        """Mean share and its 95 % t-interval over seeds; None if no seed is measured."""
        if name not in self._accuracies:
            values = list(self.by_seed(name).values())
            self._accuracies[name] = mean_interval(values) if values else None
        return self._accuracies[name]

    @cached_property
    def held_out(self) -> Interval | None:
        """Mean share of held-out images classified right after the last epoch; None where they were trained on."""
        values = [row.curve[-1].held_out_top1 for row in self.done if row.curve]
        known = [value for value in values if value is not None]
        return mean_interval(known) if known else None

    @cached_property
    def best_test(self) -> Interval | None:
        """Mean over seeds of the best epoch's top-1 on the test images, shares; None where that was not recorded."""
        values = [best for row in self.done if (best := row.best_test) is not None]
        return mean_interval(values) if values else None

    def spread(self, name: Figure) -> Spread | None:
        """A cost over seeds; None if no seed has it."""
        if name not in self._spreads:
            values = [value for row in self.done if (value := getattr(row, name)) is not None]
            self._spreads[name] = Spread(sum(values) / len(values), min(values), max(values)) if values else None
        return self._spreads[name]

    def dense(self, name: Cost) -> float | None:
        """The same cost of the whole network."""
        values = [value for row in self.done if (value := getattr(row, f"dense_{name}")) is not None]
        return sum(values) / len(values) if values else None

    def ratio(self, name: Cost) -> float | None:
        """How many times less it costs than the whole network."""
        cost, dense = self.spread(name), self.dense(name)
        return dense / cost.mean if cost is not None and dense and cost.mean else None

    @cached_property
    def epochs(self) -> str:
        """Epochs by stage, such as "100+20+120", stages without any left out; "(+120)" are tried and not taken."""
        found = [(tuple(row.epochs.get(stage, 0) for stage in STAGES), row.tried_epochs) for row in self.done]
        texts = dict.fromkeys(
            "+".join(str(count) for count in stages if count) + (f" (+{tried})" if tried else "")
            for stages, tried in found
        )
        counts = sorted({row.tuning_epochs for row in self.done})
        tuning = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0] if counts and counts[0] else "")
        return " or ".join(text for text in texts if text) + (f" + {tuning} of tuning" if tuning else "")

    @cached_property
    def train_images(self) -> str:
        """How many images its weights were trained on."""
        counts = sorted({row.train_images for row in self.done if row.train_images is not None})
        return " or ".join(f"{images:,}" for images in counts)

    @property
    def cuts(self) -> str:
        """Which kinds of channel groups it may cut."""
        return ", ".join(self.cell.cuts)


def entries(rows: Sequence[Row], facts: SuiteFacts) -> list[Entry]:
    """Rows gathered over seeds, in the suite's order."""
    points = _GridPoints()
    gathered: dict[int, list[Row]] = {}
    for row in rows:
        gathered.setdefault(points.number(row.cell), []).append(row)
    titles = _Titles(facts, rows, points)
    found = []
    for position, (point, group) in enumerate(gathered.items()):
        cell = group[0].cell
        partner = cell.partner
        found.append(
            Entry(
                point=point,
                title=titles.title(cell),
                name=titles.name(cell),
                rows=tuple(sorted(group, key=lambda row: row.cell.seed)),
                partner=points.number(partner) if partner is not None else None,
                position=position,
            )
        )
    return found


def sorted_by_cost(found: Sequence[Entry]) -> list[Entry]:
    """Whole networks first, then by falling MACs; a control that met its partner's MACs comes right after it.

    Entries without a measured seed stand where their partner's MACs would put them, or last.
    """
    by_point = {entry.point: entry for entry in found}

    def place(entry: Entry) -> tuple[bool, float, int, bool, int]:
        partner = by_point.get(entry.partner) if entry.partner is not None else None
        own, theirs = entry.spread("macs"), partner.spread("macs") if partner is not None else None
        if theirs is not None and (own is None or abs(own.mean / theirs.mean - 1) <= NEARLY_EQUAL):
            before = partner.position if partner is not None else entry.position
            return (True, -theirs.mean, before, True, entry.position)
        return (not entry.is_whole, -own.mean if own is not None else 0.0, entry.position, False, entry.position)

    return sorted(found, key=place)


def sorted_by_held_out(found: Sequence[Entry]) -> list[Entry]:
    """By falling accuracy on the held-out images; entries without it last."""
    return sorted(found, key=lambda entry: -entry.held_out.mean if entry.held_out is not None else 1.0)


class _GridPoints:
    """Numbers the points of the grid: two cells that differ in nothing but the seed have one number."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._by_cell: dict[int, tuple[Cell, int]] = {}

    def number(self, cell: Cell) -> int:
        # Partners are shared by many cells, so that looking an object up saves most of the work; holding the cell
        # keeps its id from being given to another one.
        known = self._by_cell.get(id(cell))
        if known is not None:
            return known[1]
        tuned = cell.tuned
        key = (
            cell.backbone,
            cell.data,
            cell.method,
            # what a study chose is known of its own rows, not of cells that name them as partners
            json.dumps(cell.params if tuned is None else [tuned.study.name, tuned.rank], sort_keys=True),
            cell.solve,
            cell.recipe,
            cell.budget,
            None if cell.match is None else self.number(cell.match),
            (cell.allocate, cell.normalise, cell.profile),
            None if cell.widths_of is None else self.number(cell.widths_of),
            tuple(self.number(candidate) for candidate in cell.candidates if tuned is None),
            cell.cuts,
            cell.track,
            cell.scratch,
        )
        number = self._numbers.setdefault(key, len(self._numbers))
        self._by_cell[id(cell)] = (cell, number)
        return number


class _Titles:
    """What a table calls each grid point."""

    def __init__(self, facts: SuiteFacts, rows: Sequence[Row], points: _GridPoints) -> None:
        self._facts = facts
        self._points = points
        self._method_titles: dict[tuple[str, bool], str] = {}
        self._strengths: dict[int, tuple[str, float, float]] = {}
        self._by_method: dict[str, Counter[tuple[str, float]]] = {}
        self._names: dict[int, str] = {}
        self._settled = {
            points.number(row.cell): row.cell
            for row in rows
            if row.study is not None and row.cell.tuned is not None and row.cell.tuned.rank < len(row.study.best)
        }
        for row in rows:
            if row.strength is not None:
                self._strengths[points.number(row.cell)] = row.strength
                name, _, factor = row.strength
                self._by_method.setdefault(row.cell.method, Counter())[(name, factor)] += 1

    def title(self, cell: Cell) -> str:
        title = self.name(cell)
        if cell.widths_of is not None:
            title += f", widths of {self.title(cell.widths_of)}"
        if cell.match is not None:
            title += f" @ {self.title(cell.match)} MACs"
        elif cell.budget is not None:
            title += f" @ {budget_text(cell.budget.value, cell.budget.metric)}"
        return title

    def name(self, cell: Cell) -> str:
        point = self._points.number(cell)
        if point not in self._names:
            self._names[point] = self._made(self._settled.get(point, cell), point)
        return self._names[point]

    def _made(self, cell: Cell, point: int) -> str:
        kind = (cell.method, cell.widths_of is not None)
        if kind not in self._method_titles:
            named = self._facts.widths_title if cell.widths_of is not None else self._facts.method_title
            self._method_titles[kind] = named(cell.method)
        strength, factor = self._strength(cell, point)
        stated = []
        if cell.solve is not None:
            stated.append(f"{symbol(strength, is_scaled(factor))} solved for" if strength else "solved for")
        if cell.tuned is not None:
            study = cell.tuned.study
            stated.append(study.name if study.best == 1 else f"{study.name} {cell.tuned.rank + 1}")
        for name in cell.shown:
            if name not in cell.params or (cell.tuned is None and name == strength and cell.candidates):
                continue
            if cell.tuned is not None and point not in self._settled:
                continue  # what stands in for values that are not known yet
            scaled = name == strength and is_scaled(factor)
            value = cell.params[name]
            if cell.tuned is not None and isinstance(value, float):
                value = float(f"{value:.3g}")
            stated.append(f"{symbol(name, scaled)} = {numbers.plain(value)}")
        if cell.allocate == "global":
            stated.append("global allocation" + ("" if cell.normalise == "mean" else f", norm {cell.normalise}"))
        elif cell.allocate == "per_mac":
            stated.append("allocation per MAC")
        elif cell.profile is not None:
            stated.append(f"profile {cell.profile}")
        if cell.track != DEFAULT_TRACK:
            stated.append(cell.track)
        control = f", new weights for equal {SCRATCH_TITLES[cell.scratch]}" if cell.scratch is not None else ""
        return self._method_titles[kind] + (f" ({', '.join(stated)})" if stated else "") + control

    def _strength(self, cell: Cell, point: int) -> tuple[str | None, float]:
        """Name and factor of the strength; of a cell that is not measured, as in the method's other cells."""
        if point in self._strengths:
            name, _, factor = self._strengths[point]
            return name, factor
        if cell.method in self._by_method:
            (name, factor), _ = self._by_method[cell.method].most_common(1)[0]
            return name, factor
        return None, 1.0


def is_scaled(factor: float) -> bool:
    """Whether a strength was scaled to a recipe of another length, so that it is printed with a tilde."""
    return abs(factor - 1) > 1e-3


def symbol(name: str, scaled: bool = False) -> str:
    """A parameter as a table prints it: λ for `lambda_…`, with a tilde if scaled."""
    if name == "lambda" or name.startswith("lambda_"):
        return "λ̃" if scaled else "λ"
    return f"{name} (scaled)" if scaled else name


def budget_text(value: float, metric: str) -> str:
    """A budget as a table prints it: "50 % MACs" or "12.50 M MACs"."""
    what = "MACs" if metric == "macs" else metric
    if value <= 1:
        return f"{100 * value:g} % {what}"
    unit = numbers.unit_for([value])
    return f"{numbers.count(value, unit)} {unit.symbol} {what}".replace("  ", " ")
