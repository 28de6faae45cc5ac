"""Whether two methods differ: the paired t-test over seeds, Holm's correction, and what n seeds could have shown."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from harness.stats.intervals import Interval, mean_interval, t_quantile
from harness.stats.lazily import lazily
from harness.stats.special import special

Verdict = Literal["win", "tie", "loss"]
SIGNIFICANCE = 0.05
POWER = 0.8


@dataclass(frozen=True)
class PairedTest:
    """Two methods on the seeds that both have.

    Attributes:
        difference: of the per-seed differences a - b, in the unit of the values.
        p: two-sided, of Student's paired t-test of "no difference", not corrected; None for a single seed and where
            all differences are equal: neither says how much seeds vary.
        detectable: the smallest true difference that these seeds would show with a probability of 80 %, judged by
            how much their differences vary; None where p is None.
    """

    difference: Interval
    p: float | None
    detectable: float | None


def paired_test(a: Mapping[int, float], b: Mapping[int, float]) -> PairedTest | None:
    """Compares two methods seed by seed; None if they share no seed.

    Runs of one seed share initial weights and batches, so that much of their noise cancels in the difference. The
    test is exact if the differences are independent and normal, at any n.

    Args:
        a: {seed: value}.
        b: {seed: value}.
    """
    seeds = sorted(a.keys() & b.keys())
    return one_sample([a[seed] - b[seed] for seed in seeds]) if seeds else None


def one_sample(differences: Sequence[float]) -> PairedTest:
    """The test of "the mean is 0"; at least one value."""
    found = mean_interval(differences)
    # Differences of equal accuracies differ in their last bits; that is no variation that a test could rest on.
    scale = max(1.0, *map(abs, differences))
    if found.half_width is None or max(differences) - min(differences) <= 1e-12 * scale:
        return PairedTest(found, None, None)
    error = found.half_width / t_quantile(found.n - 1, 1 - SIGNIFICANCE / 2)
    p = 2 * float(special().stdtr(found.n - 1, -abs(found.mean) / error))  # as scipy.stats.ttest_1samp
    return PairedTest(found, p, smallest_detectable(error * math.sqrt(found.n), found.n))


def smallest_detectable(deviation: float, n: int, power: float = POWER, significance: float = SIGNIFICANCE) -> float:
    """The smallest true difference that a two-sided paired t-test over n seeds finds with the given probability.

    The test statistic follows a noncentral t; the chance to find the difference with the wrong sign is left out (it is
    below 1e-5 of the power from 50 % on).

    Args:
        deviation: standard deviation of the per-seed differences.
        n: seeds, at least 2.
        power: probability to find it.
        significance: of the test.

    Raises:
        ValueError: fewer than two seeds, which can show no difference, however large.
    """
    if n < 2:
        raise ValueError("a single seed can show no difference")
    return _noncentrality(n - 1, power, significance) * deviation / math.sqrt(n)


@lru_cache
def _noncentrality(degrees: int, power: float, significance: float) -> float:
    return float(special().nctdtrinc(degrees, 1 - power, t_quantile(degrees, 1 - significance / 2)))


def holm(probabilities: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for how many they are, in the given order (Holm, Scandinavian Journal of Statistics 6, 1979).

    The chance of at least one false find among all of them stays below the level that the corrected values are held
    against, however they depend on one another. A None is no test and counts for none.

    Raises:
        ValueError: a value is not between 0 and 1.
    """
    known = [(position, p) for position, p in enumerate(probabilities) if p is not None]
    if any(not 0 <= p <= 1 for _, p in known):
        raise ValueError("a probability is not between 0 and 1")
    corrected: list[float | None] = list(probabilities)
    if len(known) < 2:
        return corrected
    with lazily("scipy.stats", "scipy.linalg"):  # more than half of the import, and nothing here needs it
        from statsmodels.stats.multitest import multipletests

    with _no_collection():
        found = multipletests([p for _, p in known], method="holm")[1]
    for (position, _), p in zip(known, found, strict=True):
        corrected[position] = float(p)
    return corrected


@contextmanager
def _no_collection() -> Iterator[None]:
    """Collecting garbage finds nothing to look at meanwhile: statsmodels does so in every call, a tenth of a second."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def verdict(difference: float, corrected: float | None, significance: float = SIGNIFICANCE) -> Verdict:
    """Who is ahead, by the corrected p-value: a tie unless it is below the level."""
    if corrected is None or corrected >= significance or difference == 0:
        return "tie"
    return "win" if difference > 0 else "loss"
