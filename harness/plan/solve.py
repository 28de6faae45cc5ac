"""Finds the strength whose natural outcome lands on a budget: which one is tried next, given those that were tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.method import Method

GROWTH = 4.0
"""Factor from one strength to the next while all outcomes are on one side of the budget; squared each time."""
SMALLEST_STEP = 1.002
"""Strengths nearer to each other than this factor are not told apart."""


@dataclass(frozen=True)
class Try:
    """One search: the strength, and what its outcome costs in the budget's metric."""

    strength: float
    cost: int


@dataclass(frozen=True)
class Solution:
    """How a strength was found.

    Attributes:
        target: the budget as a count.
        within: how far from it the outcome may be, as a share of it.
        tries: in the order in which they were made.
    """

    target: int
    within: float
    tries: tuple[Try, ...]

    @property
    def best(self) -> Try:
        """The try nearest to the budget; the first of equals."""
        return min(self.tries, key=lambda each: abs(each.cost - self.target))

    @property
    def reached(self) -> bool:
        """Whether it is near enough."""
        return abs(self.best.cost - self.target) <= self.within * self.target

    @property
    def monotone(self) -> bool:
        """Whether the cost only falls, or only rises, with the strength."""
        costs = [each.cost for each in sorted(self.tries, key=lambda each: each.strength)]
        return costs in (sorted(costs), sorted(costs, reverse=True))


def next_strength(found: Solution, start: float, limits: tuple[float, float], most: int) -> float | None:
    """The strength to search with next, or None if the budget is met or no further search would help.

    Bisection in the logarithm of the strength. While all outcomes lie on one side of the budget, the range grows; then
    the two neighbours that have the budget between them are halved, or divided where a power law through both meets
    the budget if the step before has at least halved their range.

    Args:
        found: what was tried so far.
        start: the first to try.
        limits: smallest and largest strength that the method takes.
        most: how many searches there may be.
    """
    tried = {each.strength for each in found.tries}
    if not tried:
        return start
    if found.reached or len(found.tries) >= most:
        return None
    points = sorted(found.tries, key=lambda each: each.strength)
    bracket = _bracket(points, found.target)
    wanted = _beyond(points, found.target, limits) if bracket is None else _between(*bracket, found)
    if wanted is None:
        return None
    rounded = float(f"{wanted:.4g}")
    return None if rounded in tried else rounded


def limits_of(method: type[Method]) -> tuple[float, float]:
    """The smallest and the largest value above 0 that a method's strength may have, as its parameters declare."""
    assert method.strength is not None
    low, high = 0.0, math.inf
    for bound in method.Params.model_fields[method.strength].metadata:
        low = max(low, *(float(getattr(bound, name)) for name in ("ge", "gt") if hasattr(bound, name)), low)
        high = min(high, *(float(getattr(bound, name)) for name in ("le", "lt") if hasattr(bound, name)), high)
    return low, high


def _bracket(points: Sequence[Try], target: int) -> tuple[Try, Try] | None:
    """The nearest two neighbours on different sides of the budget; several pairs if the cost is not monotone."""
    pairs = [(one, other) for one, other in pairwise(points) if (one.cost > target) != (other.cost > target)]
    return min(pairs, key=lambda pair: pair[1].strength / pair[0].strength, default=None)


def _between(low: Try, high: Try, found: Solution) -> float | None:
    span = math.log(high.strength / low.strength)
    if span < math.log(SMALLEST_STEP):
        return None
    share = 0.5
    if _halved(low, high, found) and min(low.cost, high.cost) > 0:
        share = math.log(low.cost / found.target) / math.log(low.cost / high.cost)
        share = min(0.9, max(0.1, share))
    return low.strength * math.exp(span * share)


def _halved(low: Try, high: Try, found: Solution) -> bool:
    """Whether the last try has at least halved the range in which the budget lies (or was the first to find one)."""
    last = found.tries[-1]
    before = sorted(found.tries[:-1], key=lambda each: each.strength)
    bracket = _bracket(before, found.target)
    if bracket is None:
        return True
    if last not in (low, high):
        return False
    return math.log(high.strength / low.strength) <= 0.5 * math.log(bracket[1].strength / bracket[0].strength) * 1.001


def _beyond(points: Sequence[Try], target: int, limits: tuple[float, float]) -> float | None:
    """A strength outside those that were tried, on the side where the budget should be; None if that is the end."""
    low, high = points[0], points[-1]
    falls = high.cost <= low.cost  # what a strength does until something else was seen
    upwards = (low.cost > target) == falls
    factor = GROWTH ** (2 ** (len(points) - 1))
    above, below = min(high.strength * factor, limits[1]), max(low.strength / factor, limits[0])
    sides = [above, below] if upwards else [below, above]
    if high.cost != low.cost:
        sides = sides[:1]
    elif len(points) % 2 == 0:
        sides = sides[::-1]  # nothing changed on the side that was tried last
    return next((side for side in sides if side > 0 and side not in (low.strength, high.strength)), None)
