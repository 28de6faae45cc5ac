"""Small networks with one feature each, and random selections of their channels."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from harness.backbones import build
from harness.backbones.mbconv import MBConv
from harness.backbones.resnet_cifar import BasicBlock
from harness.channels.graph import ChannelGraph, KeptChannels
from harness.data.catalogue import data_set
from harness.errors import StageFailure

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


class Concatenated(nn.Module):
    """Two layers side by side behind one batch norm, which a third reads; the classifier sees all three."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(2, 4, 3, padding=1)
        self.right = nn.Conv2d(2, 6, 1)
        self.bn = nn.BatchNorm2d(10)
        self.one = nn.Conv2d(10, 5, 3, padding=1, bias=False)
        self.one_bn = nn.BatchNorm2d(5)
        self.linear = nn.Linear(15, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(torch.cat([self.left(x), self.right(x)], 1)).relu()
        x = torch.cat([self.one_bn(self.one(x)).relu(), x], 1)
        return self.linear(x.mean((2, 3)))


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


NETWORKS: tuple[type[nn.Module], ...] = (
    Chain,
    Residual,
    Depthwise,
    PreActivation,
    HalfNormalised,
    OptionA,
    Mixed,
    DepthwiseOnStream,
    Concatenated,
    Grouped,
    LinearResidual,
    Nested,
)


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network in float64 with random batch norms and biases, so that no shift is accidentally zero."""
    generator = torch.Generator().manual_seed(seed)
    network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            spread = (2 / parameter[0].numel()) ** 0.5 if parameter.dim() > 1 else 0.7
            parameter.normal_(0.0, spread, generator=generator)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
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


def selections(graph: ChannelGraph, *, empty: bool = True) -> st.SearchStrategy[KeptChannels]:
    """Any selection that leaves a way through the network; groups may be absent.

    Args:
        empty: whether groups inside of branches may lose their last channel.
    """
    subsets = {
        name: st.sets(st.integers(0, size - 1), min_size=0 if empty and graph.may_empty(name) else 1).map(
            lambda chosen: tuple(sorted(chosen))
        )
        for name, size in graph.widths.items()
    }
    return st.fixed_dictionaries({}, optional=subsets).filter(lambda kept: leaves_a_way(graph, kept))


def leaves_a_way(graph: ChannelGraph, kept: KeptChannels) -> bool:
    """Whether a selection can be cut at all."""
    try:
        graph.settled(kept)
    except StageFailure:
        return False
    return True


def same(left: Tensor, right: Tensor, tolerance: float = 1e-10) -> bool:
    """Whether two tensors differ by at most that share of the largest entry (of 1, if all are smaller)."""
    return bool(((left - right).abs() <= tolerance * max(1.0, float(right.abs().max()))).all())


@cache
def backbone(name: str) -> tuple[nn.Module, ChannelGraph]:
    """A randomised network for CIFAR-10 in evaluation mode and its graph; tests must not change them."""
    network = randomised(build(name, data_set("cifar10"), seed=0)).eval()
    return network, ChannelGraph.trace(network, torch.zeros(1, 3, 32, 32))


def pictures(count: int = 2, seed: int = 7) -> Tensor:
    """Random images of 3 x 32 x 32."""
    return torch.randn(count, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def drawn(graph: ChannelGraph, kinds: Sequence[str], seed: int, removed: float = 0.2) -> KeptChannels:
    """A random share of every group of these kinds; of the branches among them, some removed if they can be.

    A branch keeps a share of what its stream keeps.
    """
    generator = random.Random(seed)
    kept: KeptChannels = {}
    for group in graph.cuttable(kinds):
        there = kept.get(group.stream or "", tuple(range(group.size)))
        width = max(1, round(len(there) * generator.uniform(0.3, 0.9)))
        kept[group.name] = tuple(sorted(generator.sample(there, width)))
    for name, branch in graph.branches.items():
        members = [group for group in (name, *branch.inside) if group in kept]
        if branch.sum is not None and members and generator.random() < removed:
            member = generator.choice(members)
            if leaves_a_way(graph, kept | {member: ()}):
                kept[member] = ()
    return kept
