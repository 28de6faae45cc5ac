"""How much each layer keeps so that a budget is met.

A cost is any function {group: width} → count that grows with every width; absent groups are whole.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from harness.channels.choose import best_channels, best_channels_within, refuse_nan, spread
from harness.channels.graph import ChannelGroup, KeptChannels
from harness.channels.project import Cost, projected, refuse_below
from harness.errors import StageFailure

__all__ = [
    "Cost",
    "best_channels",
    "best_channels_within",
    "global_kept",
    "met",
    "normalised",
    "per_cost_kept",
    "refilled",
    "spread",
    "trim",
    "trim_whole",
    "uniform_widths",
]

Selection = TypeVar("Selection")

_ATTEMPTS = 32


def uniform_widths(groups: Sequence[ChannelGroup], cost: Cost, target: int) -> dict[str, int]:
    """Widths of the same ratio in every group, to within one channel, whose cost is nearest to the target.

    The ratio is the largest at which all widths rounded down meet the target. What is left of the budget goes, a
    channel a group, to the groups that rounding cost most.

    Args:
        target: the count to meet; the whole network is given for a target that is not below its cost.

    Returns:
        {group: width}, each from 1 to the group's size.

    Raises:
        StageFailure: "out of reach" if one channel a group costs more than the target.
    """
    sizes = {group.name: group.size for group in groups}
    return projected(sizes, dict.fromkeys(sizes, 1.0), cost, target)


def met(choose: Callable[[int], Selection], count: Callable[[Selection], int], target: int) -> Selection:
    """The selection nearest to a target where it costs less than its widths say, because channels go with others.

    Args:
        choose: the selection whose widths cost about a given count.
        count: what a selection really costs.
    """
    best = candidate = choose(target)
    under, over = target, 0  # counts to aim at; 0: none that leads above the target is known
    aim = target
    for _ in range(_ATTEMPTS):
        missing = target - count(candidate)
        if abs(missing) < abs(target - count(best)):
            best = candidate
        if missing > 0:
            under = aim
        else:
            over = aim
        following = (under + over) // 2 if over else 2 * aim - target + missing
        if missing == 0 or over == target or following in (under, over):
            break
        aim = following
        candidate = choose(aim)
    return best


def normalised(scores: Mapping[str, Tensor], groups: Sequence[ChannelGroup], norm: str) -> dict[str, Tensor]:
    """Scores that can be compared between groups: each group's in float64, divided by a measure of their size.

    Args:
        norm: "mean" or "max" of the absolute values, "l2" (their root of the sum of squares), or "none".

    Raises:
        StageFailure: "diverged" if a score is not a number.
    """
    refuse_nan(scores)
    measure: dict[str, Callable[[Tensor], Tensor]] = {
        "mean": lambda values: values.abs().mean(),
        "max": lambda values: values.abs().amax(),
        "l2": lambda values: values.square().sum().sqrt(),
        "none": torch.ones_like,
    }
    relative: dict[str, Tensor] = {}
    for group in groups:
        values = scores[group.name].detach().cpu().double()
        size = measure[norm](values)
        relative[group.name] = values / size if bool((size > 0).all()) else values
    return relative


def global_kept(
    scores: Mapping[str, Tensor], groups: Sequence[ChannelGroup], cost: Cost, target: int, norm: str = "mean"
) -> KeptChannels:
    """The channels above one threshold for all groups, set so that the cost is nearest to the target.

    A group's best channel always stays. What the threshold leaves of the budget goes to the best channels below it
    that still fit. Where a stream is cut too, its branches keep as many channels as are above the threshold, but of
    those that the stream keeps.

    Args:
        scores: {group: [channels]}; all of `groups`.
        norm: how they are made comparable, see `normalised`.

    Raises:
        StageFailure: "out of reach" if one channel a group costs more than the target; "diverged" if a score is not a
            number.
    """
    sizes = {group.name: group.size for group in groups}
    relative = normalised(scores, groups, norm)
    everything: KeptChannels = {name: tuple(range(size)) for name, size in sizes.items()}
    if cost(sizes) <= target:
        return everything
    refuse_below(cost, dict.fromkeys(sizes, 1), target)
    order = _weakest_first(relative, everything)

    def widths(removed: int) -> dict[str, int]:
        left = dict(sizes)
        for name, _ in order[:removed]:
            left[name] -= 1
        return left

    low, high = 0, len(order)  # removing `low` channels costs too much, removing `high` does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(widths(middle)) <= target else (middle, high)
    over, under = _without(everything, order[:low]), _refilled(everything, order[:high], cost, target)
    return _within_streams(relative, groups, min((under, over), key=lambda kept: abs(cost(_widths(kept)) - target)))


def per_cost_kept(
    scores: Mapping[str, Tensor], groups: Sequence[ChannelGroup], cost: Cost, target: int
) -> KeptChannels:
    """Takes away, again and again, the channel whose score is lowest for what its going saves, until that is enough.

    Scores are divided by the mean of their absolute values in the group. What a channel saves is counted at the widths
    that the network has when it goes. A group's best channel always stays; what the last one leaves of the budget goes
    to the best that still fit. Streams and branches as in `global_kept`.

    Args:
        scores: {group: [channels]}; all of `groups`.

    Raises:
        StageFailure: "out of reach" if one channel a group costs more than the target; "diverged" if a score is not a
            number.
    """
    widths = {group.name: group.size for group in groups}
    relative = normalised(scores, groups, "mean")
    everything: KeptChannels = {name: tuple(range(size)) for name, size in widths.items()}
    now = cost(widths)
    if now <= target:
        return everything
    refuse_below(cost, dict.fromkeys(widths, 1), target)
    goes: dict[str, list[int]] = {name: [] for name in widths}
    for name, channel in _weakest_first(relative, everything):
        goes[name].append(channel)
    values = {name: tensor.tolist() for name, tensor in relative.items()}

    def price(name: str) -> float:
        saved = now - cost(widths | {name: widths[name] - 1})
        value: float = values[name][goes[name][0]]
        return value / saved if saved > 0 else float("-inf")  # a branch wider than its stream: nothing goes

    # Savings shrink with the widths, so that prices only rise: an old one is a lower bound, and one that is still the
    # lowest after it was brought up to date is the lowest of all.
    waiting = [(price(name), place, name) for place, name in enumerate(widths) if goes[name]]
    heapq.heapify(waiting)
    order: list[tuple[str, int]] = []
    while now > target:
        _, place, name = heapq.heappop(waiting)
        entry = (price(name), place, name)
        if waiting and waiting[0] < entry:
            heapq.heappush(waiting, entry)
            continue
        order.append((name, goes[name].pop(0)))
        widths[name] -= 1
        now = cost(widths)
        if goes[name]:
            heapq.heappush(waiting, (price(name), place, name))
    over, under = _without(everything, order[:-1]), _refilled(everything, order, cost, target)
    return _within_streams(relative, groups, min((under, over), key=lambda kept: abs(cost(_widths(kept)) - target)))


def _within_streams(scores: Mapping[str, Tensor], groups: Sequence[ChannelGroup], kept: KeptChannels) -> KeptChannels:
    """`kept` with the branches' best channels of those that their streams keep, where these are cut too."""
    chosen = dict(kept)
    for group in groups:
        if group.stream in kept:
            there = kept[group.stream]
            width = min(len(kept[group.name]), len(there))
            places = best_channels({group.name: scores[group.name][list(there)]}, {group.name: width})[group.name]
            chosen[group.name] = tuple(there[place] for place in places)
    return chosen


