"""What a network is made of, read from one forward pass that computes nothing.

A skeleton is a copy of a network whose tensors have shapes but no memory (torch's "meta" device): tracing it leaves
the network's weights, statistics, mode, gradients and random numbers alone, and costs milliseconds at any width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from harness.errors import UserError


@dataclass(frozen=True)
class Layer:
    """A convolution or a linear layer of the whole network.

    Attributes:
        name: module path.
        kind: what it is.
        in_channels: columns of its weight, all groups together.
        out_channels: rows of its weight.
        groups: 1, or the number of channels of a depthwise convolution.
        area: weights of one kernel (height x width); 1 for a linear layer.
        positions: how often the kernel is applied to one image.
        bias: whether each row has one.
        reads: the channel group of its columns, or None where they cannot be cut.
        repeat: columns for each channel of `reads` (more than 1 after a flatten).
        writes: the channel group of its rows, or None where they cannot be cut.
    """

    name: str
    kind: Literal["conv", "linear"]
    in_channels: int
    out_channels: int
    groups: int
    area: int
    positions: int
    bias: bool
    reads: str | None = None
    repeat: int = 1
    writes: str | None = None

    @property
    def depthwise(self) -> bool:
        """Whether every channel is filtered alone."""
        return self.groups > 1


@dataclass(frozen=True)
class Norm:
    """A batch norm of the whole network.

    Attributes:
        name: module path.
        channels: how many it normalises.
        kind: "conv" for `BatchNorm2d`, "linear" for `BatchNorm1d`.
        affine: whether it has weight and bias.
        group: the channel group that it belongs to, or None.
    """

    name: str
    channels: int
    kind: Literal["conv", "linear"]
    affine: bool
    group: str | None = None


_REFUSED = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.MultiheadAttention,
    nn.RNNBase,
    nn.Embedding,
    nn.ChannelShuffle,
    nn.PixelShuffle,
)


def skeleton(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode with shapes but no values; shares nothing that a forward pass changes."""
    hollow: dict[int, Any] = {}
    for parameter in network.parameters():
        hollow[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"))
    for buffer in network.buffers():
        hollow[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(network, hollow).eval()


def hollow_input(network: nn.Module, shape: tuple[int, ...], batch: int = 1) -> Tensor:
    """Images [batch, *shape] without values, of the network's floating type."""
    kinds = (parameter.dtype for parameter in network.parameters() if parameter.is_floating_point())
    return torch.empty(batch, *shape, dtype=next(kinds, torch.float32), device="meta")


def first_line(error: BaseException) -> str:
    """One line that names the error and says what it says."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__


def refuse_unsupported(network: nn.Module) -> None:
    """Raises UserError naming the first layer whose channels nobody here knows how to cut."""
    for name, module in network.named_modules():
        what = type(module).__name__
        where = f"layer {name or 'network'!r} ({what})"
        if hasattr(module, "gate_values"):
            raise UserError(f"{where} carries a gate: the channel graph is made of the network without gates")
        if isinstance(module, _REFUSED):
            raise UserError(f"{where}: cutting channels is not supported for {what}")
        if isinstance(module, nn.Conv2d) and not isinstance(module, nn.LazyConv2d):
            if module.groups > 1 and not module.groups == module.in_channels == module.out_channels:
                raise UserError(
                    f"{where} has {module.groups} groups for {module.in_channels} inputs and {module.out_channels} "
                    "outputs: grouped convolutions are supported only if depthwise (one group a channel)"
                )
        elif isinstance(module, nn.PReLU):
            if module.num_parameters > 1:
                raise UserError(f"{where} has a slope for each channel: only one slope for all is supported")
        elif not isinstance(module, nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d) and any(
            True for _ in module.parameters(recurse=False)
        ):
            raise UserError(f"{where} has weights of its own: cutting channels is not supported for {what}")
    owners: dict[nn.Parameter, str] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        if parameter in owners:
            raise UserError(f"{name!r} and {owners[parameter]!r} are one tensor: shared weights are not supported")
        owners[parameter] = name


def read_structure(hollow: nn.Module, shape: tuple[int, ...]) -> tuple[tuple[Layer, ...], tuple[Norm, ...]]:
    """Layers and batch norms in the order in which they run.

    Args:
        hollow: a skeleton.
        shape: of one image, [channels, height, width].

    Raises:
        UserError: the network does not run on such images, or a layer runs more than once.
    """
    layers: dict[str, Layer] = {}
    norms: dict[str, Norm] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            del inputs
            if name in layers or name in norms:
                raise UserError(f"layer {name!r} runs more than once in a forward pass: that is not supported")
            if isinstance(module, nn.Conv2d):
                layers[name] = Layer(
                    name,
                    "conv",
                    module.in_channels,
                    module.out_channels,
                    module.groups,
                    area=module.kernel_size[0] * module.kernel_size[1],
                    positions=output[0, 0].numel(),
                    bias=module.bias is not None,
                )
            elif isinstance(module, nn.Linear):
                positions = output[0].numel() // module.out_features
                layers[name] = Layer(
                    name, "linear", module.in_features, module.out_features, 1, 1, positions, module.bias is not None
                )
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                kind: Literal["conv", "linear"] = "conv" if isinstance(module, nn.BatchNorm2d) else "linear"
                norms[name] = Norm(name, module.num_features, kind, module.affine)

        return note

    hooks = [
        module.register_forward_hook(watch(name))
        for name, module in hollow.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    try:
        with torch.no_grad():
            logits = hollow(hollow_input(hollow, shape))
            if not isinstance(logits, Tensor) or logits.dim() != 2:
                raise UserError("the network must return one tensor of logits [images, classes]")
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"the network does not run on images {list(shape)}: {first_line(error)}") from error
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(layers.values()), tuple(norms.values())
