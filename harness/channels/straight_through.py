"""Masks that gradients go past: a masked filter gives nothing and goes on learning.

A filter is a unit: rows of weights, bias, and the batch norms behind them up to the gate. With y = m·F(x; θ) its
parameters get the gradient that they would have at m = 1 for the ∂L/∂y that arrives, as in Lin et al. (IJCAI 2018),
who update a filter by the gradient with respect to the masked filter. What it reads gets m times its share, since a
masked filter gave nothing. No activation is multiplied: the mask is in γ and β going forward, and in the weights by
which the gradient goes back to the layer's input.

A rectifier has no slope at zero, and would keep every gradient from a filter that gives exactly zero. So a masked
filter gives `TRACE` of its output, too little to change a sum in floating point, and enough for a sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.channels.gates import (
    GatedBatchNorm1d,
    GatedBatchNorm2d,
    GatedConv2d,
    GatedLinear,
    _GatedBatchNorm,
    insert_gates,
    remove_gates,
)
from harness.channels.groups import ChannelGroup

TRACE = 2.0**-60
"""What is left of the output of a masked filter that learns on."""

_aten: Any = torch.ops.aten


def insert_masks(
    network: nn.Module, groups: Sequence[ChannelGroup], *, straight_through: bool = True
) -> dict[str, nn.Parameter]:
    """Puts a factor of one on every channel of the groups, in place; setting it to zero masks the channel.

    Args:
        straight_through: masked filters learn on; otherwise their gradients are zero, as behind any gate.

    Returns:
        {group: factors [channels]}. The gradient of a factor is Σ ∂L/∂y·F over its channel in both cases.

    Raises:
        UserError: as `insert_gates`.
    """
    values = insert_gates(network, groups, _with_trace if straight_through else _itself, 1.0)
    if straight_through:
        for module in network.modules():
            if type(module) in _PAST:
                module.__class__ = _PAST[type(module)]
        for group in groups:
            for name in group.producers:
                _let_through(network.get_submodule(name), values[group.name], group.rows)
    return values


def remove_masks(network: nn.Module) -> None:
    """Makes the layers plain again, in place; the masks are dropped, not applied to the weights."""
    for module in network.modules():
        if isinstance(module, _Reader):
            del module.masks
            plain: Any = next(kind for kind in type(module).__mro__ if not issubclass(kind, _Reader))
            module.__class__ = plain
    remove_gates(network)


def _itself(values: Tensor) -> Tensor:
    return values


def _with_trace(values: Tensor) -> Tensor:
    return values + (1 - values) * TRACE


def _let_through(module: nn.Module, values: nn.Parameter, rows: int) -> None:
    """Makes a layer behind which a batch norm carries the mask send back gradients of unmasked filters only."""
    if type(module) in _READERS and getattr(module, "groups", 1) == 1:
        module.__class__ = _READERS[type(module)]
        module.masks = []  # type: ignore[assignment]
    if isinstance(module, _Reader):
        module.masks.append((values, rows))


class _PastBatchNorm(torch.autograd.Function):
    """Batch norm with γ·m and β·m forward, and γ and β backward."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor,
        factor: Tensor,
        running: tuple[Tensor | None, Tensor | None],
        options: tuple[bool, float, float],
    ) -> Tensor:
        training, momentum, eps = options
        outputs, mean, deviation = torch.native_batch_norm(
            inputs, weight * factor, bias * factor, *running, training, momentum, eps
        )
        fixed = (None, None) if training else running
        ctx.save_for_backward(inputs, weight, bias, mean, deviation, *fixed)
        ctx.options = training, eps
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, bias, mean, deviation, running_mean, running_var = ctx.saved_tensors
        training, eps = ctx.options
        to_inputs, to_weight, to_bias = _aten.native_batch_norm_backward(
            gradients[0].contiguous(memory_format=_format(inputs)),
            inputs,
            weight,
            running_mean,
            running_var,
            mean,
            deviation,
            training,
            eps,
            [ctx.needs_input_grad[0], True, True],
        )
        return to_inputs, to_weight, to_bias, to_weight * weight + to_bias * bias, None, None


def _format(tensor: Tensor) -> torch.memory_format:
    last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


