"""How often the 95 % intervals hold the truth, by simulation: `python -m tests.stats.coverage > docs/coverage.md`.

Every figure comes from the functions that make the tables, on seeds drawn like a benchmark's: a network's true accuracy
varies from seed to seed, a part of that variation is shared by both methods of a seed, and 10,000 test images add their
own noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from harness.stats.fronts import Candidate, Points, area_difference, hypervolume_difference, memberships
from harness.stats.intervals import Interval, mean_interval
from harness.stats.paired import holm, one_sample, smallest_detectable

SEEDS = (2, 3, 5, 10)
IMAGES = 10_000
SHARED, OWN = 0.002, 0.002
"""Standard deviations of a network's true accuracy: what the methods of a seed share, and what each has for itself."""

Accuracies = NDArray[np.float64]


def measured(generator: np.random.Generator, truths: list[float], samples: int, n: int) -> Accuracies:
    """[samples, methods, seeds] accuracies on a test split, of methods with the given true means."""
    shared = generator.normal(0, SHARED, (samples, 1, n))
    own = generator.normal(0, OWN, (samples, len(truths), n))
    true = np.clip(np.array(truths)[:, None] + shared + own, 0, 1)
    return generator.binomial(IMAGES, true) / IMAGES


def _holds(found: Interval, truth: float) -> bool:
    return found.low <= truth <= found.high


def means(n: int, samples: int = 4000) -> float:
    """Share of intervals of a mean that hold it."""
    drawn = measured(np.random.default_rng(n), [0.93], samples, n)[:, 0].tolist()
    return float(np.mean([_holds(mean_interval(values), 0.93) for values in drawn]))


def differences(n: int, samples: int = 4000) -> float:
    """Share of intervals of a paired difference that hold it."""
    drawn = measured(np.random.default_rng(100 + n), [0.931, 0.93], samples, n)
    found = [one_sample(values).difference for values in (drawn[:, 0] - drawn[:, 1]).tolist()]
    return float(np.mean([_holds(interval, 0.001) for interval in found]))


def detected(n: int, samples: int = 4000) -> float:
    """How often the test finds a true difference that is exactly the smallest detectable one."""
    difference = smallest_detectable(1.0, n)
    drawn = np.random.default_rng(200 + n).normal(difference, 1.0, (samples, n)).tolist()
    return float(np.mean([(one_sample(values).p or 1.0) < 0.05 for values in drawn]))


def false_finds(n: int, samples: int = 1000, methods: int = 6) -> float:
    """How often, of 15 comparisons of 6 equal methods, at least one survives Holm's correction."""
    drawn = measured(np.random.default_rng(300 + n), [0.93] * methods, samples, n)
    pairs = list(itertools.combinations(range(methods), 2))
    wrong = 0
    for sample in drawn:
        corrected = holm([one_sample((sample[a] - sample[b]).tolist()).p for a, b in pairs])
        wrong += any(p is not None and p < 0.05 for p in corrected)
    return wrong / samples


COSTS = (0.1, 0.25, 0.5)
UPPER, LOWER = (0.90, 0.92, 0.93), (0.895, 0.918, 0.929)


def _two_curves(n: int, seed: int, samples: int) -> list[tuple[dict[int, Points], dict[int, Points]]]:
    """[sample](method a, method b), each {seed: three points}."""
    drawn = measured(np.random.default_rng(seed + n), [*UPPER, *LOWER], samples, n)

    def points(accuracies: Accuracies) -> dict[int, Points]:
        return {number: list(zip(COSTS, accuracies[:, number].tolist(), strict=True)) for number in range(n)}

    return [(points(sample[:3]), points(sample[3:])) for sample in drawn]


def areas(n: int, samples: int = 1000) -> float:
    """Share of intervals of the difference of two areas under the curve that hold it."""
    upper, lower = ({0: list(zip(COSTS, heights, strict=True))} for heights in (UPPER, LOWER))
    truth = area_difference(upper, lower)
    assert truth is not None
    found = [area_difference(*sample) for sample in _two_curves(n, 400, samples)]
    return float(np.mean([test is not None and _holds(test.difference, truth.difference.mean) for test in found]))


def hypervolumes(n: int, samples: int = 1000) -> float:
    """Share of intervals of the difference of two hypervolumes that hold its mean over very many seeds."""

    truth = _volume_difference(*_two_curves(4_000, 500, 1)[0]).mean
    found = [_volume_difference(*sample) for sample in _two_curves(n, 600, samples)]
    return float(np.mean([_holds(interval, truth) for interval in found]))


def _volume_difference(a: dict[int, Points], b: dict[int, Points]) -> Interval:
    test = hypervolume_difference(a, b, 1.0, 0.8)
    assert test is not None
    return test.difference


FRONT = ((0.1, 0.90), (0.25, 0.92), (0.25, 0.91), (0.5, 0.925), (0.5, 0.9195))
"""(cost, true accuracy); the third and the fifth are dominated."""


def wrong_memberships(n: int, samples: int = 500) -> float:
    """The largest share, over five points of a front, of samples that call a point on the front dominated, or so."""
    truth = ["on", "on", "dominated", "on", "dominated"]
    drawn = measured(np.random.default_rng(700 + n), [accuracy for _, accuracy in FRONT], samples, n)
    wrong = np.zeros(len(FRONT))
    for sample in drawn:
        candidates = [
            Candidate(cost, dict(enumerate(values.tolist()))) for (cost, _), values in zip(FRONT, sample, strict=True)
        ]
        wrong += [found not in ("undecided", true) for found, true in zip(memberships(candidates), truth, strict=True)]
    return float(wrong.max()) / samples


TABLE: tuple[tuple[str, str, Callable[[int], float]], ...] = (
    ("interval of a mean", "holds it", means),
    ("interval of a paired difference", "holds it", differences),
    ("interval of a difference of areas", "holds it", areas),
    ("interval of a difference of hypervolumes", "holds it", hypervolumes),
    ("smallest detectable difference", "is found (80 % is meant)", detected),
    ("Holm over 15 comparisons of equal methods", "finds any (at most 5 % is meant)", false_finds),
    ("membership of a front", "is wrong, at the worst point (at most 5 % is meant)", wrong_memberships),
)

HEAD = """# How often the statistics are right

What `python -m tests.stats.coverage` prints; `tests/stats/test_coverage.py` makes it anew. Seeds are drawn as a
benchmark's are: a network's true accuracy varies by 0.2 points of what both methods of a seed share and by 0.2 points
of its own (standard deviations), and 10,000 test images add their noise. All figures are per cent of the samples.

With two seeds hardly anything survives a correction: accuracies come in steps of one image, so that two differences are
either equal, which is no test, or too far apart.
"""


def coverage_markdown() -> str:
    """The page."""
    lines = [
        HEAD,
        f"| what | in how many cases it | {' | '.join(f'n = {n}' for n in SEEDS)} |",
        "|---|---|" + "---:|" * len(SEEDS),
    ]
    for what, when, share in TABLE:
        lines.append(f"| {what} | {when} | {' | '.join(f'{100 * share(n):.1f}' for n in SEEDS)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(coverage_markdown(), end="")
