"""Accuracy over cost as a whole: area under the curve, hypervolume, and who is on the Pareto front for sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.stats.paired import SIGNIFICANCE, PairedTest, holm, one_sample, paired_test

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
    from scipy.special import stdtr

    seeds = sorted({seed for candidate in candidates for seed in candidate.accuracy})
    costs = np.array([candidate.cost for candidate in candidates])
    accuracies = np.array(
        [[candidate.accuracy.get(seed, np.nan) for seed in seeds] for candidate in candidates], dtype=float
    ).reshape(len(candidates), len(seeds))
    found: list[Membership] = []
    for number, own in enumerate(accuracies):
        rivals = np.flatnonzero(costs <= costs[number] * (1 + tolerance))
        rivals = rivals[rivals != number]
        # The tests of paired_test for all rivals at once: a table of a thousand rows has tens of thousands of them.
        differences = own - accuracies[rivals]
        shared = ~np.isnan(differences)
        n = shared.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(shared, differences, 0).sum(axis=1) / n
            squares = np.where(shared, (differences - means[:, None]) ** 2, 0).sum(axis=1)
            errors = np.sqrt(squares / (n - 1) / n)
            p = 2 * stdtr(n - 1, -np.abs(means) / errors)
        decided = (n >= 2) & (errors > 1e-12)
        corrected = holm([float(value) if known else None for value, known in zip(p, decided, strict=True)])
        behind = [mean < 0 and p is not None and p < significance for mean, p in zip(means, corrected, strict=True)]
        if any(behind):
            found.append("dominated")
        else:
            found.append("on" if bool(np.all(decided & (p < significance) & (means > 0))) else "undecided")
    return found
