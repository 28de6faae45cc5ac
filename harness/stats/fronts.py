"""Accuracy over cost as a whole: area under the curve, hypervolume, and who is on the Pareto front for sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.stats.intervals import t_quantile
from harness.stats.paired import SIGNIFICANCE, PairedTest, holm, one_sample, paired_test
from harness.stats.special import special

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]
    Counts = NDArray[np.intp]

Membership = Literal["on", "dominated", "undecided"]
Points = Sequence[tuple[float, float]]
"""(cost, accuracy) of the networks of one method and one seed, in any order; costs are above 0."""


def area(points: Points, low: float, high: float) -> float:
    """Mean accuracy over log cost between two costs: the area under the straight lines through the points, normalised.

    Args:
        points: of one method and seed; at least one on either side of the range (or on its end).
        low: the smaller cost.
        high: the larger one.

    Returns:
        In the unit of the accuracies.

    Raises:
        ValueError: the range is empty or reaches beyond the points.
    """
    import numpy as np
    from scipy.integrate import trapezoid

    merged: dict[float, list[float]] = {}
    for cost, accuracy in points:
        merged.setdefault(cost, []).append(accuracy)
    costs = sorted(merged)
    if not costs or not costs[0] <= low < high <= costs[-1]:
        raise ValueError(f"the points do not reach from {low:g} to {high:g}")
    heights = [sum(merged[cost]) / len(merged[cost]) for cost in costs]
    at = np.unique(np.log([low, *(cost for cost in costs if low < cost < high), high]))
    return float(trapezoid(np.interp(at, np.log(costs), heights), at) / (at[-1] - at[0]))


def common_range(a: Mapping[int, Points], b: Mapping[int, Points]) -> tuple[float, float] | None:
    """The costs that both methods reach in every shared seed: (smallest, largest); None if there are none."""
    seeds = a.keys() & b.keys()
    every = [[cost for cost, _ in of[seed]] for of in (a, b) for seed in seeds]
    if not every or not all(every):
        return None
    low, high = max(min(costs) for costs in every), min(max(costs) for costs in every)
    return (low, high) if low < high else None


def area_difference(a: Mapping[int, Points], b: Mapping[int, Points]) -> PairedTest | None:
    """The paired test of the areas of two methods over the costs that both reach; None if there are no such costs.

    Args:
        a: {seed: points}.
        b: {seed: points}.
    """
    between = common_range(a, b)
    if between is None:
        return None
    return one_sample([area(a[seed], *between) - area(b[seed], *between) for seed in sorted(a.keys() & b.keys())])


def hypervolume(points: Points, largest_cost: float, lowest_accuracy: float) -> float:
    """What the points dominate, in (decades of cost saved) × (accuracy gained); Zitzler and Thiele, PPSN 1998.

    Args:
        points: of one method and seed.
        largest_cost: of the reference point, mostly the whole network's; a point that costs more adds nothing.
        lowest_accuracy: of the reference point; a point below it adds nothing.
    """
    import numpy as np
    from moocore import hypervolume as measured

    if not points:
        return 0.0
    data = np.array([(np.log10(cost), accuracy) for cost, accuracy in points])
    return float(measured(data, ref=[np.log10(largest_cost), lowest_accuracy], maximise=[False, True]))


def hypervolume_difference(
    a: Mapping[int, Points], b: Mapping[int, Points], largest_cost: float, lowest_accuracy: float
) -> PairedTest | None:
    """The paired test of two methods' hypervolumes against one reference point; None if they share no seed."""
    return paired_test(
        {seed: hypervolume(points, largest_cost, lowest_accuracy) for seed, points in a.items()},
        {seed: hypervolume(points, largest_cost, lowest_accuracy) for seed, points in b.items()},
    )


@dataclass(frozen=True)
class Candidate:
    """A network of a method at one budget.

    Attributes:
        cost: mean over seeds.
        accuracy: {seed: value}.
    """

    cost: float
    accuracy: Mapping[int, float]


