"""What the rooms of `bench.faults` share: the world that faults are injected into, and a line of the table."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.processes import Unbroken, done_twice, numbers, started_after_done


@dataclass(frozen=True)
class Tally:
    """A line of the table.

    Attributes:
        lost: how much work was done again at most.
    """

    fault: str
    injected: int
    survived: int
    lost: str
    note: str = ""


@dataclass(frozen=True)
class World:
    """Where faults are injected.

    Attributes:
        folder: for results, gone at the end.
        plugins: a folder of methods that misbehave.
        moments: draws when a fault comes.
        quick: few of each kind.
        unbroken: a short suite and its numbers.
        patient: a suite of 18 cells whose method takes as long as its environment says.
    """

    folder: Path
    plugins: Path
    moments: random.Random
    quick: bool
    unbroken: Unbroken
    patient: Path

    def count(self, full: int) -> int:
        """How many to inject where the full form injects `full`."""
        return 1 if self.quick else full

    def whole(self, results: Path) -> bool:
        """Whether the short suite ended in the unbroken run's numbers, and nothing was done twice."""
        return self.same_numbers(results) and not started_after_done(results) and not done_twice(results)

    def same_numbers(self, results: Path) -> bool:
        """Whether the short suite ended in the unbroken run's numbers."""
        return numbers(self.unbroken.suite, results) == self.unbroken.numbers


Fault = Callable[[], Tally]
