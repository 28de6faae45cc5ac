"""What a search chooses from: the widths of the groups that may be cut, and which of them meet the budget."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from harness.channels.allocate import met
from harness.channels.project import Cost, projected, refuse_below, rounded_down, rounded_up

NEAR = 0.005
"""A miss of the budget that is not worth a search among neighbours, as a share of it."""


@dataclass(frozen=True)
class WidthSpace:
    """The widths that a search may choose, and what they cost.

    Attributes:
        sizes: {group: all its channels}, in network order.
        target: the budget as a count.
        cost: of a network of these widths, in the budget's metric.
        settled_cost: the same once all consequences are drawn: a removed branch, a stream's channel that nobody
            writes. What is budgeted.
        multiple: widths are multiples of it, or whole.
    """

    sizes: dict[str, int]
    target: int
    cost: Cost
    settled_cost: Cost
    multiple: int = 1

    @property
    def holds_everything(self) -> bool:
        """Whether the whole network meets the budget, so that there is nothing to search."""
        return self.cost(self.sizes) <= self.target

    def project(self, ratios: Mapping[str, float]) -> dict[str, int]:
        """The widths nearest to the budget on the ray of these ratios, so that every proposal of a search is feasible.

        Args:
            ratios: {group: above 0}; only their proportions count, so that a sampler may draw them as it likes.

        Raises:
            StageFailure: "out of reach" if the smallest widths cost more than the budget.
        """
        widths = projected(self.sizes, ratios, self.cost, self.target, self.multiple)
        if self.settled_cost(widths) == self.cost(widths):
            return self._nearer(widths)
        return met(
            lambda aim: projected(self.sizes, ratios, self.cost, aim, self.multiple), self.settled_cost, self.target
        )

    def _nearer(self, widths: dict[str, int]) -> dict[str, int]:
        """`widths`, or where they miss the budget by much, the nearest that is a step off in up to two groups.

        In a small network a single channel is some per cent of a budget.
        """
        if abs(self.cost(widths) - self.target) <= NEAR * self.target:
            return widths
        steps = [(name, up) for name in widths for up in (True, False)]
        found = [widths]
        for one, other in itertools.product(steps, repeat=2):
            if one[0] <= other[0]:
                moved = self._moved(widths, *one)
                found.append(moved if one == other else self._moved(moved, *other))
        best = min(found, key=lambda candidate: abs(self.cost(candidate) - self.target))
        return min([widths, best], key=lambda candidate: abs(self.settled_cost(candidate) - self.target))

    def narrowed(self, widths: Mapping[str, int], group: str, most: int) -> dict[str, int] | None:
        """`widths` with this group as wide as it may be for the network to cost at most `most`.

        Returns:
            Widths that are narrower in this group and alike in all others; None if even its smallest width costs more.
        """
        size, steps = self.sizes[group], -(-widths[group] // self.multiple)

        def at(step: int) -> dict[str, int]:
            return {**widths, group: rounded_down(step * self.multiple, size, self.multiple)}

        low, high = 1, steps  # a step at `high` and above is too wide, or no narrower than now
        if steps <= 1 or self.settled_cost(at(low)) > most:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.settled_cost(at(middle)) <= most else (low, middle)
        return at(low)

    def filled(self, widths: Mapping[str, int]) -> dict[str, int]:
        """`widths` with what they leave of the budget given back, a step at a time.

        The group that kept the smallest share comes first, again and again. At the end a step past the budget, or in
        small networks a step less in one group for one more in another, is taken if that is nearer to the budget.
        """
        best = dict(widths)
        while True:
            current = best
            best = self._wider(current)
            if best == current:
                break
        over = [self._moved(best, name, up=True) for name in best if best[name] < self.sizes[name]]
        best = min([best, *over], key=lambda candidate: abs(self.settled_cost(candidate) - self.target))
        return self._nearer(best) if self.settled_cost(best) == self.cost(best) else best

    def refuse_out_of_reach(self) -> None:
        """Raises StageFailure("out of reach") if the smallest widths cost more than the budget."""
        refuse_below(self.cost, {name: min(size, self.multiple) for name, size in self.sizes.items()}, self.target)

    def _wider(self, widths: dict[str, int]) -> dict[str, int]:
        """One step more in the narrowest group that has room for it within the budget; `widths` if none has."""
        for name in sorted(widths, key=lambda name: widths[name] / self.sizes[name]):
            if widths[name] < self.sizes[name]:
                raised = self._moved(widths, name, up=True)
                if self.settled_cost(widths) < self.settled_cost(raised) <= self.target:
                    return raised
        return widths

    def _moved(self, widths: dict[str, int], name: str, up: bool) -> dict[str, int]:
        """`widths` with a group one step wider or narrower, as far as it goes."""
        rounded, width = (rounded_up, widths[name] + 1) if up else (rounded_down, widths[name] - 1)
        return widths | {name: rounded(width, self.sizes[name], self.multiple)}
