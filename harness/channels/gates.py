"""Gates: one scalar a channel, multiplied into weights that are there anyway, so that it costs nothing.

Batch norm gives y = γ·x̂ + β; a gate g after it is γ' = g·γ and β' = g·β: two products of [channels], and no further
pass over the activations. A layer without batch norm takes its gates into weight and bias. Gated layers stand in for
the plain ones during a search and leave before surgery. Only a shortcut, which has no weights, is really multiplied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.channels.groups import ChannelGroup, Part
from harness.channels.structure import is_shortcut
from harness.errors import StageFailure, UserError

GateFunction = Callable[[Tensor], Tensor]
"""The factor of each channel, given its scalar: [channels] → [channels]."""


@dataclass(frozen=True)
class _Piece:
    """Neighbouring channels of a layer: gated by one group, or by none.

    Attributes:
        gate: which of the layer's `gate_values`, or None.
        places: how many channels of the layer.
        repeat: channels of the layer for each scalar.
    """

    gate: int | None
    places: int
    repeat: int = 1


class _Gated(nn.Module):
    """A layer whose output channels are multiplied by `function` of its gates.

    Its own parameters and statistics have the names of the layer that it stands for.

    Attributes:
        gate_values: scalars, one parameter for each group that gates the layer; shared by all layers of a group.
        function: gives the factors.
        rows: pieces that together cover all channels; rows multiply.
    """

    gate_values: nn.ParameterList
    function: GateFunction
    rows: list[list[_Piece]]

    def factor(self) -> Tensor:
        """[channels of the layer]."""
        whole: Tensor | None = None
        for row in self.rows:
            pieces = [self._piece(piece) for piece in row]
            factor = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
            whole = factor if whole is None else whole * factor
        assert whole is not None
        return whole

    def _piece(self, piece: _Piece) -> Tensor:
        values: Tensor = self.gate_values[piece.gate or 0]
        if piece.gate is None:
            return values.new_ones(piece.places)
        factor = self.function(values)
        return factor if piece.repeat == 1 else factor.repeat_interleave(piece.repeat)


class _GatedBatchNorm(_Gated, nn.modules.batchnorm._BatchNorm):
    def forward(self, input: Tensor) -> Tensor:
        """Normalises, shifts and gates: [batch, channels, ...] → the same shape."""
        self._check_input_dim(input)  # type: ignore[no-untyped-call]
        average = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                average = 1.0 / float(self.num_batches_tracked)
        gate = self.factor()
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
    """`BatchNorm2d` with gates; see `insert_gates`."""


class GatedBatchNorm1d(_GatedBatchNorm, nn.BatchNorm1d):
    """`BatchNorm1d` with gates; see `insert_gates`."""


class GatedConv2d(_Gated, nn.Conv2d):
    """`Conv2d` with gates, where no batch norm follows; see `insert_gates`."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolves and gates."""
        gate = self.factor()
        bias = None if self.bias is None else self.bias * gate
        output: Tensor = self._conv_forward(input, self.weight * gate.view(-1, 1, 1, 1), bias)
        return output


class GatedLinear(_Gated, nn.Linear):
    """`Linear` with gates, where no batch norm follows; see `insert_gates`."""

    def forward(self, input: Tensor) -> Tensor:
        """Multiplies and gates."""
        gate = self.factor()
        bias = None if self.bias is None else self.bias * gate
        return functional.linear(input, self.weight * gate.view(-1, 1), bias)


_GATED: dict[type[nn.Module], type[_Gated]] = {
    nn.BatchNorm2d: GatedBatchNorm2d,
    nn.BatchNorm1d: GatedBatchNorm1d,
    nn.Conv2d: GatedConv2d,
    nn.Linear: GatedLinear,
}


def insert_gates(
    network: nn.Module, groups: Sequence[ChannelGroup], function: GateFunction, initial: float, *, whole: bool = False
) -> dict[str, nn.Parameter]:
    """Puts a gate on every channel of the groups, in place.

    Parameters and statistics of the layers go on as the same tensors under the same names.

    Args:
        function: gives the factors from the scalars; called in every forward pass.
        initial: where all scalars start.
        whole: all channels of a group have one gate together.

    Returns:
        {group: its scalars [channels], or [1] if `whole`}, on the layers' device and of their dtype.

    Raises:
        UserError: a group has a layer that a gate cannot be folded into; nothing was changed.
    """
    gates: dict[str, list[tuple[Part, str]]] = {}
    for group in groups:
        for part in group.gate_points:
            _refuse_ungateable(network.get_submodule(part.layer), part.layer)
            gates.setdefault(part.layer, []).append((part, group.name))
    like = next(network.parameters())
    values = {
        group.name: nn.Parameter(
            torch.full((1 if whole else group.size,), initial, dtype=like.dtype, device=like.device)
        )
        for group in groups
    }
    sizes = {group.name: group.size for group in groups}
    for layer, parts in gates.items():
        module = network.get_submodule(layer)
        module.__class__ = _gated_kind(type(module))
        assert isinstance(module, _Gated)
        module.gate_values = nn.ParameterList([values[name] for _, name in parts])
        module.function = function
        spans = [(part.start, sizes[name] * part.repeat, number) for number, (part, name) in enumerate(parts)]
        repeats = [part.repeat * (sizes[name] if whole else 1) for part, name in parts]
        module.rows = _rows(spans, repeats, _outputs(module))
    return values


