"""Which cell should start first: the one from which the longest way leads to the end of the run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from harness.plan.stages import Chain, Stage, outline
from harness.suite.cell import Cell


class LongestWays:
    """Training MACs on the longest way from each cell's first stage to the end of the run.

    A cell's stages that wait for each other are a way. From the stage that decides what is kept it goes on, too,
    through any cell that waits for the outcome (its MACs, its widths, a candidate of a trimming), through those that
    wait for that one, and so on. Where stages cannot be named yet, the plan's estimates stand in.
    """

    def __init__(self, cells: Sequence[Cell], chains: Mapping[str, Chain]) -> None:
        """Follows all ways.

        Args:
            chains: {label: stages as far as they can be named}, of every cell.
        """
        self._parts = {cell.label: _parts(chains[cell.label]) for cell in cells}
        self._waiting: dict[str, list[Cell]] = defaultdict(list)
        for cell in cells:
            for other in waits_for(cell):
                self._waiting[other.label].append(cell)
        self._onwards: dict[str, int] = {}

    def __getitem__(self, label: str) -> int:
        """Of the cell of that name."""
        return self._parts[label][0] + self._from_decision(label)

    def _from_decision(self, label: str) -> int:
        if label not in self._onwards:
            _, decision, after = self._parts[label]
            ways = [self._from_decision(other.label) for other in self._waiting[label]]
            self._onwards[label] = decision + max([after, *ways])
        return self._onwards[label]


def waits_for(cell: Cell) -> tuple[Cell, ...]:
    """The cells whose outcome must be known before this one can decide what it keeps."""
    return cell.candidates if cell.partner is None else (cell.partner, *cell.candidates)


def _parts(chain: Chain) -> tuple[int, int, int]:
    """Training MACs up to the stage that decides, of that stage, and after it, each along the longest way."""
    named = list(chain.own_stages)
    unnamed = [] if chain.measure is not None or chain.blocked is not None else outline(chain.cell)
    stages = named + unnamed
    place = next((n for n, stage in enumerate(stages) if stage.key == chain.deciding), len(named) if unnamed else 0)
    if place >= len(stages):
        return 0, 0, 0
    before, decision, after = stages[:place], stages[place], stages[place + 1 :]
    return _longest(before), decision.training_macs, _longest(after)


def _longest(stages: Iterable[Stage]) -> int:
    """The longest way through stages that are given parents first."""
    reached: dict[str, int] = {}
    for stage in stages:
        reached[stage.key] = stage.training_macs + max((reached.get(key, 0) for key in stage.parents), default=0)
    return max(reached.values(), default=0)
