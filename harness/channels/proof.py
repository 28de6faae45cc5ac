"""The proof that every channel graph gives before anyone may use it.

On a copy that is narrowed to a few channels a group (so that it costs next to nothing) and has random float64
weights, biases and statistics, channels of every group are cut; the logits must be those of the copy in which the same
channels are masked. Only if that fails, each group is tried alone, to name the layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.channels.graph import ChannelGraph
from harness.channels.groups import KeptChannels
from harness.channels.structure import first_line, hollow_input
from harness.channels.surgery import cut, mask
from harness.errors import StageFailure, UserError

_WIDTH = 4
_TOLERANCE = 1e-10


def prove(network: nn.Module, hollow: nn.Module, graph: ChannelGraph) -> bool:
    """Raises UserError naming a layer unless channels of every group can be cut and masked to the same effect.

    Two selections are tried: of every group but branches the same channel, which these then lose with their streams;
    and of every group but streams a channel of its own and the first, which so nobody writes into the streams.

    Args:
        network: the real one, for the values of buffers that are not batch norm's.
        hollow: its skeleton.
        graph: of both.

    Returns:
        Whether branches can also be removed altogether.
    """
    narrow = _narrow(graph)
    whole = graph.widths
    if (why := _does_not_run(hollow, graph, narrow)) is not None:
        for name, size in whole.items():
            alone = {name: tuple(range(size - 1))}
            if size > 1 and (reason := _does_not_run(hollow, graph, alone)) is not None:
                raise UserError(f"channels of layer {_layer(name)!r} cannot be cut: {reason}")
        raise UserError(f"the network does not run when channels of all layers are cut: {why}")
    small = cut(hollow, graph, narrow)
    solid = _with_random_values(network, small)
    small_graph = graph.resized(narrow)
    sizes = {name: size for name, size in small_graph.widths.items() if size > 1}
    streams = {name: _without(size, 1) for name, size in sizes.items() if graph.groups[name].stream is None}
    branches = {
        name: _without(size, *((0, 1 + number % (size - 1)) if size > 2 else (0,)))
        for number, (name, size) in enumerate(sizes.items())
        if graph.groups[name].kind != "stream"
    }
    for selection in (streams, branches):
        if (why := _differ(solid, small_graph, selection)) is not None:
            for name in selection:
                if (reason := _differ(solid, small_graph, {name: selection[name]})) is not None:
                    raise UserError(f"channels of layer {_layer(name)!r} cannot be cut: {reason}")
            raise UserError(f"channels of this network cannot be cut in all layers at once: {why}")
    spare = _spare_branches(small_graph)
    return not spare or _differ(solid, small_graph, dict.fromkeys(spare, ())) is None


def _layer(group: str) -> str:
    return group.removeprefix("stream:")


def _without(size: int, *gone: int) -> tuple[int, ...]:
    return tuple(channel for channel in range(size) if channel not in gone)


def _narrow(graph: ChannelGraph) -> KeptChannels:
    """A few channels of every group; of a stream, some that its shortcuts write and some that they do not."""
    narrow: KeptChannels = {}
    for name, group in graph.groups.items():
        if group.stream is None:
            wanted = list(range(min(_WIDTH, group.size)))
            for shortcut in graph.streams[name].shortcuts if name in graph.streams else ():
                written = [shortcut.targets[channel] for channel in narrow.get(shortcut.source, ())]
                wanted = [*[target for target in written if target >= 0][: _WIDTH - 1], *wanted]
            narrow[name] = tuple(sorted(list(dict.fromkeys(wanted))[:_WIDTH]))
    return narrow | {name: narrow[group.stream] for name, group in graph.groups.items() if group.stream is not None}


def _spare_branches(graph: ChannelGraph) -> list[str]:
    """As many branches as can be removed at once."""
    spare = []
    for each in graph.sums:
        there = [name for name in each.branches if graph.branches[name].sum is not None]
        spare += there if each.shortcut else there[1:]
    return spare


def _does_not_run(hollow: nn.Module, graph: ChannelGraph, kept: KeptChannels) -> str | None:
    """What goes wrong when the skeleton is cut to these channels and run, or None."""
    try:
        small = cut(hollow, graph, kept)
        with torch.no_grad():
            small(hollow_input(small, graph.shape))
    except StageFailure as failure:
        return failure.message
    except Exception as error:  # whatever a foreign network raises is a reason to refuse
        return first_line(error)
    return None


def _differ(network: nn.Module, graph: ChannelGraph, kept: KeptChannels) -> str | None:
    """Why cutting is not the same as masking, or None if it is."""
    images = torch.randn(2, *graph.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    try:
        with torch.no_grad():
            narrower: Tensor = cut(network, graph, kept)(images)
            masked: Tensor = mask(network, graph, kept)(images)
    except Exception as error:
        return first_line(error)
    if narrower.shape != masked.shape:
        return f"the output changes from {list(masked.shape)} to {list(narrower.shape)}"
    gap = float((narrower - masked).abs().max())
    scale = max(1.0, float(masked.abs().max()))
    if not gap <= _TOLERANCE * scale:
        return f"the network without them is not the network in which they are zero (outputs differ by {gap:.2g})"
    return None


def _with_random_values(network: nn.Module, hollow: nn.Module) -> nn.Module:
    """The skeleton on the CPU in float64, with random weights and statistics of reasonable size."""
    solid = hollow.to_empty(device="cpu").double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, buffer in solid.named_buffers():
            value = network.get_buffer(name)
            if buffer.shape == value.shape and value.device.type != "meta":
                buffer.copy_(value)
            else:
                buffer.zero_()
        for module in solid.modules():
            batch_norm = isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
            for name, parameter in module.named_parameters(recurse=False):
                if batch_norm and name == "weight":
                    parameter.uniform_(0.5, 1.5, generator=generator)
                elif parameter.dim() > 1:
                    # ReLU halves a signal's power: without the 2, nothing of the first layers would reach the logits.
                    parameter.normal_(0.0, (2 / parameter[0].numel()) ** 0.5, generator=generator)
                else:
                    parameter.normal_(0.5, 0.5, generator=generator)  # most ReLUs are open, also where the input is 0
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
                module.running_mean.normal_(0.0, 0.5, generator=generator)
                assert module.running_var is not None
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    return solid