def remove_gates(network: nn.Module) -> None:
    """Makes the layers plain again, in place; the gates are dropped, not folded into the weights."""
    for module in network.modules():
        if isinstance(module, _Gated):
            plain: Any = next(base for base in type(module).__mro__ if not issubclass(base, _Gated))
            del module.gate_values, module.function, module.rows
            module.__class__ = plain


def fold_gates(network: nn.Module, function: GateFunction) -> int:
    """Multiplies the gates into the layers' own weights, in place; `remove_gates` then changes nothing.

    Gates that also multiply a shortcut without weights stay out, in all their layers: nothing could carry them there,
    and a stream of which some writers are scaled and others are not is another network.

    Args:
        function: gives the factors from the scalars; called with the very parameters that `insert_gates` gave.

    Returns:
        The number of parameters that stayed out.
    """
    gated = [module for module in network.modules() if isinstance(module, _Gated)]
    lost = {id(values) for module in gated if is_shortcut(module) for values in module.gate_values}

    def foldable(values: Tensor) -> Tensor:
        return torch.ones_like(values) if id(values) in lost else function(values)

    with torch.no_grad():
        for module in gated:
            if is_shortcut(module):
                continue
            module.function = foldable
            factor = module.factor()
            assert isinstance(module.weight, Tensor)
            module.weight.mul_(factor.view(-1, *[1] * (module.weight.dim() - 1)))
            if isinstance(module.bias, Tensor):
                module.bias.mul_(factor)
    return len(lost)


def norm_weights(network: nn.Module, groups: Sequence[ChannelGroup]) -> dict[str, nn.Parameter]:
    """Batch norm's own γ where gates of the groups would be: {batch norm: its weight [channels]}.

    Raises:
        StageFailure: "invalid network" if a group has no batch norm with weights there.
    """
    found: dict[str, nn.Parameter] = {}
    for group in groups:
        own = {part.layer: weight for part, weight in _own_norms(network, group)}
        found |= own
    return found


def norm_scores(network: nn.Module, groups: Sequence[ChannelGroup]) -> dict[str, Tensor]:
    """{group: mean |γ| over the places that each channel has in its batch norms [channels], on the CPU}.

    Raises:
        StageFailure: as `norm_weights`.
    """
    scores = {}
    for group in groups:
        members = [
            weight.detach()[part.start : part.start + group.size * part.repeat].view(group.size, part.repeat)
            for part, weight in _own_norms(network, group)
        ]
        scores[group.name] = torch.cat(members, dim=1).abs().mean(dim=1).cpu()
    return scores


def _own_norms(network: nn.Module, group: ChannelGroup) -> list[tuple[Part, nn.Parameter]]:
    norms = []
    for part in group.gate_points:
        module = network.get_submodule(part.layer)
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
            norms.append((part, module.weight))
    if not norms:
        raise StageFailure("invalid network", f"group {group.name!r} has no batch norm whose γ could be its gate")
    return norms


def _refuse_ungateable(module: nn.Module, name: str) -> None:
    if isinstance(module, _Gated):
        raise UserError(f"layer {name!r} carries a gate already")
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and not module.affine:
        raise UserError(f"batch norm {name!r} has no weight and bias that a gate could be folded into")
    if type(module) not in _GATED and not is_shortcut(module):
        raise UserError(f"layer {name!r} ({type(module).__name__}) has nothing that a gate could be folded into")


def _gated_kind(kind: type[nn.Module]) -> type[nn.Module]:
    """The gated form of a layer's class."""
    if kind in _GATED:
        return _GATED[kind]

    class GatedShortcut(_Gated, kind):  # type: ignore[misc, valid-type]
        """A shortcut without weights whose output is multiplied by its gates."""

        def forward(self, input: Tensor) -> Tensor:
            output: Tensor = super().forward(input)
            return output * self.factor().view(1, -1, 1, 1)

    return GatedShortcut


def _outputs(module: nn.Module) -> int:
    for name in ("num_features", "out_channels", "out_features"):
        if hasattr(module, name):
            return int(getattr(module, name))
    raise AssertionError(f"{type(module).__name__} has no outputs")


def _rows(spans: list[tuple[int, int, int]], repeats: list[int], channels: int) -> list[list[_Piece]]:
    """Pieces of all spans (start, places, gate), in as few rows as do not overlap within themselves."""
    rows: list[list[_Piece]] = []
    waiting = sorted(spans)
    while waiting:
        row, left, end = [], [], 0
        for start, places, gate in waiting:
            if start < end:
                left.append((start, places, gate))
                continue
            if start > end:
                row.append(_Piece(None, start - end))
            row.append(_Piece(gate, places, repeats[gate]))
            end = start + places
        if end < channels:
            row.append(_Piece(None, channels - end))
        rows.append(row)
        waiting = left
    return rows