def trim(scores: Mapping[str, Tensor], kept: KeptChannels, cost: Cost, target: int) -> KeptChannels:
    """Takes away the channel of lowest score over all groups, again and again, until the cost meets the target.

    Of equal scores the higher index goes first. A group's best channel never goes. What the last channel leaves of the
    budget goes back to the best of the channels taken away that still fit.

    Args:
        scores: {group: [channels]}, comparable between groups; other groups stay as `kept` has them.
        kept: the selection to start from; a group that is absent is whole.

    Returns:
        A selection that costs at most the target; `kept` itself if it does already.

    Raises:
        StageFailure: "out of reach" if that cannot be met; "diverged" if a score is not a number.
    """
    refuse_nan(scores)
    start: KeptChannels = {name: tuple(range(len(values))) for name, values in scores.items()} | kept
    left = _widths(start)
    if cost(left) <= target:
        return kept
    refuse_below(cost, left | {name: min(1, left[name]) for name in scores}, target)
    values = {name: tensor.detach().cpu().double() for name, tensor in scores.items()}
    order = _weakest_first(values, {name: start[name] for name in scores})
    for removed, (name, _) in enumerate(order, start=1):
        left[name] -= 1
        if cost(left) <= target:
            return _refilled(start, order[:removed], cost, target)
    raise AssertionError("one channel a group meets the target")


