"""ResNets for small images (He et al. 2016, section 4.2): 6n + 2 layers, shortcuts without parameters."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from harness.backbones.initialise import initialise
from harness.backbones.shortcut import ZeroPadShortcut
from harness.data.catalogue import DataSet

_WIDTHS = (16, 32, 64)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut around them."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        alike = stride == 1 and in_channels == channels
        self.shortcut = nn.Identity() if alike else ZeroPadShortcut(in_channels, channels, stride)

    def forward(self, stream: Tensor) -> Tensor:
        """[batch, in_channels, height, width] → [batch, channels, height / stride, width / stride]."""
        branch = functional.relu(self.bn1(self.conv1(stream)))
        return functional.relu(self.bn2(self.conv2(branch)) + self.shortcut(stream))


class CifarResNet(nn.Module):
    """A 3 x 3 stem, three stages of basic blocks, global average pool, one linear layer.

    Modules are `conv1`, `bn1`, `layer1.0.conv1`, `layer1.0.bn1`, `layer1.0.conv2`, `layer1.0.bn2`,
    `layer1.0.shortcut`, ..., `linear`.
    """

    def __init__(self, blocks: int, data_set: DataSet, width: float = 1.0) -> None:
        """Builds and initialises.

        Args:
            blocks: of each stage.
            data_set: gives channels and classes.
            width: factor of the widths 16, 32, 64.
        """
        super().__init__()
        widths = [max(1, round(width * channels)) for channels in _WIDTHS]
        self.conv1 = nn.Conv2d(data_set.channels, widths[0], kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layer1 = _stage(widths[0], widths[0], blocks, stride=1)
        self.layer2 = _stage(widths[0], widths[1], blocks, stride=2)
        self.layer3 = _stage(widths[1], widths[2], blocks, stride=2)
        self.linear = nn.Linear(widths[2], data_set.classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the initial weights from torch's global generator: the linear layer's as torch does."""
        initialise(self, linear="framework")

    def forward(self, images: Tensor) -> Tensor:
        """[batch, channels, height, width] → logits [batch, classes]."""
        stream = functional.relu(self.bn1(self.conv1(images)))
        stream = self.layer3(self.layer2(self.layer1(stream)))
        logits: Tensor = self.linear(functional.adaptive_avg_pool2d(stream, 1).flatten(1))
        return logits


def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, channels, stride)
    return nn.Sequential(first, *(BasicBlock(channels, channels, 1) for _ in range(blocks - 1)))


def resnet_cifar(data_set: DataSet, blocks: int, width: float = 1.0) -> nn.Module:
    """A ResNet of 6 · `blocks` + 2 layers (3: ResNet20, 9: ResNet56), all widths times `width`."""
    return CifarResNet(blocks, data_set, width)
