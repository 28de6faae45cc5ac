"""The ProxylessNAS supernet as DNAL searches it (Guo et al. 2022; search space of Cai et al. 2019, section 3.1).

Every mixed layer runs all its candidates and adds them up: there are no path weights, no sampling and no empty
candidate. What a search takes away are channels of candidates, and with its last channel a candidate.
"""

from __future__ import annotations

import operator
from functools import reduce
from itertools import chain

from torch import Tensor, nn
from torch.nn import functional

from harness.backbones.initialise import initialise
from harness.backbones.mbconv import MBConv
from harness.data.catalogue import DataSet

_EPS = 1e-3
_STEM, _FIRST, _HEAD = 32, 16, 1280
_STAGES = ((24, 4, 2), (40, 4, 2), (80, 4, 2), (96, 4, 1), (192, 4, 2), (320, 1, 1))
"""(width, mixed layers, stride of the first)."""
_CANDIDATES = tuple((kernel, expansion) for kernel in (3, 5, 7) for expansion in (3, 6))


class MixedLayer(nn.Module):
    """The sum of its candidates, and of its input where stride is 1 and the widths are equal.

    The candidates are its children, `k3e3`, `k3e6`, `k5e3`, ... (kernel, expansion); one that is taken out of the
    module is no longer part of the sum.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.shortcut = stride == 1 and in_channels == out_channels
        for kernel, expansion in _CANDIDATES:
            candidate = MBConv(
                in_channels,
                out_channels,
                functional.relu6,
                hidden=in_channels * expansion,
                kernel=kernel,
                stride=stride,
                eps=_EPS,
            )
            self.add_module(f"k{kernel}e{expansion}", candidate)

    def forward(self, stream: Tensor) -> Tensor:
        """[batch, in_channels, height, width] → [batch, out_channels, ⌈height / stride⌉, ⌈width / stride⌉]."""
        candidates = (candidate(stream) for candidate in self.children())
        total: Tensor = reduce(operator.add, chain(candidates, [stream] if self.shortcut else []))
        return total


class ProxylessNas(nn.Module):
    """A stem, one MBConv without expansion, 21 mixed layers, a 1 x 1 convolution, average pool, one linear layer.

    Modules are `stem`, `stem_bn`, `first`, `mixed1`, ..., `mixed21`, `feature_mix`, `feature_mix_bn`, `classifier`.
    """

    def __init__(self, data_set: DataSet) -> None:
        """Builds and initialises; the data set gives channels and classes."""
        super().__init__()
        self.stem = nn.Conv2d(data_set.channels, _STEM, kernel_size=3, stride=2, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(_STEM, eps=_EPS)
        self.first = MBConv(_STEM, _FIRST, functional.relu6, eps=_EPS)
        channels, self.depth = _FIRST, 0
        for width, layers, first_stride in _STAGES:
            for position in range(layers):
                self.depth += 1
                stride = first_stride if position == 0 else 1
                self.add_module(f"mixed{self.depth}", MixedLayer(channels, width, stride))
                channels = width
        self.feature_mix = nn.Conv2d(channels, _HEAD, kernel_size=1, bias=False)
        self.feature_mix_bn = nn.BatchNorm2d(_HEAD, eps=_EPS)
        self.classifier = nn.Linear(_HEAD, data_set.classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the initial weights from torch's global generator."""
        initialise(self, linear="fan_in")

    def forward(self, images: Tensor) -> Tensor:
        """[batch, channels, height, width] → logits [batch, classes]."""
        stream = self.first(functional.relu6(self.stem_bn(self.stem(images))))
        for position in range(1, self.depth + 1):
            stream = self.get_submodule(f"mixed{position}")(stream)
        mixed = functional.relu6(self.feature_mix_bn(self.feature_mix(stream)))
        logits: Tensor = self.classifier(functional.adaptive_avg_pool2d(mixed, 1).flatten(1))
        return logits


def proxylessnas(data_set: DataSet) -> nn.Module:
    """The whole supernet."""
    return ProxylessNas(data_set)
