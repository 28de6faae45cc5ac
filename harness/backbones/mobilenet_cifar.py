"""MobileNetV2 for small images as the DNAL paper counts it (91.17 M, 2.30 M).

It is not the network of Sandler et al. 2018 at another resolution but the variant that is widely used for CIFAR-10:
the stem and the first two stages keep the resolution, the first block widens by a factor of 1 with a convolution of
its own, and blocks of stride 1 between different widths have a 1 x 1 convolution as shortcut. The counts of the paper
fit this variant alone. The activation is ReLU, not ReLU6, because that variant has it; which of the two the paper
trained is not known, and no count depends on it.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from harness.backbones.initialise import initialise
from harness.backbones.mbconv import MBConv
from harness.data.catalogue import DataSet

_STEM, _HEAD = 32, 1280
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""(expansion, width, blocks, stride of the first)."""


class InvertedResidual(MBConv):
    """An MBConv; where its stride is 1, its input is added, through a 1 x 1 convolution if the widths differ.

    That convolution and its batch norm are `shortcut` and `shortcut_bn`.
    """

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, functional.relu, hidden=in_channels * expansion, stride=stride)
        self.adds = stride == 1
        self.projects = self.adds and in_channels != out_channels
        if self.projects:
            self.shortcut = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
            self.shortcut_bn = nn.BatchNorm2d(out_channels)

    def forward(self, stream: Tensor) -> Tensor:
        """[batch, in_channels, height, width] → [batch, out_channels, height / stride, width / stride]."""
        branch = super().forward(stream)
        if not self.adds:
            return branch
        shortcut: Tensor = self.shortcut_bn(self.shortcut(stream)) if self.projects else stream
        return branch + shortcut


class CifarMobileNetV2(nn.Module):
    """A 3 x 3 stem, 17 inverted residual blocks, a 1 x 1 convolution, global average pool, one linear layer.

    Modules are `stem`, `stem_bn`, `blocks.0.expand`, ..., `feature_mix`, `feature_mix_bn`, `classifier`.
    """

    kept_whole = ("stem",)
    """Layers whose channels are nobody's to cut: the paper has no gate there."""

    def __init__(self, data_set: DataSet, width: float = 1.0) -> None:
        """Builds and initialises.

        Args:
            data_set: gives channels and classes.
            width: factor of all widths.
        """
        super().__init__()
        channels = round(width * _STEM)
        self.stem = nn.Conv2d(data_set.channels, channels, kernel_size=3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(channels)
        blocks = []
        for expansion, full_width, repeats, first_stride in _STAGES:
            for position in range(repeats):
                wanted = round(width * full_width)
                blocks.append(InvertedResidual(channels, wanted, expansion, first_stride if position == 0 else 1))
                channels = wanted
        self.blocks = nn.Sequential(*blocks)
        head = round(width * _HEAD)
        self.feature_mix = nn.Conv2d(channels, head, kernel_size=1, bias=False)
        self.feature_mix_bn = nn.BatchNorm2d(head)
        self.classifier = nn.Linear(head, data_set.classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the initial weights from torch's global generator."""
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """[batch, channels, height, width] → logits [batch, classes]."""
        stream = self.blocks(functional.relu(self.stem_bn(self.stem(images))))
        mixed = functional.relu(self.feature_mix_bn(self.feature_mix(stream)))
        logits: Tensor = self.classifier(functional.adaptive_avg_pool2d(mixed, 1).flatten(1))
        return logits


def mobilenetv2_cifar(data_set: DataSet, width: float = 1.0) -> nn.Module:
    """MobileNetV2 for 32 x 32 images, all widths times `width`."""
    return CifarMobileNetV2(data_set, width)
