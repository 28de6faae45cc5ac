"""ResNet50 and MobileNetV2 for photographs: torchvision's layers, this project's initial weights, no dropout.

ResNet50 (He et al. 2016) has its stride on the 3 x 3 convolutions; MobileNetV2 (Sandler et al. 2018) has width 1.0 and
ReLU6. Both are what the DNAL paper's counts fit (4.09 G, 25.55 M; 300.79 M, 3.50 M).
"""

from __future__ import annotations

from torch import nn
from torchvision.models.mobilenetv2 import MobileNetV2
from torchvision.models.resnet import Bottleneck, ResNet

from harness.backbones.initialise import initialise
from harness.data.catalogue import DataSet


class ResNet50(ResNet):  # type: ignore[misc]
    """Modules are `conv1`, `bn1`, `layer1.0.conv1`, ..., `layer1.0.downsample.0`, ..., `fc`."""

    paper_leaves_out_projection_norms = True
    """The paper's counts lack the 7,680 parameters of the projections' batch norms, in this network alone."""

    def __init__(self, data_set: DataSet) -> None:
        """Builds and initialises; the data set gives the classes."""
        super().__init__(Bottleneck, [3, 4, 6, 3], num_classes=data_set.classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the initial weights from torch's global generator: the linear layer's as torch does."""
        initialise(self, linear="framework")


class ImageNetMobileNetV2(MobileNetV2):  # type: ignore[misc]
    """Modules are `features.0.0`, `features.0.1`, `features.1.conv.0.0`, ..., `features.18.1`, `classifier.1`."""

    def __init__(self, data_set: DataSet) -> None:
        """Builds and initialises; the data set gives the classes."""
        super().__init__(num_classes=data_set.classes)
        self.classifier[0] = nn.Identity()  # the paper trains without dropout
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the initial weights from torch's global generator."""
        initialise(self)


def resnet50(data_set: DataSet) -> nn.Module:
    """ResNet50."""
    return ResNet50(data_set)


def mobilenetv2_imagenet(data_set: DataSet) -> nn.Module:
    """MobileNetV2 without dropout."""
    return ImageNetMobileNetV2(data_set)
