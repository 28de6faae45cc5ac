"""Widths by a profile: a pruning rate for each group, stated by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from harness.channels.graph import ChannelGroup
from harness.channels.project import Cost, scaled_widths
from harness.errors import StageFailure, nearest

Stated = Sequence[tuple[str | None, float]]
"""Rates in the order in which they are stated: (pattern of groups' names, rate), or (None, rate) by position."""


def rates_of(stated: Stated, groups: Sequence[ChannelGroup]) -> dict[str, float]:
    """{group: pruning rate}: that of the first pattern that matches its name, or that of its position.

    A group that no pattern matches is kept whole.

    Raises:
        StageFailure: "invalid network" if a pattern matches no group that may be cut, or if there are not as many rates
            by position as groups.
    """
    names = [group.name for group in groups]
    if any(pattern is None for pattern, _ in stated):
        if len(stated) != len(groups):
            raise StageFailure(
                "invalid network",
                f"the profile has {len(stated)} rates, and {len(groups)} groups may be cut: {', '.join(names)}",
            )
        return {name: rate for name, (_, rate) in zip(names, stated, strict=True)}
    for pattern, _ in stated:
        if not any(fnmatchcase(name, pattern or "") for name in names):
            meant = nearest(pattern or "", names)
            hint = f"did you mean {meant!r}?" if meant else f"there are: {', '.join(names)}"
            raise StageFailure("invalid network", f"the profile's {pattern!r} matches no group that may be cut; {hint}")
    return {name: next((rate for pattern, rate in stated if fnmatchcase(name, pattern or "")), 0.0) for name in names}


def stated_widths(groups: Sequence[ChannelGroup], rates: Mapping[str, float]) -> dict[str, int]:
    """Widths without the share that each rate says, rounded up; one channel stays in any case."""
    # The small addend keeps a rate of exactly k / size from falling to k - 1 in floating point.
    return {group.name: max(1, group.size - int(rates[group.name] * group.size + 1e-9)) for group in groups}


def profile_widths(
    groups: Sequence[ChannelGroup], rates: Mapping[str, float], most: float, cost: Cost, target: int
) -> dict[str, int]:
    """Widths by rates min(most, s · rate), with one factor s for all groups such that the cost is nearest the target.

    What rounding leaves of the budget goes to the groups that it cost most, as in `uniform_widths`.

    Args:
        rates: {group: pruning rate at s = 1}, of all groups; a group of rate 0 stays whole.
        most: the largest rate; one channel a group stays in any case.

    Raises:
        StageFailure: "out of reach" if the largest rates leave more than the target.
    """
    sizes = {group.name: group.size for group in groups}
    if cost(sizes) <= target:
        return sizes
    largest = {name: min(most, 1 - 1 / size) if rates[name] > 0 else 0.0 for name, size in sizes.items()}

    def wanted(scale: float) -> dict[str, float]:
        factor = 1 / scale - 1 if scale > 0 else math.inf
        gone = {name: min(largest[name], factor * rates[name]) if rates[name] > 0 else 0.0 for name in sizes}
        return {name: size * (1 - gone[name]) for name, size in sizes.items()}

    floor = cost({name: max(1, int(width + 1e-9)) for name, width in wanted(0.0).items()})
    if floor > target:
        raise StageFailure(
            "out of reach", f"with the largest rates of the profile the cost is {floor:,}; target {target:,}"
        )
    return scaled_widths(sizes, wanted, cost, target)
