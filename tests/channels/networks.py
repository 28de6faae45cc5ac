"""Small networks with one feature each, and random selections of their channels."""

from __future__ import annotations

from functools import cache

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from harness.channels.graph import ChannelGraph, KeptChannels

IMAGES = torch.zeros(1, 2, 8, 8)


class Chain(nn.Module):
    """Convolutions with and without bias and batch norm, a flatten of 4 x 4, a head with 1-d batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.conv3 = nn.Conv2d(8, 5, (1, 3), padding=(0, 1))
        self.linear1 = nn.Linear(5 * 16, 7)
        self.bn = nn.BatchNorm1d(7)
        self.linear2 = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 2)
        x = self.conv3(self.bn2(self.conv2(x)).relu()).relu()
        return self.linear2(self.bn(self.linear1(x.flatten(1))).relu())


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


NETWORKS: tuple[type[nn.Module], ...] = (Chain, Residual, Depthwise, PreActivation, HalfNormalised)


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network in float64 with random batch norms and biases, so that no shift is accidentally zero."""
    generator = torch.Generator().manual_seed(seed)
    network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            spread = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.7
            parameter.normal_(0.0, spread, generator=generator)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(0.0, 0.5, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    return network


@cache
def example(kind: type[nn.Module]) -> tuple[nn.Module, ChannelGraph]:
    """A randomised network in evaluation mode and its graph; tests must not change them."""
    network = randomised(kind()).eval()
    return network, ChannelGraph.trace(network, IMAGES)


def images(count: int = 4, seed: int = 7) -> Tensor:
    return torch.randn(count, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def selections(graph: ChannelGraph) -> st.SearchStrategy[KeptChannels]:
    """Any selection that leaves each group one channel or more; groups may be absent."""
    subsets = {
        name: st.sets(st.integers(0, size - 1), min_size=1).map(lambda chosen: tuple(sorted(chosen)))
        for name, size in graph.widths.items()
    }
    return st.fixed_dictionaries({}, optional=subsets)
