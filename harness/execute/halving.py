"""Asynchronous successive halving by the rule of Ray Tune's ASHAScheduler, for a run without Ray."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.suite.study import Stopping


def rungs(stopping: Stopping, epochs: int) -> list[int]:
    """The epochs after which trials are compared, rising; none lies beyond the last epoch."""
    found, rung = [], stopping.grace
    while rung <= epochs:
        found.append(rung)
        rung *= stopping.reduction
    return found


class Halving:
    """Decides after each epoch whether a trial goes on (Li et al., MLSys 2020, in the stopping variant).

    A trial that gets to a rung is stopped if it is worse than the best 1/`reduction` of those that were there before.
    """

    def __init__(self, stopping: Stopping, epochs: int) -> None:
        self._share = 100 * (1 - 1 / stopping.reduction)
        self._epochs = epochs
        self._rungs: list[tuple[int, dict[int, float]]] = [(rung, {}) for rung in reversed(rungs(stopping, epochs))]

    def replay(self, trial: int, curve: Sequence[float]) -> None:
        """Takes note of a trial of an earlier run: its accuracy after each epoch."""
        for epoch, value in enumerate(curve, start=1):
            self.stops(trial, epoch, value)

    def stops(self, trial: int, epoch: int, value: float) -> bool:
        """Whether a trial ends that has reached this accuracy (larger is better) after so many epochs, from 1."""
        if epoch >= self._epochs:
            return True
        for rung, reached in self._rungs:
            if epoch < rung or trial in reached:
                continue
            stops = bool(reached) and value < float(np.nanpercentile(list(reached.values()), self._share))
            reached[trial] = value
            return stops
        return False