def memberships(
    candidates: Sequence[Candidate], tolerance: float = 0.01, significance: float = SIGNIFICANCE
) -> list[Membership]:
    """Whether each candidate is on the Pareto front of true means, dominated, or not to be told by these seeds.

    A candidate is *dominated* if one that costs no more is better, by the paired t-tests against all that cost no
    more, corrected by Holm; *on* the front if it is better than every one of them (each test must find it, so that
    none needs a correction: Berger's intersection-union test, Technometrics 24, 1982); else undecided. Costs are taken
    as exact.

    Args:
        candidates: all that share a table.
        tolerance: relative difference below which two costs are equal.
        significance: chance of a wrong "dominated", and of a wrong "on", for each candidate.
    """
    import numpy as np

    seeds = sorted({seed for candidate in candidates for seed in candidate.accuracy})
    order = sorted(range(len(candidates)), key=lambda position: candidates[position].cost)
    costs = np.array([candidates[position].cost for position in order])
    accuracies = np.array(
        [[candidates[position].accuracy.get(seed, np.nan) for position in order] for seed in seeds], dtype=float
    ).reshape(len(seeds), len(candidates))
    # By rising cost, so that whoever costs no more than a candidate stands before these ends.
    ends = np.searchsorted(costs, costs * (1 + tolerance), side="right")
    # A little below Student's quantiles, as what they say is asked of the p-values; up to one seed nothing is tested.
    quantiles = [t_quantile(n - 1, 1 - significance / 2) * (1 - 1e-9) for n in range(2, len(seeds) + 1)]
    least = np.array([np.inf, np.inf, *quantiles])
    found: dict[int, Membership] = {}
    for place, (position, end) in enumerate(zip(order, ends, strict=True)):
        t, n = _tested_at_once(accuracies[:, place, None] - np.delete(accuracies[:, :end], place, axis=1))
        found[position] = _membership(t, n, np.flatnonzero(np.abs(t) > least[n]), significance)
    return [found[position] for position in range(len(candidates))]


def _membership(t: Vector, n: Counts, telling: Counts, significance: float) -> Membership:
    """What the tests against all that cost no more say of one candidate.

    Args:
        t: [rivals] Student's t of the paired difference, candidate − rival; not a number where nothing was tested.
        n: [rivals] seeds that both have.
        telling: which of them are below the level without a correction.
        significance: the level.
    """
    import numpy as np

    p = 2 * special().stdtr(n[telling] - 1, -np.abs(t[telling]))
    behind = p[t[telling] < 0]
    if not behind.size:
        return "on" if telling.size == t.size and bool(np.all(p < significance)) else "undecided"
    # Holm finds the smallest of these whenever Bonferroni does, and no other of them without it, so that the
    # correction over all rivals, of which a large table has millions, is hardly ever needed.
    tests, smallest = np.count_nonzero(~np.isnan(t)), behind.min()
    if smallest * tests < significance:
        return "dominated"
    if smallest * (tests - np.count_nonzero(p < smallest)) >= significance:
        return "undecided"
    corrected = holm(
        [smallest, *np.delete(p, np.argmax((p == smallest) & (t[telling] < 0))), *[1.0] * (tests - p.size)]
    )
    return "dominated" if corrected[0] is not None and corrected[0] < significance else "undecided"


def _tested_at_once(differences: Matrix) -> tuple[Vector, Counts]:
    """Student's t of `paired_test` for many pairs at once.

    Args:
        differences: [seeds, pairs]; not a number where one of the two lacks the seed.

    Returns:
        ([pairs] t, not a number where nothing can be tested; [pairs] seeds that both have).
    """
    import numpy as np

    shared = ~np.isnan(differences)
    n = shared.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(shared, differences, 0).sum(axis=0) / n
        squares = np.where(shared, (differences - means) ** 2, 0).sum(axis=0)
        errors = np.sqrt(squares / (n - 1) / n)
        return np.where((n >= 2) & (errors > 1e-12), means / errors, np.nan), n
