"""Cutting channels out of a network, and masking them, which must come to the same."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from harness.channels.graph import ChannelGraph, ChannelGroup


def cut(network: nn.Module, graph: ChannelGraph, kept: Mapping[str, Sequence[int]]) -> nn.Module:
    """A narrower copy that has the kept channels only.

    Weights, biases and statistics of kept channels are copied; dtype, device, memory format, mode and frozen
    parameters are as in the network, which is left alone.

    Args:
        network: the network of `graph`, without gates.
        kept: {group: ascending indices that stay}; a group that is absent is kept whole.

    Raises:
        StageFailure: "invalid network" if `kept` or the network does not fit the graph.
    """
    graph.check(kept)
    graph.verify(network)
    narrow = copy.deepcopy(network)
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    for name, channels in kept.items():
        group = graph.groups[name]
        if len(channels) < group.size:
            _cut_group(narrow, group, sorted(set(range(group.size)) - set(channels)))
    for name, parameter in narrow.named_parameters():
        parameter.requires_grad_(name not in frozen)
    return narrow.to(memory_format=torch.channels_last) if _channels_last(network) else narrow


def mask(network: nn.Module, graph: ChannelGraph, kept: Mapping[str, Sequence[int]]) -> nn.Module:
    """A copy of full size in which every channel that is not kept is zero for whoever reads it.

    Channels are zeroed after the group's gate points; in a group without any, after all its batch norms and
    producers. They stay zero when the copy is trained. The comparison partner of `cut`, with the same arguments.
    """
    graph.check(kept)
    graph.verify(network)
    masked = copy.deepcopy(network)
    for name, channels in kept.items():
        group = graph.groups[name]
        stays = torch.zeros(group.size, dtype=torch.bool)
        stays[list(channels)] = True
        for layer in group.gate_points or (*group.norms, *group.producers):
            module = masked.get_submodule(layer)
            device = next((tensor.device for tensor in (*module.parameters(), *module.buffers())), None)
            module.register_buffer("stays", stays.to(device), persistent=False)
            module.register_forward_hook(_zero_the_others)
    return masked


def _zero_the_others(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    del inputs
    stays = module.get_buffer("stays")
    return output.masked_fill(~stays.view(1, -1, *[1] * (output.dim() - 2)), 0.0)


def _cut_group(network: nn.Module, group: ChannelGroup, gone: list[int]) -> None:
    import torch_pruning

    for name in group.producers:
        module = network.get_submodule(name)
        if isinstance(module, nn.Linear):
            torch_pruning.prune_linear_out_channels(module, gone)
        elif isinstance(module, nn.Conv2d) and module.groups > 1:
            torch_pruning.prune_depthwise_conv_out_channels(module, gone)
        else:
            torch_pruning.prune_conv_out_channels(module, gone)
    for name in group.norms:
        torch_pruning.prune_batchnorm_out_channels(network.get_submodule(name), gone)
    for consumer in group.consumers:
        module = network.get_submodule(consumer.layer)
        columns = [channel * consumer.repeat + offset for channel in gone for offset in range(consumer.repeat)]
        if isinstance(module, nn.Linear):
            torch_pruning.prune_linear_in_channels(module, columns)
        else:
            torch_pruning.prune_conv_in_channels(module, columns)


def _channels_last(network: nn.Module) -> bool:
    """Whether the network was brought into channels-last format; 1 x 1 kernels look the same in both."""
    return any(
        parameter.dim() == 4
        and parameter.is_contiguous(memory_format=torch.channels_last)
        and not parameter.is_contiguous()
        for parameter in network.parameters()
    )