def refilled(
    kept: KeptChannels,
    most: KeptChannels,
    scores: Mapping[str, Tensor],
    count: Callable[[KeptChannels], int],
    target: int,
) -> KeptChannels:
    """`kept` with the best of what it lacks of `most`, as far as the target allows for what a selection really costs.

    Where a channel's going takes others with it, `trim` and `met` may stop further from the target than one channel
    costs. A group that has no channel left stays as it is.

    Args:
        most: a group that is absent is whole.
        scores: {group: [channels]}; other groups stay as `kept` has them.
        count: what a selection costs with all that follows from it.
    """
    chosen, now = dict(kept), count(kept)
    lacking = []
    for place, (name, values) in enumerate(scores.items()):
        if have := kept.get(name, ()):
            lost = set(most.get(name, range(len(values)))) - set(have)
            lacking += [(-float(values[channel]), place, channel, name) for channel in lost]
    for _, _, channel, name in sorted(lacking):
        if now >= target:
            break
        wider = chosen | {name: tuple(sorted({*chosen[name], channel}))}
        cost = count(wider)
        if cost <= target:
            chosen, now = wider, cost
    return chosen


def trim_whole(
    scores: Mapping[str, Tensor], kept: KeptChannels, count: Callable[[KeptChannels], int], target: int
) -> KeptChannels:
    """Takes away the whole group of lowest score, again and again, until the count is at most the target.

    Of equal scores the group further from the input goes first. What is left of the budget goes back to the best of
    the groups taken away that still fit.

    Args:
        scores: {group: [1]}, groups that may be removed; other groups stay as `kept` has them.
        kept: the selection to start from; a group that is absent is whole.
        count: what a selection costs with all that follows from it.

    Raises:
        StageFailure: "out of reach" if that cannot be met; "diverged" if a score is not a number.
    """
    refuse_nan(scores)
    order = sorted(
        (float(values), -place, name)
        for place, (name, values) in enumerate(scores.items())
        if name not in kept or kept[name]
    )
    chosen, gone = dict(kept), []
    for _, _, name in order:
        if count(chosen) <= target:
            break
        chosen[name] = ()
        gone.append(name)
    if (floor := count(chosen)) > target:
        raise StageFailure("out of reach", f"with every branch removed the cost is {floor:,}; target {target:,}")
    for name in reversed(gone):
        back = {group: channels for group, channels in chosen.items() if group != name}
        back |= {name: kept[name]} if name in kept else {}
        if count(back) <= target:
            chosen = back
    return chosen


def _weakest_first(scores: Mapping[str, Tensor], channels: KeptChannels) -> list[tuple[str, int]]:
    """(group, channel) in the order in which channels go; the one of each group that never goes is left out."""
    entries = []
    for position, (name, indices) in enumerate(channels.items()):
        values = scores[name].tolist()
        ranked = sorted(indices, key=lambda channel: (values[channel], -channel))
        entries += [(values[channel], -channel, position, name) for channel in ranked[:-1]]
    return [(name, -negative) for _, negative, _, name in sorted(entries)]


def _widths(kept: KeptChannels) -> dict[str, int]:
    return {name: len(channels) for name, channels in kept.items()}


def _refilled(kept: KeptChannels, gone: Sequence[tuple[str, int]], cost: Cost, target: int) -> KeptChannels:
    """`kept` without what is gone (weakest first), but with the best of it given back as far as the target allows."""
    widths = _widths(_without(kept, gone))
    back, blocked = set(), set()
    for name, channel in reversed(gone):
        if name not in blocked:
            raised = widths | {name: widths[name] + 1}
            if cost(raised) <= target:
                widths = raised
                back.add((name, channel))
            else:
                blocked.add(name)
    return _without(kept, [entry for entry in gone if entry not in back])


def _without(kept: KeptChannels, gone: Sequence[tuple[str, int]]) -> KeptChannels:
    lost = set(gone)
    return {name: tuple(c for c in channels if (name, c) not in lost) for name, channels in kept.items()}
