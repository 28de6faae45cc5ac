"""The shortcut without parameters of ResNets for CIFAR-10 ("option A" of He et al. 2016, section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class ZeroPadShortcut(nn.Module):
    """Every `stride`-th pixel; the input's channels in the middle of the output's, zeros around them.

    It has neither parameters nor buffers. Which input channel goes where is kept as plain numbers, so that channels
    can be taken away on either side (`narrow`) and nothing is lost on the "meta" device.

    Attributes:
        in_channels: how many are read.
        out_channels: how many are written, zeros included.
        stride: in pixels, of both directions.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        """Raises ValueError if there are fewer output than input channels."""
        super().__init__()
        if not 0 <= in_channels <= out_channels:
            raise ValueError(f"{in_channels} channels cannot be padded to {out_channels}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.stride = stride
        before = (out_channels - in_channels) // 2
        self._targets = tuple(range(before, before + in_channels))
        self._indices: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def channel_targets(self) -> tuple[int, ...]:
        """For each input channel the output channel that it is written to; -1 if it is dropped."""
        return self._targets

    def narrow(self, kept_in: Sequence[int], kept_out: Sequence[int]) -> None:
        """Leaves only these channels, in place; an input channel whose target is gone is no longer written.

        Args:
            kept_in: indices of the present input channels.
            kept_out: indices of the present output channels.

        Raises:
            IndexError: there is no such channel.
        """
        for kept, present in ((kept_in, self.in_channels), (kept_out, self.out_channels)):
            if any(not 0 <= channel < present for channel in kept):
                raise IndexError(f"channels {list(kept)} are to be kept of {present}")
        place = {channel: position for position, channel in enumerate(kept_out)}
        self._targets = tuple(place.get(self._targets[channel], -1) for channel in kept_in)
        self.in_channels = len(kept_in)
        self.out_channels = len(kept_out)
        self._indices = {}
        self._index_tensors(torch.device("cpu"))  # made here, they are no operations of a trace of `forward`

    def forward(self, stream: Tensor) -> Tensor:
        """[batch, in_channels, height, width] → [batch, out_channels, ⌈height / stride⌉, ⌈width / stride⌉].

        The memory format is the input's.
        """
        seen = stream[:, :, :: self.stride, :: self.stride]
        before = self._targets[0] if self._targets else 0
        if before >= 0 and self._targets == tuple(range(before, before + self.in_channels)):
            return functional.pad(seen, (0, 0, 0, 0, before, self.out_channels - self.in_channels - before))
        sources, targets = self._index_tensors(stream.device)
        batch, _, height, width = seen.shape
        tall = torch.channels_last if stream.is_contiguous(memory_format=torch.channels_last) else None
        zeros = torch.empty(
            (batch, self.out_channels, height, width),
            dtype=seen.dtype,
            device=seen.device,
            memory_format=tall or torch.contiguous_format,
        ).zero_()
        return zeros.index_copy_(1, targets, seen.index_select(1, sources))

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{self.in_channels}, {self.out_channels}, stride={self.stride}"

    def _index_tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The input channels that are written and where to; made once for each device."""
        if device not in self._indices:
            written = [source for source, target in enumerate(self._targets) if target >= 0]
            targets = [self._targets[source] for source in written]
            # Autograd keeps the indices for the backward pass, which it cannot do with tensors of inference mode.
            with torch.inference_mode(False):
                self._indices[device] = (
                    torch.tensor(written, dtype=torch.long, device=device),
                    torch.tensor(targets, dtype=torch.long, device=device),
                )
        return self._indices[device]
