"""Which channels of a stream somebody writes, and how its branches share them so that each is written by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from harness.channels.graph import ChannelGraph, KeptChannels


def written_by_shortcuts(graph: ChannelGraph, stream: str, kept: Mapping[str, Sequence[int]]) -> set[int]:
    """The channels of a stream that its shortcuts without weights write, given what is kept of what they read."""
    written: set[int] = set()
    for shortcut in graph.streams[stream].shortcuts:
        source = set(kept.get(shortcut.source, range(len(shortcut.targets))))
        if shortcut.source in graph.streams and not graph.streams[shortcut.source].fixed:
            branches = [kept.get(name) for name in graph.streams[shortcut.source].writers]
            if all(channels is not None for channels in branches):
                source &= {c for channels in branches for c in channels or ()} | written_by_shortcuts(
                    graph, shortcut.source, kept
                )
        written |= {shortcut.targets[channel] for channel in source}
    return written - {-1}


def room_for(graph: ChannelGraph, stream: str, widths: Mapping[str, int]) -> int:
    """How many channels of a stream its branches can write together, at these widths; an absent group is whole."""
    size = graph.groups[stream].size
    room = 0
    for writer in graph.streams[stream].writers:
        branch = graph.branches[writer]
        if branch.sum is None or all(widths.get(name, 1) for name in branch.inside):
            room += widths.get(writer, size)
    return room


def best_written(values: Tensor, written: set[int], width: int, room: int) -> set[int]:
    """The channels of largest score that can all be written; of equal scores the lower index.

    Args:
        values: scores [channels].
        written: channels that are written in any case.
        width: how many are chosen; fewer if they cannot all be written.
        room: how many of the others can be written.
    """
    scores = values.tolist()
    chosen: set[int] = set()
    for channel in sorted(range(len(scores)), key=lambda channel: -scores[channel]):
        if len(chosen) == width:
            break
        if channel in written or room > 0:
            room -= channel not in written
            chosen.add(channel)
    return chosen


def cover(kept: KeptChannels, scores: Mapping[str, Sequence[float]], wanted: set[int]) -> None:
    """Swaps channels of branches, in place, until every wanted one is written by some branch, at the least loss.

    Args:
        kept: the branches' channels, as many as stay.
        scores: {branch: [channels]}.
    """
    for missing in sorted(wanted - {channel for name in scores for channel in kept[name]}):
        count: dict[int, int] = {}
        for name in scores:
            for channel in kept[name]:
                count[channel] = count.get(channel, 0) + 1
        swaps = [
            (values[channel] - values[missing], name, channel)
            for name, values in scores.items()
            for channel in kept[name]
            if count[channel] > 1 or channel not in wanted
        ]
        if not swaps:
            return
        _, name, channel = min(swaps)
        kept[name] = tuple(sorted({*kept[name], missing} - {channel}))
