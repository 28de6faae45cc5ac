"""Gates: one scalar a channel, multiplied into the affine part of batch norm, so that it costs nothing.

Batch norm gives y = γ·x̂ + β; a gate g after it is γ' = g·γ and β' = g·β: two products of [channels], and no further
pass over the activations. Gated batch norms stand in for the plain ones during a search and leave before surgery.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.channels.graph import ChannelGroup
from harness.errors import UserError

_Target = TypeVar("_Target", bound=nn.modules.batchnorm._BatchNorm)

GateFunction = Callable[[Tensor], Tensor]
"""The factor of each channel, given its scalar: [channels] → [channels]."""


class _GatedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm whose output channels are multiplied by `function(gate_values)`.

    Its own parameters and statistics have the names of the batch norm that it stands for.

    Attributes:
        gate_values: one scalar a channel; one parameter for all batch norms of a group.
        function: gives the factors.
    """

    gate_values: nn.Parameter
    function: GateFunction

    def forward(self, input: Tensor) -> Tensor:
        """Normalises, shifts and gates: [batch, channels, ...] → the same shape."""
        self._check_input_dim(input)  # type: ignore[no-untyped-call]
        average = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                average = 1.0 / float(self.num_batches_tracked)
        gate = self.function(self.gate_values)
        return functional.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight * gate,
            self.bias * gate,
            self.training or self.running_mean is None,
            average,
            self.eps,
        )


class GatedBatchNorm2d(_GatedBatchNorm, nn.BatchNorm2d):
    """`BatchNorm2d` with a gate; see `insert_gates`."""


class GatedBatchNorm1d(_GatedBatchNorm, nn.BatchNorm1d):
    """`BatchNorm1d` with a gate; see `insert_gates`."""


def insert_gates(
    network: nn.Module, groups: Sequence[ChannelGroup], function: GateFunction, initial: float
) -> dict[str, nn.Parameter]:
    """Puts a gate on every channel of the groups, in place.

    Parameters and statistics of the batch norms go on as the same tensors under the same names.

    Args:
        function: gives the factors from the scalars; called in every forward pass.
        initial: where all scalars start.

    Returns:
        {group: its scalars [channels]}, on the batch norm's device and of its dtype.

    Raises:
        UserError: a group has no batch norm that a gate could be folded into; nothing was changed.
    """
    points: dict[str, list[tuple[str, nn.BatchNorm1d | nn.BatchNorm2d]]] = {}
    for group in groups:
        if not group.gate_points:
            raise UserError(
                f"layer {group.name!r} has no batch norm between it and its readers: gates are not supported there"
            )
        points[group.name] = [(name, _plain(network, name)) for name in group.gate_points]
    values: dict[str, nn.Parameter] = {}
    for group in groups:
        weight = points[group.name][0][1].weight
        values[group.name] = nn.Parameter(torch.full((group.size,), initial, dtype=weight.dtype, device=weight.device))
        for name, plain in points[group.name]:
            gated_type = GatedBatchNorm2d if isinstance(plain, nn.BatchNorm2d) else GatedBatchNorm1d
            gated = _moved(plain, gated_type)
            gated.gate_values = values[group.name]
            gated.function = function
            network.set_submodule(name, gated)
    return values


def remove_gates(network: nn.Module) -> None:
    """Puts plain batch norms back in place; the gates are dropped, not folded into the weights."""
    gated = [(name, module) for name, module in network.named_modules() if isinstance(module, _GatedBatchNorm)]
    for name, module in gated:
        plain_type = nn.BatchNorm2d if isinstance(module, nn.BatchNorm2d) else nn.BatchNorm1d
        network.set_submodule(name, _moved(module, plain_type))


def _plain(network: nn.Module, name: str) -> nn.BatchNorm1d | nn.BatchNorm2d:
    module = network.get_submodule(name)
    if isinstance(module, _GatedBatchNorm):
        raise UserError(f"batch norm {name!r} carries a gate already")
    if not isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) or not module.affine:
        raise UserError(f"layer {name!r} has no weight and bias that a gate could be folded into")
    return module


def _moved(source: nn.modules.batchnorm._BatchNorm, target_type: type[_Target]) -> _Target:
    """A batch norm of another type with the very tensors, mode and hyper-parameters of `source`."""
    target = target_type(
        source.num_features,
        eps=source.eps,
        momentum=source.momentum,
        affine=source.affine,
        track_running_stats=source.track_running_stats,
        device="meta",
    )
    for name in ("weight", "bias"):
        setattr(target, name, getattr(source, name))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        setattr(target, name, getattr(source, name))
    return target.train(source.training)
