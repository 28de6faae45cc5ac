"""The inverted bottleneck of mobile networks (Sandler et al. 2018, section 3.3): widen, filter each channel, narrow."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

Activation = Callable[[Tensor], Tensor]


class MBConv(nn.Module):
    """1 x 1 convolution to more channels, depthwise k x k convolution, 1 x 1 convolution without activation.

    Modules are `expand`, `expand_bn`, `depthwise`, `depthwise_bn`, `project`, `project_bn`; without `expand` the first
    two are missing. There is no shortcut: whoever uses the block adds one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        activation: Activation,
        *,
        hidden: int | None = None,
        kernel: int = 3,
        stride: int = 1,
        eps: float = 1e-5,
    ) -> None:
        """Builds.

        Args:
            in_channels: of the input.
            out_channels: of the output.
            activation: after the first two batch norms.
            hidden: channels that the first convolution makes; None: there is no first convolution.
            kernel: height and width of the depthwise convolution, pixels; odd.
            stride: of the depthwise convolution.
            eps: of batch norm.
        """
        super().__init__()
        self.widens = hidden is not None
        self.activation = activation
        if hidden is not None:
            self.expand = nn.Conv2d(in_channels, hidden, kernel_size=1, bias=False)
            self.expand_bn = nn.BatchNorm2d(hidden, eps=eps)
        wide = in_channels if hidden is None else hidden
        self.depthwise = nn.Conv2d(wide, wide, kernel, stride, padding=kernel // 2, groups=wide, bias=False)
        self.depthwise_bn = nn.BatchNorm2d(wide, eps=eps)
        self.project = nn.Conv2d(wide, out_channels, kernel_size=1, bias=False)
        self.project_bn = nn.BatchNorm2d(out_channels, eps=eps)

    def forward(self, stream: Tensor) -> Tensor:
        """[batch, in_channels, height, width] → [batch, out_channels, ⌈height / stride⌉, ⌈width / stride⌉]."""
        wide = self.activation(self.expand_bn(self.expand(stream))) if self.widens else stream
        filtered = self.activation(self.depthwise_bn(self.depthwise(wide)))
        narrow: Tensor = self.project_bn(self.project(filtered))
        return narrow
