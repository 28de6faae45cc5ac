"""VGG16 for small images as the DNAL paper counts it, and a small network of the same make for digits.

Convolutions have biases and are followed by batch norm and ReLU; the head is one hidden linear layer with batch norm.
This is the network whose counts match the paper's table (313.47 M, 14.99 M; see `channels.paper`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.backbones.initialise import initialise
from harness.data.catalogue import DataSet

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Widths of each stage of configuration D."""
_DIGITS = ((16, 16), (32, 32), (48, 64))


class Vgg(nn.Module):
    """Stages of 3 x 3 convolutions, each stage closed by a max-pool of 2; then a linear head.

    Modules are `features.conv1`, `features.bn1`, `features.relu1`, ..., `features.pool1`, ... and
    `classifier.linear1`, `classifier.bn`, `classifier.relu`, `classifier.linear2`.
    """

    def __init__(self, stages: Sequence[Sequence[int]], data_set: DataSet) -> None:
        """Builds and initialises.

        Args:
            stages: the widths of each stage's convolutions.
            data_set: gives channels, image size (pixels) and classes.
        """
        super().__init__()
        self.features = feature_layers(stages, data_set.channels)
        channels, size = stages[-1][-1], data_set.size // 2 ** len(stages)
        self.classifier = nn.Sequential(
            OrderedDict(
                linear1=nn.Linear(channels * size * size, channels),
                bn=nn.BatchNorm1d(channels),
                relu=nn.ReLU(),
                linear2=nn.Linear(channels, data_set.classes),
            )
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the initial weights from torch's global generator."""
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """[batch, channels, height, width] → logits [batch, classes]."""
        logits: Tensor = self.classifier(torch.flatten(self.features(images), start_dim=1))
        return logits


def feature_layers(stages: Sequence[Sequence[int]], channels: int) -> nn.Sequential:
    """3 x 3 convolutions with batch norm and ReLU, each stage closed by a max-pool of 2.

    Args:
        stages: the widths of each stage's convolutions.
        channels: of an image.

    Returns:
        A sequence of `conv1`, `bn1`, `relu1`, ..., `pool1`, ...
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    count = 0
    for stage, widths in enumerate(stages, start=1):
        for width in widths:
            count += 1
            layers[f"conv{count}"] = nn.Conv2d(channels, width, kernel_size=3, padding=1)
            layers[f"bn{count}"] = nn.BatchNorm2d(width)
            layers[f"relu{count}"] = nn.ReLU()
            channels = width
        layers[f"pool{stage}"] = nn.MaxPool2d(kernel_size=2)
    return nn.Sequential(layers)


def vgg16_cifar(data_set: DataSet, width: float = 1.0) -> nn.Module:
    """VGG16 for 32 x 32 images, all widths times `width` (the hidden linear layer's too)."""
    return Vgg([[max(1, round(width * channels)) for channels in stage] for stage in VGG16], data_set)


def vgg_digits(data_set: DataSet) -> nn.Module:
    """Six convolutions for 8 x 8 images; 0.55 M multiply-adds."""
    return Vgg(_DIGITS, data_set)
