"""VGG16 for photographs (Simonyan and Zisserman 2015, configuration D) with batch norm, as the DNAL paper counts it.

Convolutions have biases; the two hidden linear layers have batch norm where the original has dropout.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from harness.backbones.initialise import initialise
from harness.backbones.vgg import VGG16, feature_layers
from harness.data.catalogue import DataSet

_HIDDEN = 4096


class ImageNetVgg16(nn.Module):
    """Thirteen 3 x 3 convolutions with five max-pools, two hidden linear layers, one to the classes.

    Modules are `features.conv1`, `features.bn1`, `features.relu1`, ..., `features.pool5`, and `classifier.linear1`,
    `classifier.bn1`, `classifier.relu1`, ..., `classifier.linear3`. The first linear layer reads as many pixels as
    the images leave: 7 x 7 of 224 x 224.
    """

    def __init__(self, data_set: DataSet) -> None:
        """Builds and initialises; the data set gives channels, image size (pixels, a multiple of 32) and classes."""
        super().__init__()
        self.features = feature_layers(VGG16, data_set.channels)
        side = data_set.size // 2 ** len(VGG16)
        self.classifier = nn.Sequential(
            OrderedDict(
                linear1=nn.Linear(VGG16[-1][-1] * side * side, _HIDDEN),
                bn1=nn.BatchNorm1d(_HIDDEN),
                relu1=nn.ReLU(),
                linear2=nn.Linear(_HIDDEN, _HIDDEN),
                bn2=nn.BatchNorm1d(_HIDDEN),
                relu2=nn.ReLU(),
                linear3=nn.Linear(_HIDDEN, data_set.classes),
            )
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the initial weights from torch's global generator."""
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """[batch, channels, height, width] → logits [batch, classes]."""
        logits: Tensor = self.classifier(self.features(images).flatten(1))
        return logits


def vgg16_imagenet(data_set: DataSet) -> nn.Module:
    """VGG16-D with batch norm and no dropout."""
    return ImageNetVgg16(data_set)
