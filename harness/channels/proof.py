"""The proof that every channel graph gives before anyone may use it.

On a copy that is narrowed to a few channels a group (so that it costs next to nothing) and has random float64
weights, biases and statistics, one channel of every group is cut; the logits must be those of the copy in which the
same channels are masked. Only if that fails, each group is tried alone, to name the layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.channels.graph import ChannelGraph
from harness.channels.structure import first_line, hollow_input
from harness.channels.surgery import cut, mask
from harness.errors import StageFailure, UserError

_WIDTH = 4
_TOLERANCE = 1e-10


def prove(network: nn.Module, hollow: nn.Module, graph: ChannelGraph) -> None:
    """Raises UserError naming a layer unless one channel of every group can be cut and masked to the same effect.

    Args:
        network: the real one, for the values of buffers that are not batch norm's.
        hollow: its skeleton.
        graph: of both.
    """
    narrow = {name: min(_WIDTH, size) for name, size in graph.widths.items()}
    if (why := _does_not_run(hollow, graph, narrow)) is not None:
        for name, size in graph.widths.items():
            if size > 1 and (alone := _does_not_run(hollow, graph, {name: size - 1})) is not None:
                raise UserError(f"channels of layer {name!r} cannot be cut: {alone}")
        raise UserError(f"the network does not run when channels of all layers are cut: {why}")
    small = cut(hollow, graph, {name: range(width) for name, width in narrow.items()})
    solid = _with_random_values(network, small)
    small_graph = graph.resized(narrow)
    names = [name for name, width in narrow.items() if width > 1]
    if (why := _differ(solid, small_graph, names)) is not None:
        for name in names:
            if (alone := _differ(solid, small_graph, [name])) is not None:
                raise UserError(f"channels of layer {name!r} cannot be cut: {alone}")
        raise UserError(f"channels of this network cannot be cut in all layers at once: {why}")


def _does_not_run(hollow: nn.Module, graph: ChannelGraph, widths: dict[str, int]) -> str | None:
    """What goes wrong when the skeleton is cut to these widths and run, or None."""
    try:
        small = cut(hollow, graph, {name: range(width) for name, width in widths.items()})
        with torch.no_grad():
            small(hollow_input(small, graph.shape))
    except StageFailure as failure:
        return failure.message
    except Exception as error:  # whatever a foreign network or Torch-Pruning raises is a reason to refuse
        return first_line(error)
    return None


def _differ(network: nn.Module, graph: ChannelGraph, names: list[str]) -> str | None:
    """Why cutting one channel of each named group is not the same as masking it, or None if it is."""
    images = torch.randn(2, *graph.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    kept = {name: tuple(c for c in range(graph.groups[name].size) if c != 1) for name in names}
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
                else:
                    # ReLU halves a signal's power: without the 2, nothing of the first layers would reach the logits.
                    spread = (2 / parameter[0].numel()) ** 0.5 if parameter.dim() > 1 else 0.5
                    parameter.normal_(0.0, spread, generator=generator)
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
                module.running_mean.normal_(0.0, 0.5, generator=generator)
                assert module.running_var is not None
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    return solid
