"""A study: trials of a method's parameters that are judged on held-out images, and what is made of the best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from harness.suite.cell import Cell

Scalar = str | int | float | bool | None
Objective = Literal["top1", "macs", "params"]
DomainKind = Literal["loguniform", "uniform", "quniform", "randint", "choice"]


@dataclass(frozen=True)
class Domain:
    """What values a parameter may take, in the words and with the meaning of Ray Tune.

    Attributes:
        kind: "randint" leaves out its upper end, the others include it; "choice" has no order.
        values: the two ends (and the step of "quniform"), or the values to choose from.
    """

    kind: DomainKind
    values: tuple[Scalar, ...]

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(str(value) for value in self.values)})"


@dataclass(frozen=True)
class Stopping:
    """Asynchronous successive halving (Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020).

    Attributes:
        grace: epochs of fine-tuning after which a trial may first be stopped.
        reduction: of the trials that get as far as a rung, one in so many goes on.
    """

    grace: int
    reduction: int


@dataclass(frozen=True)
class Study:
    """Which parameters are tried, and how the trials are judged.

    Attributes:
        name: what cells that rest on it are called after.
        space: the parameters that vary, by name.
        objectives: held-out top-1 (as large as can be), executed MACs and parameters (as small as can be).
        trials: how many.
        best: how many configurations become cells at most.
        parallel: a trial is suggested from all outcomes but those of the `parallel` - 1 trials before it, so that so
            many can run at once and what is suggested depends on no machine.
        stopping: when a trial ends early, or None.
        seed: of the trials' weights and batches; None: the suite's first.
        trial: what each trial runs, but for the parameters of `space`; trained without the held-out images.
    """

    name: str
    space: tuple[tuple[str, Domain], ...]
    objectives: tuple[Objective, ...]
    trials: int
    best: int
    parallel: int
    stopping: Stopping | None
    seed: int | None
    trial: Cell


@dataclass(frozen=True)
class Tuned:
    """Which of a study's best configurations a cell has, from 0."""

    study: Study
    rank: int
