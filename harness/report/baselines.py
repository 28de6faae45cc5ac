"""The whole networks of a paper's tables: what they cost by our count, beside what the paper printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.backbones.catalogue import BACKBONES
from harness.data.catalogue import DATA_SETS
from harness.errors import UserError, unknown
from harness.plan.costs import NetworkCost, network_cost
from harness.report.markdown import escape
from harness.report.numbers import MISSING, as_printed
from harness.report.published import PublishedRow, data_title, published_papers, published_tables

PAPER = "dnal_2022"
"""The paper whose counting rule `paper_flops` and `paper_params` follow."""

_HEADER = (
    "Backbone",
    "Data set",
    "paper_flops",
    "printed",
    "paper_params",
    "printed",
    "agrees",
    "Executed MACs",
    "All parameters",
)
_WORDS = 2


@dataclass(frozen=True)
class Baseline:
    """One table's whole network.

    Attributes:
        table: which table of the paper, such as "CIFAR-10 / VGG16".
        backbone: name of our network; empty if there is none of that title.
        dataset: name of our data set; empty likewise.
        printed: the table's baseline row.
        cost: by our count; None where it cannot be counted.
        problem: why not.
    """

    table: str
    backbone: str
    dataset: str
    printed: PublishedRow
    cost: NetworkCost | None
    problem: str = ""

    @property
    def agrees(self) -> bool:
        """Whether every count that the paper printed is ours, rounded to the digits that it printed."""
        if self.cost is None:
            return False
        pairs = (
            (self.cost.paper_flops, self.printed.flops_printed),
            (self.cost.paper_params, self.printed.params_printed),
        )
        return all(as_printed(count, printed) == printed for count, printed in pairs if printed)


def baselines(count: Callable[[str, str], NetworkCost] = network_cost, folder: Path | None = None) -> list[Baseline]:
    """The baselines of all tables of the paper, in its order.

    Args:
        count: gives what a network costs: (backbone, data set) → cost.
        folder: of the published rows; default: those that ship with the harness.

    Raises:
        UserError: the paper's rows are not there.
    """
    papers = published_papers(folder)
    if PAPER not in papers:
        raise UserError(unknown("published paper", PAPER, papers))
    found = [
        (table, next((row for row in rows if row.method == "Baseline"), None))
        for table, rows in published_tables(papers[PAPER]).items()
    ]

    def counted(entry: tuple[tuple[str, str], PublishedRow]) -> Baseline:
        (data, title), row = entry
        table = f"{data} / {title}"
        names = _names(data, title)
        if names is None:
            return Baseline(table, "", "", row, None, f"no backbone is called {title} and fits {data}")
        try:
            return Baseline(table, *names, row, count(*names))
        except UserError as error:
            return Baseline(table, *names, row, None, str(error))

    return [counted((table, row)) for table, row in found if row is not None]


def baselines_markdown(found: Sequence[Baseline]) -> str:
    """The table as Markdown."""
    below = (*[":---"] * _WORDS, *["---:"] * (len(_HEADER) - _WORDS))
    lines = [tuple(f"`{name}`" if name.startswith("paper_") else name for name in _HEADER), below]
    for one in found:
        names = (f"`{one.backbone}`", f"`{one.dataset}`") if one.backbone else (escape(one.table), MISSING)
        lines.append((*names, *map(escape, _cells(one)[_WORDS:])))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def baselines_text(found: Sequence[Baseline]) -> str:
    """The table for a terminal."""
    lines = [_HEADER, *map(_cells, found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER))]
    return "".join(
        "  ".join(
            cell.ljust(width) if column < _WORDS else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        + "\n"
        for line in lines
    )


def baseline_records(found: Sequence[Baseline]) -> list[dict[str, Any]]:
    """One record a baseline: counts as numbers, what was printed as text."""
    nothing = dict.fromkeys(NetworkCost.__annotations__)
    return [
        {
            "table": one.table,
            "backbone": one.backbone,
            "dataset": one.dataset,
            **(asdict(one.cost) if one.cost is not None else nothing),
            "flops_printed": one.printed.flops_printed,
            "params_printed": one.printed.params_printed,
            "agrees": one.agrees,
            "problem": one.problem,
        }
        for one in found
    ]


def _names(data: str, title: str) -> tuple[str, str] | None:
    """(backbone, data set) that a table's names stand for."""
    for declared in DATA_SETS.values():
        if declared.title == data_title(data):
            for name, entry in BACKBONES.items():
                if entry.title == title and entry.fits(declared):
                    return name, declared.name
    return None


def _cells(one: Baseline) -> tuple[str, ...]:
    cost = one.cost
    return (
        one.backbone or one.table,
        one.dataset or MISSING,
        f"{cost.paper_flops:,}" if cost is not None else MISSING,
        one.printed.flops_printed or MISSING,
        f"{cost.paper_params:,}" if cost is not None else MISSING,
        one.printed.params_printed or MISSING,
        "yes" if one.agrees else "NO",
        f"{cost.macs:,}" if cost is not None else MISSING,
        f"{cost.params:,}" if cost is not None else MISSING,
    )
