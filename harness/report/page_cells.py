"""What the page says of each cell: its figures, how it was made, and the command that makes it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.report import numbers
from harness.report.cost_plot import STAGE_TITLES
from harness.report.facts import SuiteFacts
from harness.report.numbers import MISSING
from harness.store.rows import Row

_VERSIONS = ("torch", "torchvision", "ray")


@dataclass(frozen=True)
class CellPage:
    """The section of one cell.

    Attributes:
        identifier: of the section, unique in the page; made of a number alone.
        row: what is known of the cell.
        method: title of its method.
        command: runs this cell, and what it needs, again; one line for a shell. Empty if it is not known.
        figures: (name, text, sort key) in the order of the table's columns.
        asked: (name, text): what the suite asks for.
        provenance: (name, text): where and from what it was measured.
    """

    identifier: str
    row: Row
    method: str
    command: str
    figures: tuple[tuple[str, str, str], ...]
    asked: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]

    @property
    def label(self) -> str:
        """The cell's name."""
        return self.row.cell.label

    @property
    def has_charts(self) -> bool:
        """Whether there is anything to draw."""
        return bool(self.row.curve or self.row.widths)


FIGURES = ("Top-1 (%)", "Top-5 (%)", "MACs", "Params", "Training MACs", "Device time (s)")


def cell_pages(rows: Sequence[Row], facts: SuiteFacts, command: Sequence[str] = ()) -> list[CellPage]:
    """One a row, in order; `command` is what runs the suite."""
    titles = {row.cell.method: "" for row in rows}
    titles = {name: facts.method_title(name) for name in titles}
    return [
        CellPage(
            identifier=f"cell-{number}",
            row=row,
            method=titles[row.cell.method],
            command=shlex.join([*command, "--only", row.cell.label]) if command else "",
            figures=_figures(row),
            asked=_asked(row),
            provenance=provenance(row.provenance) + ((("content key", row.key),) if row.key else ()),
        )
        for number, row in enumerate(rows)
    ]


def provenance(known: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """(name, text) of all that a stage noted of its machine and its source."""
    told = []
    for name, value in known.items():
        if value is None or value == "":
            continue
        if isinstance(value, dict):
            text = ", ".join(f"{key} {each}" for key, each in value.items())
        elif isinstance(value, bool):
            text = "yes" if value else "no"
        elif isinstance(value, list | tuple):
            text = ", ".join(f"{each:.4g}" if isinstance(each, float) else str(each) for each in value)
        else:
            text = str(value)
        told.append((name.replace("_", " "), text))
    return tuple(told)


def _figures(row: Row) -> tuple[tuple[str, str, str], ...]:
    def share(value: float | None) -> tuple[str, str]:
        return (numbers.percent(value), repr(value)) if value is not None else (MISSING, "")

    def count(value: int | None) -> tuple[str, str]:
        if value is None:
            return MISSING, ""
        unit = numbers.unit_for([value])
        return f"{numbers.count(value, unit)} {unit.symbol}".rstrip(), str(value)

    seconds = (MISSING, "") if row.device_seconds is None else (f"{row.device_seconds:.1f}", repr(row.device_seconds))
    values = (share(row.top1), share(row.top5), count(row.macs), count(row.params), count(row.training_macs), seconds)
    return tuple((name, *value) for name, value in zip(FIGURES, values, strict=True))


def _asked(row: Row) -> tuple[tuple[str, str], ...]:
    cell = row.cell
    told = [("backbone", cell.backbone), ("data set", cell.data.name), ("seed", str(cell.seed))]
    told += [(f"parameter {name}", _value(value)) for name, value in cell.params.items()]
    if cell.budget is not None:
        told.append(("budget", str(cell.budget)))
    if cell.match is not None:
        told.append(("matches the MACs of", cell.match.label))
    if cell.widths_of is not None:
        told.append(("takes the widths of", cell.widths_of.label))
    told += [("may cut", ", ".join(cell.cuts)), ("allocation", cell.allocation), ("track", cell.track)]
    if cell.scratch is not None:
        told.append(("new weights for equal", "epochs" if cell.scratch == "epochs" else "training MACs"))
    if cell.tuned is not None:
        told.append(("parameters from", f"rank {cell.tuned.rank + 1} of study {cell.tuned.study.name}"))
    if row.target is not None:
        told.append(("target", f"{row.target:,} {row.target_metric}"))
    if row.strength is not None and abs(row.strength[2] - 1) > 1e-3:
        told.append((f"{row.strength[0]} as run", f"{row.strength[1]:g} × {row.strength[2]:.4g}"))
    for stage, epochs in row.epochs.items():
        spent = [f"{epochs} epochs"]
        if row.stage_macs.get(stage):
            spent.append(f"{row.stage_macs[stage]:,} MACs")
        if row.stage_seconds.get(stage):
            spent.append(f"{row.stage_seconds[stage]:.1f} s")
        told.append((STAGE_TITLES.get(stage, stage), ", ".join(spent)))
    return tuple(told)


def _value(value: object) -> str:
    return numbers.plain(value) if not isinstance(value, dict | list | tuple) else json.dumps(value, default=str)
