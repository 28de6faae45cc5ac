"""In a few words, where the time of an act goes, by torch's profiler: the notes of the benchmarks of training."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile

KINDS = (
    ("convolutions backward", ("conv", "backward")),
    ("convolutions forward", ("conv",)),
    ("batch norm", ("batch_norm",)),
    ("optimiser", ("sgd",)),
    ("linear layers", ("mm",)),
    ("pooling", ("pool",)),
)
"""(what it is called, words that an operator's name has); the first that fits."""

REST = "other operators"
BETWEEN = "between operators"


def kind_of(operator: str) -> str:
    """What an operator, as torch names it, counts as."""
    return next((kind for kind, words in KINDS if all(word in operator.lower() for word in words)), REST)


def shares(act: Callable[[], object]) -> dict[str, float]:
    """Shares of the act's wall time by kind, largest first; `BETWEEN` is what no operator accounts for.

    Args:
        act: run once unmeasured, once under the profiler. On the CPU.
    """
    act()
    began = time.perf_counter()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        began = time.perf_counter()
        act()
        wall = time.perf_counter() - began
    seconds: dict[str, float] = defaultdict(float)
    for event in profiled.key_averages():
        if event.key.startswith(("aten::", "mkldnn::")):
            seconds[kind_of(event.key)] += event.self_cpu_time_total / 1e6
    seconds[BETWEEN] = max(0.0, wall - sum(seconds.values()))
    whole = sum(seconds.values())
    return {kind: spent / whole for kind, spent in sorted(seconds.items(), key=lambda pair: -pair[1])}


def words(found: dict[str, float], least: float = 0.05) -> str:
    """The shares that matter as a phrase: "61 % convolutions backward, 22 % batch norm"."""
    return ", ".join(f"{100 * share:.0f} % {kind}" for kind, share in found.items() if share >= least)


def explained(act: Callable[[], object]) -> str:
    """`words` of `shares`."""
    return words(shares(act))
