"""Cutting channels out of a network, and masking them, which must come to the same."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from harness.channels.graph import ChannelGraph
from harness.channels.groups import Branch, KeptChannels
from harness.channels.modules import Removed, Zeros, write_into_stream
from harness.channels.settle import without_removed
from harness.channels.structure import Layer, Norm, Segment


def cut(
    network: nn.Module, graph: ChannelGraph, kept: Mapping[str, Sequence[int]], *, in_place: bool = False
) -> nn.Module:
    """A narrower copy that has the kept channels only.

    Weights, biases and statistics of kept channels are copied; dtype, device, memory format, mode and frozen
    parameters are as in the network, which is left alone. What follows from the selection is cut too (see
    `ChannelGraph.settled`): a removed branch computes nothing any more, a branch that keeps a part writes it into its
    place of the stream.

    Args:
        network: the network of `graph`, without gates.
        kept: {group: ascending indices that stay}; a group that is absent is kept whole.
        in_place: cuts and returns the network itself, where nobody needs the whole one any more.

    Raises:
        StageFailure: "invalid network" if `kept` or the network does not fit the graph, or no path is left.
    """
    state = graph.complete(kept)
    graph.verify(network)
    channels_last = _channels_last(network)
    narrow = network if in_place else copy.deepcopy(network)
    removed = [graph.branches[name] for name in graph.removed(kept)]
    gone = {layer for branch in removed for layer in branch.layers}
    for layer in graph.layers:
        if layer.name not in gone:
            _cut_layer(narrow.get_submodule(layer.name), layer, state)
    for norm in graph.norms:
        if norm.name not in gone:
            _cut_norm(narrow.get_submodule(norm.name), norm, state)
    for stream in graph.streams.values():
        for shortcut in stream.shortcuts:
            if shortcut.layer not in gone:
                module = narrow.get_submodule(shortcut.layer)
                module.narrow(state[shortcut.source], state[stream.group])  # type: ignore[operator]
    for branch in graph.branches.values():
        name = graph.groups[branch.group].stream or ""
        if branch not in removed and branch.end not in gone and state[branch.group] != state[name]:
            place = {channel: number for number, channel in enumerate(state[name])}
            rows = graph.groups[branch.group].rows
            places = _places([place[channel] for channel in state[branch.group]], rows)
            write_into_stream(narrow, branch.end, places, rows * len(state[name]))
    for branch in removed:
        stream_width = len(state[graph.groups[branch.group].stream or ""]) * graph.groups[branch.group].rows
        _remove(narrow, branch, stream_width)
    return narrow.to(memory_format=torch.channels_last) if channels_last else narrow


def mask(network: nn.Module, graph: ChannelGraph, kept: Mapping[str, Sequence[int]]) -> nn.Module:
    """A copy of full size in which every channel that is not kept is zero for whoever reads it.

    Channels are zeroed after their group's gate points, and all of a branch that lost a whole group. They stay zero
    when the copy is trained. The comparison partner of `cut`, with the same arguments.
    """
    graph.check(kept)
    graph.verify(network)
    masked = copy.deepcopy(network)
    outputs = {layer.name: layer.out_channels for layer in graph.layers}
    outputs |= {norm.name: norm.channels for norm in graph.norms}
    for name, channels in without_removed(graph, kept).items():
        if channels and name not in kept:
            continue  # a branch that lost what its stream lost: its stream is masked
        group = graph.groups[name]
        gone = sorted(set(range(group.size)) - set(channels))
        for part in group.gate_points:
            module = masked.get_submodule(part.layer)
            if not hasattr(module, "stays"):
                width = outputs.get(part.layer, getattr(module, "out_channels", 0))
                device = next((tensor.device for tensor in (*module.parameters(), *module.buffers())), None)
                module.register_buffer("stays", torch.ones(width, dtype=torch.bool, device=device), persistent=False)
                module.register_forward_hook(_zero_the_others)
            module.get_buffer("stays")[_places(gone, part.repeat, part.start)] = False
    return masked


def _zero_the_others(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    del inputs
    stays = module.get_buffer("stays")
    return output.masked_fill(~stays.view(1, -1, *[1] * (output.dim() - 2)), 0.0)


def _places(channels: Sequence[int], repeat: int, start: int = 0) -> list[int]:
    if repeat == 1:
        return [start + channel for channel in channels]
    return [start + channel * repeat + offset for channel in channels for offset in range(repeat)]


def _kept_places(segments: Sequence[Segment], state: KeptChannels) -> list[int]:
    """The places that stay of a layer's columns or a batch norm's channels."""
    places: list[int] = []
    start = 0
    for segment in segments:
        channels = range(segment.channels) if segment.group is None else state[segment.group]
        places += _places(channels, segment.repeat, start)
        start += segment.places
    return places


def _cut_layer(module: nn.Module, layer: Layer, state: KeptChannels) -> None:
    assert isinstance(module, nn.Conv2d | nn.Linear)
    if layer.writes is not None:
        rows = _places(state[layer.writes], layer.rows)
        _select(module, "weight", 0, rows)
        _select(module, "bias", 0, rows)
    if not layer.grouped:
        _select(module, "weight", 1, _kept_places(layer.reads, state))
    outputs = len(module.weight)
    if isinstance(module, nn.Linear):
        module.in_features, module.out_features = module.weight.shape[1], outputs
        return
    if layer.grouped:
        assert layer.writes is not None
        module.groups = len(state[layer.writes])
    module.in_channels, module.out_channels = module.weight.shape[1] * module.groups, outputs


def _cut_norm(module: nn.Module, norm: Norm, state: KeptChannels) -> None:
    channels = _kept_places(norm.parts, state)
    for name in ("weight", "bias", "running_mean", "running_var"):
        _select(module, name, 0, channels)
    module.num_features = len(channels)  # type: ignore[assignment]


def _select(module: nn.Module, name: str, dimension: int, places: list[int]) -> None:
    """Keeps these places of a parameter or buffer; a new tensor, unless all of them stay."""
    value = cast("Tensor | None", getattr(module, name, None))
    if value is None or len(places) == value.shape[dimension]:
        return
    chosen = value.detach().index_select(dimension, torch.tensor(places, dtype=torch.int64, device=value.device))
    if isinstance(value, nn.Parameter):
        setattr(module, name, nn.Parameter(chosen, requires_grad=value.requires_grad))
    else:
        setattr(module, name, chosen)


def _remove(network: nn.Module, branch: Branch, stream_width: int) -> None:
    for name in branch.layers:
        module = network.get_submodule(name)
        stand_in: nn.Module
        if isinstance(module, nn.Conv2d):
            stand_in = Removed(module)
        elif isinstance(module, nn.BatchNorm2d):
            stand_in = nn.Identity()
        else:
            continue  # removed with a branch inside this one
        if name == branch.end:
            stand_in = nn.Sequential(stand_in, Zeros(stream_width))
        network.set_submodule(name, stand_in)


def _channels_last(network: nn.Module) -> bool:
    """Whether the network was brought into channels-last format; 1 x 1 kernels look the same in both."""
    return any(
        parameter.dim() == 4
        and parameter.is_contiguous(memory_format=torch.channels_last)
        and not parameter.is_contiguous()
        for parameter in network.parameters()
    )
