"""A cell: one point of the grid that a suite declares, with everything resolved."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from harness.suite.protocol import DEFAULT_TRACK, Scratch, Track, in_track
from harness.suite.recipe import Recipe

if TYPE_CHECKING:
    from harness.suite.study import Tuned

Cut = Literal["inner", "branch", "stream", "fc"]
DEFAULT_CUTS: tuple[Cut, ...] = ("inner", "branch")
_LONGEST = 40
"""Characters of a profile in a cell's name; a longer one is named by a digest."""


@dataclass(frozen=True)
class DataChoice:
    """A data set, or the first `train_images` of its training images in an order fixed once for all seeds."""

    name: str
    train_images: int | None = None


@dataclass(frozen=True)
class Budget:
    """A target cost.

    Attributes:
        metric: what is counted, on the executed network.
        value: at most 1: a fraction of the dense network's; above 1: the count itself.
    """

    metric: Literal["macs", "params"]
    value: float

    def absolute(self, dense: int) -> int:
        """The target as a count, given the dense network's count of the same metric."""
        return round(self.value * dense) if self.value <= 1 else round(self.value)

    def __str__(self) -> str:
        return f"{self.metric}={_short(self.value)}"


Mode = Literal["uniform", "global", "profile", "per_mac", "from"]
Norm = Literal["mean", "l2", "max", "none"]


@dataclass(frozen=True)
class Profile:
    """Pruning rates stated by hand.

    Attributes:
        rates: (pattern of groups' names, rate) of which the first that matches counts, or (None, rate) for each group
            in the network's order.
        most: the largest rate, where a budget multiplies all of them by one factor.
    """

    rates: tuple[tuple[str | None, float], ...]
    most: float = 1.0

    def __str__(self) -> str:
        parts = [_short(rate) if pattern is None else f"{pattern}:{_short(rate)}" for pattern, rate in self.rates]
        text = "/".join(parts) + ("" if self.most == 1 else f"/most:{_short(self.most)}")
        return text if len(text) <= _LONGEST else hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Solve:
    """A strength that is searched for until the natural outcome lands on the budget.

    Attributes:
        within: how far from the budget the outcome may be, as a share of it.
        searches: how many searches at most.
        start: the first strength that is tried.
    """

    within: float
    searches: int
    start: float


@dataclass(frozen=True)
class Cell:
    """One (backbone, data set, method with parameters, budget, seed).

    Attributes:
        params: the method's own parameters, validated, with defaults filled in, JSON values only.
        shown: names of the parameters that tell the method's cells apart (the table prints these).
        constant: names of those that the suite states for all of them alike (a note of the table has these).
        budget: a target cost, or None for a method's natural outcome.
        match: the cell whose executed MACs this one must meet; same seed, same backbone and data set.
        allocate: how much each layer keeps: "uniform", "global" (one threshold), "profile", "per_mac" (the lowest score
            for what it saves goes first), or "from" (the widths of `widths_of`).
        normalise: with allocate "global", what each group's scores are divided by.
        profile: with allocate "profile", the rates; without a budget just as they stand.
        widths_of: with allocate "from", the cell whose widths are taken.
        candidates: with a budget and a method whose cut is set by a strength: the natural cells, one a strength, of
            which the one that lands nearest above the budget is trimmed.
        cuts: which kinds of channel groups may be cut.
        solve: with a budget, how the strength is found; `params` then holds the first that is tried.
        tuned: the study that its parameters come from; until that has ended, `params` holds values to stand in.
        track: where its methods start from; `recipe` is as this track reads it (`harness.suite.protocol.in_track`).
        scratch: this cell is the control of `scratch_of`: its kept widths trained from new weights, for the same
            total of epochs or of training MACs.
        scratch_of: the cell that it controls, equal to this one in everything else.
    """

    backbone: str
    data: DataChoice
    method: str
    params: dict[str, Any]
    seed: int
    recipe: Recipe
    shown: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    budget: Budget | None = None
    match: Cell | None = None
    allocate: Mode = "uniform"
    widths_of: Cell | None = None
    candidates: tuple[Cell, ...] = ()
    cuts: tuple[Cut, ...] = DEFAULT_CUTS
    normalise: Norm = "mean"
    profile: Profile | None = None
    solve: Solve | None = None
    tuned: Tuned | None = None
    track: Track = DEFAULT_TRACK
    scratch: Scratch | None = None
    scratch_of: Cell | None = None

    @property
    def allocation(self) -> str:
        """The mode with what it takes: "global", "global:l2", "profile:conv*:0.5"."""
        if self.profile is not None:
            return f"{self.allocate}:{self.profile}"
        return self.allocate if self.normalise == "mean" else f"{self.allocate}:{self.normalise}"

    @property
    def partner(self) -> Cell | None:
        """The cell whose outcome this one waits for."""
        return self.scratch_of or self.match or self.widths_of

    def in_track(self, track: Track) -> Cell:
        """This cell, of the default track so far, in another one."""
        return replace(self, track=track, recipe=in_track(self.recipe, track))

    def from_scratch(self, mode: Scratch) -> Cell:
        """The control of this cell."""
        return replace(self, scratch=mode, scratch_of=self)

    @property
    def point(self) -> str:
        """What tells this cell from the others of its method: parameters, budget, allocation, cuts, track, control."""
        parts = [f"{name}={_short(self.params[name])}" for name in self.shown if name in self.params]
        if self.tuned is not None:  # what was found does not change a cell's name
            parts = [f"{self.tuned.study.name}={self.tuned.rank + 1}"]
        if self.solve is not None:
            parts.insert(0, "solved")
        if self.budget is not None:
            parts.append(str(self.budget))
        if self.match is not None:
            parts.append(f"match={self.match.variant}")
        if self.widths_of is not None:
            parts.append(f"widths={self.widths_of.variant}")
        elif self.allocate != "uniform":
            parts.append(f"allocate={self.allocation}")
        if self.cuts != DEFAULT_CUTS:
            parts.append(f"cuts={'+'.join(self.cuts)}")
        if self.track != DEFAULT_TRACK:
            parts.append(f"track={self.track}")
        if self.scratch is not None:
            parts.append(f"scratch={self.scratch}")
        return ",".join(parts)

    @property
    def variant(self) -> str:
        """Method and point, as `--only` patterns and messages name them: `l1_norm[match=dnal[lambda_a=1e-4]]`."""
        return f"{self.method}[{self.point}]" if self.point else self.method

    @property
    def label(self) -> str:
        """The cell's whole name: `vgg16/cifar10/l1_norm[match=dnal[lambda_a=0.0001]]/seed=0`."""
        return f"{self.backbone}/{self.data.name}/{self.variant}/seed={self.seed}"

    def __hash__(self) -> int:
        return hash((self.label, json.dumps(self.params, sort_keys=True)))


def _short(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    short = f"{value:g}"
    if float(short) == value:
        return short
    return str(int(value)) if value.is_integer() else repr(value)
