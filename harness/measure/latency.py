"""Times the forward pass of networks, turn by turn, so that what slows the device slows them all alike."""

from __future__ import annotations

import copy
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

MOST_PASSES = 2_000
"""Forward passes of one network that are timed at most."""

_ROUNDS = 12
_WARM_UP = 3


@dataclass(frozen=True)
class Run:
    """How to run the networks: see `harness.store.latencies.Settings`."""

    batch: int
    device: str = "cpu"
    threads: int = 1
    channels_last: bool = True
    compiled: bool = False


@dataclass(frozen=True)
class Timed:
    """What was timed of one network.

    Attributes:
        seconds: of each forward pass, in the order in which they ran.
        peak_memory: bytes above what was in use before the first pass; None where it cannot be read.
        drift: median of the session's last third over that of its first third; one figure for all networks that were
            timed turn by turn.
    """

    seconds: list[float] = field(default_factory=list)
    peak_memory: int | None = None
    drift: float = 1.0

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Seconds."""
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high


def time_networks(
    networks: Mapping[str, nn.Module], example: Tensor, run: Run, seconds: float = 1.0
) -> dict[str, Timed]:
    """Times each network's forward pass in evaluation mode without gradients.

    Compiled networks are timed one after the other, not turn by turn: torch keeps what it compiled for a class of
    networks under one roof, looks through it in every pass, and runs the ninth as it is, without a word.

    Args:
        networks: left as they are.
        example: one image [1, C, H, W]; every pass sees `run.batch` copies of it.
        seconds: how long each network is timed, warm-up not counted; at least `12` passes.

    Returns:
        {name: what was timed}.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(run.threads)
    try:
        with torch.inference_mode():
            if not run.compiled:
                return _timed(networks, example, run, seconds)
            found: dict[str, Timed] = {}
            for name, network in networks.items():
                torch.compiler.reset()
                found |= _timed({name: network}, example, run, seconds)
            torch.compiler.reset()
            return found
    finally:
        torch.set_num_threads(before)


def _timed(networks: Mapping[str, nn.Module], example: Tensor, run: Run, seconds: float) -> dict[str, Timed]:
    images = example.expand(run.batch, *example.shape[1:]).contiguous().to(run.device)
    if run.channels_last:
        images = images.to(memory_format=torch.channels_last)
    passes: dict[str, Callable[[], object]] = {}
    found: dict[str, Timed] = {}
    counts: dict[str, int] = {}
    for name, network in networks.items():
        passes[name] = _pass(network, images, run)
        once, memory = _warm_up(passes[name], run.device)
        found[name] = Timed(peak_memory=memory)
        wanted = int(seconds / _ROUNDS / max(once, 1e-9))
        counts[name] = max(1, min(MOST_PASSES // _ROUNDS, wanted))
    for _ in range(_ROUNDS):
        for name, one in passes.items():
            found[name].seconds.extend(_clocked(one, run.device) for _ in range(counts[name]))
    drift = _drift([timed.seconds for timed in found.values()])
    return {name: replace(timed, drift=drift) for name, timed in found.items()}


def _pass(network: nn.Module, images: Tensor, run: Run) -> Callable[[], object]:
    placed = copy.deepcopy(network).eval().to(run.device)
    if run.channels_last:
        placed = placed.to(memory_format=torch.channels_last)
    call: Callable[[Tensor], object] = torch.compile(placed) if run.compiled else placed
    return lambda: call(images)


def _warm_up(one: Callable[[], object], device: str) -> tuple[float, int | None]:
    """(seconds of a pass once warm, bytes that a pass takes at its highest)."""
    one()
    memory = peak_memory(one, device)
    return min(_clocked(one, device) for _ in range(_WARM_UP)), memory


def peak_memory(one: Callable[[], object], device: str) -> int | None:
    """The most bytes that tensors made by a call take at once; None where the profiler saw none."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        one()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    from torch.profiler import ProfilerActivity, profile

    with _silent(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        one()
    assert profiler.profiler is not None
    found = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    in_use = itertools.accumulate(event.nbytes() for event in sorted(found, key=lambda event: event.start_ns()))
    return max(in_use, default=None)


@contextmanager
def _silent() -> Iterator[None]:
    """What C++ code writes to stderr is dropped: torch's profiler logs its starts and stops there."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _clocked(one: Callable[[], object], device: str) -> float:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        began = time.perf_counter()
        one()
        torch.cuda.synchronize()
    else:
        began = time.perf_counter()
        one()
    return time.perf_counter() - began


def _drift(series: Sequence[Sequence[float]]) -> float:
    """How much slower the last third of all passes was than the first; the middle one over networks."""
    ratios = []
    for times in series:
        third = max(1, len(times) // 3)
        ratios.append(statistics.median(times[-third:]) / statistics.median(times[:third]))
    return statistics.median(ratios)
