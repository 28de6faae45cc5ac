"""Learning rates of a training: one an epoch, or one a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cosine:
    """A cosine that falls at every step: base / 2 · (1 + cos(π · (start + t) / horizon)) after t epochs.

    Attributes:
        base: at the start of the whole schedule.
        horizon: where it reaches zero, epochs.
        start: where in it this training begins, epochs.
        epochs: how long this training is.
    """

    base: float
    horizon: float
    start: float
    epochs: int

    def __len__(self) -> int:
        return self.epochs

    def at(self, time: float) -> float:
        """The rate of the step that begins after `time` epochs of this training."""
        return 0.5 * self.base * (1 + math.cos(math.pi * (self.start + time) / self.horizon))


Rates = Sequence[float] | Cosine
"""One learning rate an epoch, or a cosine that changes at every step."""


def rates_of(stated: Sequence[float] | Mapping[str, Any]) -> Rates:
    """The rates that a stage's configuration states."""
    if isinstance(stated, Mapping):
        return Cosine(**stated["cosine"], epochs=stated["epochs"])
    return stated


def in_epoch(rates: Rates, epoch: int) -> Callable[[float], float]:
    """The rate within an epoch, as a function of the share of the epoch that is done, 0 to below 1."""
    if isinstance(rates, Cosine):
        return lambda done: rates.at(epoch + done)
    rate = rates[epoch]
    return lambda done: rate
