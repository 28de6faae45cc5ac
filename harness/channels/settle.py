"""What follows from a selection of channels: removed branches, and stream channels that nobody writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.channels.groups import KeptChannels, Shortcut, Stream
from harness.errors import StageFailure

if TYPE_CHECKING:
    from harness.channels.graph import ChannelGraph


def settled(graph: ChannelGraph, kept: Mapping[str, Sequence[int]]) -> KeptChannels:
    """Every group's channels once all consequences of `kept` are drawn; see `ChannelGraph.settled`."""
    state = {name: set(kept.get(name, range(group.size))) for name, group in graph.groups.items()}
    before = None
    while before != (before := {name: len(channels) for name, channels in state.items()}):
        _draw_on_branches(graph, state)
        for each in graph.streams.values():
            if each.drains:
                state[each.group] &= _written(each, state)
    _refuse_without_a_way(graph, state)
    return {name: tuple(sorted(channels)) for name, channels in state.items()}


def without_removed(graph: ChannelGraph, kept: Mapping[str, Sequence[int]]) -> KeptChannels:
    """`kept` with the branches as narrow as their streams, and without all of a branch that lost a group."""
    state = {name: set(kept.get(name, range(group.size))) for name, group in graph.groups.items()}
    before = None
    while before != (before := {name: len(channels) for name, channels in state.items()}):
        _draw_on_branches(graph, state)
    return {
        name: tuple(sorted(channels))
        for name, channels in state.items()
        if name in kept or len(channels) < graph.groups[name].size
    }


def narrowed(shortcut: Shortcut, kept: Mapping[str, Sequence[int]], stream: str) -> Shortcut:
    """The shortcut between what is kept of its source and of its stream."""
    places = {channel: place for place, channel in enumerate(kept[stream])}
    return replace(
        shortcut, targets=tuple(places.get(shortcut.targets[channel], -1) for channel in kept[shortcut.source])
    )


def _draw_on_branches(graph: ChannelGraph, state: dict[str, set[int]]) -> None:
    for branch in graph.branches.values():
        stream = graph.groups[branch.group].stream
        assert stream is not None
        state[branch.group] &= state[stream]
        members = (branch.group, *branch.inside)
        if branch.sum is not None and not all(state[name] for name in members):
            for name in members:
                state[name].clear()


def _written(stream: Stream, state: Mapping[str, set[int]]) -> set[int]:
    """The channels of a stream that somebody writes."""
    if stream.fixed:
        return state[stream.group]
    written = set().union(*(state[writer] for writer in stream.writers))
    for shortcut in stream.shortcuts:
        written |= {shortcut.targets[channel] for channel in state[shortcut.source]}
    return written


def _refuse_without_a_way(graph: ChannelGraph, state: Mapping[str, set[int]]) -> None:
    for number, each in enumerate(graph.sums):
        removed = [name for name in each.branches if graph.branches[name].sum == number and not state[name]]
        if not each.shortcut and len(removed) == len(each.branches):
            names = ", ".join(each.branches)
            raise StageFailure(
                "invalid network",
                f"every path is cut: none of the branches {names} keeps a channel, nor is there another way",
            )
    for name, channels in state.items():
        if not channels and not graph.may_empty(name):
            raise StageFailure("invalid network", f"every path is cut: nothing is left of group {name!r}")
