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
from harness.channels.graph import ChannelGraph, KeptChannels
from harness.data.catalogue import data_set
from harness.errors import StageFailure
from tests.channels.residual_networks import (
    Depthwise,
    DepthwiseOnStream,
    Grouped,
    HalfNormalised,
    LinearResidual,
    Mixed,
    Nested,
    OptionA,
    PreActivation,
    Residual,
)

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
    scale = max(1.0, float(right.detach().abs().max()))
    return bool(((left - right).abs() <= tolerance * scale).all())


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
