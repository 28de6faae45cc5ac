"""How sure a mean over a few seeds is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from harness.stats.special import special


@dataclass(frozen=True)
class Interval:
    """A mean and the half-width of its confidence interval.

    Attributes:
        mean: in the unit of the values.
        half_width: in the same unit; None for a single value, which says nothing about its spread.
        n: how many values.
    """

    mean: float
    half_width: float | None
    n: int

    def scaled(self, factor: float) -> Interval:
        """The interval in another unit."""
        half_width = None if self.half_width is None else self.half_width * abs(factor)
        return Interval(self.mean * factor, half_width, self.n)

    @property
    def low(self) -> float:
        """The lower end; the mean itself for a single value."""
        return self.mean - (self.half_width or 0.0)

    @property
    def high(self) -> float:
        """The upper end; the mean itself for a single value."""
        return self.mean + (self.half_width or 0.0)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean and its two-sided interval by Student's t.

    The interval covers the true mean with the stated confidence if the values are independent and normal, at any n.

    Args:
        values: one a seed; at least one.
        confidence: between 0 and 1.

    Raises:
        ValueError: there is no value, or the confidence is none.
    """
    n = len(values)
    if n == 0:
        raise ValueError("an interval needs at least one value")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Interval(mean, t_quantile(n - 1, (1 + confidence) / 2) * math.sqrt(variance / n), n)


def next_mean_interval(values: Sequence[float], count: int, confidence: float = 0.95) -> Interval:
    """Where the mean of `count` further runs lies, by Student's t: the prediction interval of a future mean.

    Its half-width is t s sqrt(1/count + 1/n): it holds the uncertainty of the stored mean and that of the new one
    (G. J. Hahn, Factors for calculating two-sided prediction intervals, JASA 64, 1969).

    Args:
        values: one a stored seed; at least two.
        count: how many further runs are averaged; at least one.
        confidence: between 0 and 1.

    Raises:
        ValueError: there are too few values or runs, or the confidence is none.
    """
    if len(values) < 2 or count < 1:
        raise ValueError(f"{count} further runs cannot be foreseen from {len(values)} values")
    interval = mean_interval(values, confidence)
    assert interval.half_width is not None
    return Interval(interval.mean, interval.half_width * math.sqrt(1 + interval.n / count), interval.n)


def paired_difference(a: Mapping[int, float], b: Mapping[int, float], confidence: float = 0.95) -> Interval | None:
    """The interval of the per-seed differences a - b, over the seeds that both have; None if they share none.

    Runs of one seed share initial weights and batches, so that much of their noise cancels in the difference.

    Args:
        a: {seed: value}.
        b: {seed: value}.
        confidence: between 0 and 1.
    """
    shared = sorted(a.keys() & b.keys())
    return mean_interval([a[seed] - b[seed] for seed in shared], confidence) if shared else None


@lru_cache
def t_quantile(degrees: int, probability: float) -> float:
    """The quantile of Student's t with `degrees` degrees of freedom."""
    return float(special().stdtrit(degrees, probability))  # as scipy.stats.t.ppf