class _PastConvolution(torch.autograd.Function):
    """A convolution whose inputs get the gradient through W·m, and whose weights get it as if m were 1."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        mask: Tensor,
        geometry: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    ) -> Tensor:
        ctx.save_for_backward(inputs, weight, mask)
        ctx.geometry = geometry
        return functional.conv2d(inputs, weight, bias, *geometry)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, mask = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        masked = weight * mask.view(-1, 1, 1, 1)

        def of(kernel: Tensor, outputs: list[bool]) -> tuple[Tensor | None, ...]:
            if not any(outputs):
                return None, None, None
            stride, padding, dilation = ctx.geometry
            found: tuple[Tensor | None, ...] = _aten.convolution_backward(
                gradients[0], inputs, kernel, [len(kernel)], stride, padding, dilation, False, [0, 0], 1, outputs
            )
            return found

        to_inputs = of(masked, [wanted[0], False, False])[0]
        _, to_weight, to_bias = of(weight, [False, wanted[1], wanted[2]])
        return to_inputs, to_weight, to_bias, None, None


class _PastLinear(torch.autograd.Function):
    """As `_PastConvolution`, for inputs [images, features]."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, weight, mask)
        return functional.linear(inputs, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, mask = ctx.saved_tensors
        (gradient,) = gradients
        to_inputs = gradient @ (weight * mask.view(-1, 1)) if ctx.needs_input_grad[0] else None
        to_bias = gradient.sum(dim=0) if ctx.needs_input_grad[2] else None
        return to_inputs, gradient.T @ inputs, to_bias, None


class _Reader(nn.Module):
    """A layer that sends no gradient back through masked filters.

    Attributes:
        masks: factors of its filters, and rows for each; all multiply.
    """

    masks: list[tuple[nn.Parameter, int]]

    def mask(self, kind: torch.dtype) -> Tensor:
        """[rows]."""
        whole: Tensor | None = None
        for values, rows in self.masks:
            factor = values.detach().repeat_interleave(rows)
            whole = factor if whole is None else whole * factor
        assert whole is not None
        return whole.to(kind)


class _ReadingConv2d(_Reader, nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        """[B, channels, height, width] → [B, filters, height', width']."""
        inputs, weight, bias = _cast(input, self.weight, self.bias)
        mode: Any = "constant" if self.padding_mode == "zeros" else self.padding_mode
        padding = self.padding
        if mode != "constant" or isinstance(padding, str):
            inputs = functional.pad(inputs, self._reversed_padding_repeated_twice, mode=mode)
            padding = (0, 0)
        geometry = self.stride, padding, self.dilation
        outputs: Tensor = _PastConvolution.apply(inputs, weight, bias, self.mask(weight.dtype), geometry)
        return outputs


class _ReadingLinear(_Reader, nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        """[B, ..., features] → [B, ..., features']."""
        inputs, weight, bias = _cast(input, self.weight, self.bias)
        flat: Tensor = _PastLinear.apply(inputs.flatten(0, -2), weight, bias, self.mask(weight.dtype))
        return flat.view(*inputs.shape[:-1], self.out_features)


def _cast(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """What autocast would make of a layer's arguments."""
    if not torch.is_autocast_enabled(inputs.device.type):
        return inputs, weight, bias
    kind = torch.get_autocast_dtype(inputs.device.type)
    return inputs.to(kind), weight.to(kind), None if bias is None else bias.to(kind)


class _PastMaskBatchNorm(_GatedBatchNorm):
    def forward(self, input: Tensor) -> Tensor:
        """[B, channels, ...] → the same shape, normalised, shifted and masked."""
        self._check_input_dim(input)  # type: ignore[no-untyped-call]
        average = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                average = 1.0 / float(self.num_batches_tracked)
        training = self.training or self.running_mean is None
        running = self.running_mean, self.running_var
        options = training, average, self.eps
        outputs: Tensor = _PastBatchNorm.apply(input, self.weight, self.bias, self.factor(), running, options)
        return outputs


class _PastMaskBatchNorm2d(_PastMaskBatchNorm, GatedBatchNorm2d):
    pass


class _PastMaskBatchNorm1d(_PastMaskBatchNorm, GatedBatchNorm1d):
    pass


class _PastMaskConv2d(GatedConv2d):
    def forward(self, input: Tensor) -> Tensor:
        """Convolves by W·m, whose gradient is W's."""
        weight, bias = _masked(self.weight, self.bias, self.factor())
        output: Tensor = self._conv_forward(input, weight, bias)
        return output


class _PastMaskLinear(GatedLinear):
    def forward(self, input: Tensor) -> Tensor:
        """Multiplies by W·m, whose gradient is W's."""
        weight, bias = _masked(self.weight, self.bias, self.factor())
        assert weight is not None
        return functional.linear(input, weight, bias)


def _masked(weight: Tensor, bias: Tensor | None, factor: Tensor) -> tuple[Tensor, Tensor | None]:
    """m·W and m·b; ∂/∂W and ∂/∂b are those at m = 1, ∂/∂m is as usual."""
    shaped = factor.view(-1, *[1] * (weight.dim() - 1))
    return _past(weight, shaped), None if bias is None else _past(bias, factor)


def _past(values: Tensor, factor: Tensor) -> Tensor:
    """m·v, exactly, as a function of v with slope 1 and of m with slope v."""
    product = values.detach() * factor
    return product + (values - values.detach())


_PAST: dict[type[nn.Module], type[nn.Module]] = {
    GatedBatchNorm2d: _PastMaskBatchNorm2d,
    GatedBatchNorm1d: _PastMaskBatchNorm1d,
    GatedConv2d: _PastMaskConv2d,
    GatedLinear: _PastMaskLinear,
}
_READERS: dict[type[nn.Module], type[_Reader]] = {nn.Conv2d: _ReadingConv2d, nn.Linear: _ReadingLinear}
