"""What stands in a cut network where a plain layer has no form for what is left."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class _Scatters(nn.Module):
    """Writes its channels into a wider stream, zero elsewhere.

    Attributes:
        places: int64 [channels]: the stream's channel that each is written to.
        stream_width: channels of the stream.
    """

    places: Tensor
    stream_width: int

    def forward(self, input: Tensor) -> Tensor:
        """As the layer that it extends, then [batch, channels, ...] → [batch, stream_width, ...]."""
        return scatter(super().forward(input), self.places, self.stream_width)


class ScatterBatchNorm2d(_Scatters, nn.BatchNorm2d):
    """`BatchNorm2d` at the end of a branch that does not write all channels of its stream."""


class ScatterBatchNorm1d(_Scatters, nn.BatchNorm1d):
    """`BatchNorm1d` at the end of such a branch."""


class ScatterConv2d(_Scatters, nn.Conv2d):
    """`Conv2d` at the end of such a branch, where no batch norm follows it."""


class ScatterLinear(_Scatters, nn.Linear):
    """`Linear` at the end of such a branch, where no batch norm follows it."""


_SCATTERS: dict[type[nn.Module], type[_Scatters]] = {
    nn.BatchNorm2d: ScatterBatchNorm2d,
    nn.BatchNorm1d: ScatterBatchNorm1d,
    nn.Conv2d: ScatterConv2d,
    nn.Linear: ScatterLinear,
}


def scatter(channels: Tensor, places: Tensor, width: int) -> Tensor:
    """[batch, channels, ...] → [batch, width, ...], zero where no channel is written."""
    batch, _, *positions = channels.shape
    wide = channels.new_zeros((batch, width, *positions))
    if channels.dim() == 4 and channels.is_contiguous(memory_format=torch.channels_last):
        wide = wide.contiguous(memory_format=torch.channels_last)
    return wide.index_copy_(1, places, channels)


def write_into_stream(network: nn.Module, name: str, places: Sequence[int], width: int) -> None:
    """Makes the layer `name` write its channels to these places of a stream of `width` channels, in place."""
    module = network.get_submodule(name)
    kind = type(module)
    if kind not in _SCATTERS:
        raise TypeError(f"{kind.__name__} is no plain layer, so that it cannot write a part of its stream")
    module.__class__ = _SCATTERS[kind]
    device = next((tensor.device for tensor in (*module.parameters(), *module.buffers())), None)
    index = torch.tensor(list(places), dtype=torch.int64, device=device)
    module.register_buffer("places", index, persistent=False)
    module.stream_width = width  # type: ignore[assignment]


class Removed(nn.Module):
    """Stands for a convolution of a branch that was removed: no channels, nothing computed.

    Its output has the height and width that the convolution's would have, so that sizes go on being right.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        """Takes the geometry of `convolution`."""
        super().__init__()
        self.geometry = tuple(
            zip(
                convolution.kernel_size,
                convolution.stride,
                convolution.dilation,
                _padding(convolution),
                strict=True,
            )
        )

    def forward(self, input: Tensor) -> Tensor:
        """[batch, any, height, width] → [batch, 0, height', width']."""
        lengths = [
            (length + padding - dilation * (kernel - 1) - 1) // stride + 1
            for length, (kernel, stride, dilation, padding) in zip(input.shape[2:], self.geometry, strict=True)
        ]
        return input.new_empty((len(input), 0, *lengths))


class Zeros(nn.Module):
    """Stands for the end of a removed branch: writes nothing into a stream of `stream_width` channels."""

    def __init__(self, stream_width: int) -> None:
        super().__init__()
        self.stream_width = stream_width

    def forward(self, input: Tensor) -> Tensor:
        """[batch, 0, height, width] → zeros [batch, stream_width, height, width]."""
        return input.new_zeros((len(input), self.stream_width, *input.shape[2:]))


def _padding(convolution: nn.Conv2d) -> list[int]:
    """Height and width that padding adds, both sides together."""
    if convolution.padding == "same":
        pairs = zip(convolution.dilation, convolution.kernel_size, strict=True)
        return [dilation * (kernel - 1) for dilation, kernel in pairs]
    if convolution.padding == "valid":
        return [0, 0]
    return [2 * int(padding) for padding in convolution.padding]
