"""Small networks with streams, one feature each."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from harness.backbones.mbconv import MBConv
from harness.backbones.resnet_cifar import BasicBlock


class Residual(nn.Module):
    """A stem, a block with an identity shortcut, a block with a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(8)
        self.conv1 = nn.Conv2d(8, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.conv3 = nn.Conv2d(8, 10, 3, stride=2, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(10)
        self.conv4 = nn.Conv2d(10, 12, 3, padding=1, bias=False)
        self.bn4 = nn.BatchNorm2d(12)
        self.projection = nn.Conv2d(8, 12, 1, stride=2, bias=False)
        self.projection_bn = nn.BatchNorm2d(12)
        self.linear = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_bn(self.stem(x)).relu()
        x = (x + self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))).relu()
        branch = self.bn4(self.conv4(self.bn3(self.conv3(x)).relu()))
        x = (branch + self.projection_bn(self.projection(x))).relu()
        return self.linear(x.mean((2, 3)))


class Depthwise(nn.Module):
    """An inverted residual block with squeeze-and-excitation inside."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(6)
        self.expand = nn.Conv2d(6, 12, 1, bias=False)
        self.expand_bn = nn.BatchNorm2d(12)
        self.filter = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.filter_bn = nn.BatchNorm2d(12)
        self.squeeze = nn.Conv2d(12, 4, 1)
        self.excite = nn.Conv2d(4, 12, 1)
        self.project = nn.Conv2d(12, 6, 1, bias=False)
        self.project_bn = nn.BatchNorm2d(6)
        self.linear = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu6(self.stem_bn(self.stem(x)))
        y = functional.relu6(self.expand_bn(self.expand(x)))
        y = functional.relu6(self.filter_bn(self.filter(y)))
        y = y * self.excite(self.squeeze(y.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return self.linear((x + self.project_bn(self.project(y))).mean((2, 3)))


class PreActivation(nn.Module):
    """A stream that nobody normalises where it is written: two batch norms read it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv1 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.conv1(self.bn1(x).relu())
        return self.linear(self.bn2(x).relu().mean((2, 3)))


class HalfNormalised(nn.Module):
    """A stream that one reader sees through batch norm and another bare."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv1 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.linear = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.conv1(self.bn1(x).relu())
        return self.linear(x.relu().mean((2, 3)))


class OptionA(nn.Module):
    """Two stages of residual blocks; the stream widens by a shortcut without weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(4)
        self.block1 = BasicBlock(4, 4, 1)
        self.block2 = BasicBlock(4, 8, 2)
        self.block3 = BasicBlock(8, 8, 1)
        self.linear = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block3(self.block2(self.block1(self.stem_bn(self.stem(x)).relu())))
        return self.linear(x.mean((2, 3)))


class Mixed(nn.Module):
    """A layer that is the sum of three candidates alone, and one that also adds its input."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(4)
        self.mixed1 = nn.ModuleList(self._candidate(4, 6, kernel) for kernel in (1, 3, 5))
        self.mixed2 = nn.ModuleList(self._candidate(6, 6, kernel) for kernel in (1, 3))
        self.head = nn.Conv2d(6, 7, 1, bias=False)
        self.head_bn = nn.BatchNorm2d(7)
        self.linear = nn.Linear(7, 3)

    @staticmethod
    def _candidate(inputs: int, outputs: int, kernel: int) -> nn.Module:
        return MBConv(inputs, outputs, functional.relu6, hidden=5 + kernel, kernel=kernel)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu6(self.stem_bn(self.stem(x)))
        x = sum(candidate(x) for candidate in self.mixed1)
        x = sum((candidate(x) for candidate in self.mixed2), x)
        return self.linear(functional.relu6(self.head_bn(self.head(x))).mean((2, 3)))


class DepthwiseOnStream(nn.Module):
    """An inverted residual block without expansion: its depthwise filter reads the stream itself."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(6)
        self.filter = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.filter_bn = nn.BatchNorm2d(6)
        self.project = nn.Conv2d(6, 6, 1, bias=False)
        self.project_bn = nn.BatchNorm2d(6)
        self.linear = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_bn(self.stem(x)).relu()
        return self.linear((x + self.project_bn(self.project(self.filter_bn(self.filter(x)).relu()))).mean((2, 3)))


class Grouped(nn.Module):
    """A residual block whose middle convolution filters four groups of channels apart."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(6)
        self.conv1 = nn.Conv2d(6, 12, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(12)
        self.conv2 = nn.Conv2d(12, 12, 3, padding=1, groups=4)
        self.conv3 = nn.Conv2d(12, 6, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(6)
        self.linear = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_bn(self.stem(x)).relu()
        y = self.bn3(self.conv3(self.conv2(self.bn1(self.conv1(x)).relu()).relu()))
        return self.linear((x + y).relu().mean((2, 3)))


class LinearResidual(nn.Module):
    """A stream between linear layers, with and without batch norm at the ends of its branches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(128, 8)
        self.linear1 = nn.Linear(8, 6)
        self.linear2 = nn.Linear(6, 8)
        self.bn = nn.BatchNorm1d(8)
        self.linear3 = nn.Linear(8, 8)
        self.linear = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x.flatten(1)).relu()
        x = (x + self.bn(self.linear2(self.linear1(x).relu()))).relu()
        return self.linear((x + self.linear3(x)).relu())


class Nested(nn.Module):
    """A branch that has a stream of its own, with a branch of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(6)
        self.begin = nn.Conv2d(6, 5, 1)
        self.inner1 = nn.Conv2d(5, 4, 3, padding=1)
        self.inner2 = nn.Conv2d(4, 5, 3, padding=1)
        self.end = nn.Conv2d(5, 6, 1, bias=False)
        self.end_bn = nn.BatchNorm2d(6)
        self.linear = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_bn(self.stem(x)).relu()
        y = self.begin(x).relu()
        y = (y + self.inner2(self.inner1(y).relu())).relu()
        return self.linear((x + self.end_bn(self.end(y))).relu().mean((2, 3)))
