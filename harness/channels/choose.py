"""Which channels stay where a network's widths are given."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from harness.channels.graph import ChannelGraph, KeptChannels
from harness.channels.written import best_written, cover, room_for, written_by_shortcuts
from harness.errors import StageFailure


def best_channels(scores: Mapping[str, Tensor], widths: Mapping[str, int]) -> KeptChannels:
    """The channels of largest score, as many as the width says; of equal scores the lower index.

    Args:
        scores: {group: [channels]}.
        widths: {group: how many stay}; a group that is absent is kept whole.

    Raises:
        StageFailure: "diverged" if a score is not a number.
    """
    refuse_nan(scores)
    if strangers := widths.keys() - scores.keys():
        raise ValueError(f"widths of groups without scores: {', '.join(sorted(strangers))}")
    kept: KeptChannels = {}
    for name, values in scores.items():
        order = torch.sort(values.detach().cpu(), descending=True, stable=True).indices
        kept[name] = tuple(sorted(order[: widths.get(name, len(order))].tolist()))
    return kept


def best_channels_within(
    graph: ChannelGraph, scores: Mapping[str, Tensor], widths: Mapping[str, int], streams: Mapping[str, int]
) -> KeptChannels:
    """As `best_channels`, for networks with branches.

    A branch chooses among the channels that its stream keeps. Where the width of a stream is given that loses what
    nobody writes, it keeps exactly so many: those of largest score (of its own, or summed over its branches) that its
    branches and shortcuts can write, of which each is written by some branch, if need be in place of one that others
    write too.

    Args:
        streams: {stream: channels that somebody writes}; of these groups none is in `widths`.
    """
    plain = [name for name in scores if graph.groups[name].stream is None]
    kept = best_channels(
        {name: scores[name] for name in plain}, {name: widths[name] for name in plain if name in widths}
    )
    for name, stream in graph.streams.items():
        members = {writer: scores[writer].detach().cpu().double() for writer in stream.writers if writer in scores}
        if not members and name not in scores:
            continue
        written = written_by_shortcuts(graph, name, kept)
        width = streams.get(name, widths.get(name))
        exactly = width is not None and stream.drains and not stream.fixed
        if exactly and width is not None:
            if name in scores:
                values = scores[name].detach().cpu().double()
            else:
                values = torch.stack([*members.values()]).sum(dim=0)
                values[list(written)] = float("inf")
            there = best_written(values, written, width, room_for(graph, name, widths))
            if name in scores:
                kept[name] = tuple(sorted(there))
        else:
            there = set(kept.get(name, range(graph.groups[name].size)))
        away = torch.full((graph.groups[name].size,), float("-inf"), dtype=torch.float64)
        away[list(there)] = 0.0
        ranked = {member: values + away for member, values in members.items()}
        kept |= best_channels(ranked, {member: min(widths.get(member, len(there)), len(there)) for member in members})
        if exactly:
            cover(kept, {member: values.tolist() for member, values in ranked.items()}, there - written)
    return {name: kept[name] for name in scores}


def spread(graph: ChannelGraph, widths: Mapping[str, int], streams: Mapping[str, int] | None = None) -> KeptChannels:
    """Channels of a network of these widths where any will do: the first ones.

    Branches of one stream take turns, so that together they write as many of its channels as they can, beginning with
    those that no shortcut writes.

    Args:
        widths: {group: how many stay}.
        streams: {stream: channels that its branches write in all}; default: all that `widths` leaves.

    Returns:
        {group: ascending indices} for every group of `widths`.
    """
    limits = {**(streams or {}), **widths}
    kept: KeptChannels = {
        name: tuple(range(width))
        for name, width in widths.items()
        if name not in graph.streams and graph.groups[name].stream is None
    }
    for stream in graph.streams:
        size = graph.groups[stream].size
        written = sorted(written_by_shortcuts(graph, stream, kept))
        order = [*written, *(channel for channel in range(size) if channel not in set(written))]
        order = order[: limits.get(stream, size)]
        if stream in widths:
            kept[stream] = tuple(sorted(order))
        turn = len(written)
        for name in graph.streams[stream].writers:
            if name in widths:
                width = min(widths[name], len(order))
                kept[name] = tuple(sorted(order[(turn + number) % len(order)] for number in range(width)))
                turn += width
    return {name: kept[name] for name in widths}


def with_a_way(graph: ChannelGraph, kept: KeptChannels, scores: Mapping[str, Tensor]) -> KeptChannels:
    """`kept`, in which every layer that cannot be removed keeps a channel that its stream keeps too.

    A layer that has none in common with its stream gets the one of largest score that the stream keeps.
    """
    found = dict(kept)
    for name, values in scores.items():
        stream = graph.groups[name].stream
        if stream in kept and not graph.may_empty(name) and not set(kept.get(name, kept[stream])) & set(kept[stream]):
            best = max(kept[stream], key=lambda channel: float(values[channel]))
            found[name] = tuple(sorted({*kept[name], best}))
    return found


def refuse_nan(scores: Mapping[str, Tensor]) -> None:
    """Raises StageFailure("diverged") if a score is not a number."""
    for name, values in scores.items():
        if bool(values.isnan().any()):
            raise StageFailure("diverged", f"scores of group {name!r} are not numbers")
