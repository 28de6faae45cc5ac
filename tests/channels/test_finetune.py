"""Training the network that was cut is training the one that is masked, step by step."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from harness.channels.graph import ChannelGraph, KeptChannels
from harness.channels.modules import ScatterBatchNorm2d
from harness.channels.surgery import cut, mask
from tests.channels.networks import (
    NETWORKS,
    Chain,
    DepthwiseOnStream,
    Grouped,
    Mixed,
    Nested,
    OptionA,
    PreActivation,
    Residual,
    backbone,
    drawn,
    example,
    images,
    pictures,
    same,
)

EVERYTHING = ("inner", "branch", "stream", "fc")


def train(network: nn.Module, batches: list[Tensor], classes: int) -> list[Tensor]:
    """Three steps of SGD as the recipes have it; the logits of each, and those of the trained network."""
    network.train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-2)
    seen = []
    for batch in batches:
        logits = network(batch)
        seen.append(logits.detach())
        optimiser.zero_grad()
        cross_entropy(logits, torch.arange(len(batch)) % classes).backward()
        optimiser.step()
    with torch.no_grad():
        seen.append(network.eval()(batches[0]))
    return seen


def check(
    network: nn.Module, graph: ChannelGraph, kept: KeptChannels, batches: list[Tensor], tolerance: float = 1e-9
) -> tuple[nn.Module, nn.Module]:
    """Trains both ways and compares logits, weights and statistics of what is kept; the two networks."""
    narrow, masked = cut(network, graph, kept), mask(network, graph, kept)
    classes = narrow(batches[0]).shape[1]
    steps = zip(train(narrow, batches, classes), train(masked, batches, classes), strict=True)
    for step, (one, other) in enumerate(steps):
        assert same(one, other, tolerance), f"step {step}"
    without_hooks = copy.deepcopy(network)
    without_hooks.load_state_dict(masked.state_dict())
    expected = cut(without_hooks, graph, kept).state_dict()
    for name, value in narrow.state_dict().items():
        assert same(value, expected[name], tolerance), name
    return narrow, masked


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_cut_network_learns_what_the_masked_one_learns(kind: type[nn.Module], seed: int) -> None:
    network, graph = example(kind)
    kept = drawn(graph, EVERYTHING, seed, removed=0.5)
    narrow, _ = check(network, graph, kept, [images(6, seed=step) for step in range(3)])
    before = cut(network, graph, kept).state_dict()
    assert not all(same(value, before[name], 1e-3) for name, value in narrow.state_dict().items())


REMOVED: list[tuple[type[nn.Module], KeptChannels]] = [
    (Residual, {"conv2": (), "conv3": (1, 4)}),
    (Residual, {"stem": (0, 1, 2), "conv2": (2, 5), "conv4": ()}),
    (OptionA, {"stem": (0, 3), "block1.conv2": (0,), "block2.conv2": (), "block3.conv2": (7,)}),
    (Mixed, {"mixed1.0.project": (), "mixed1.1.project": (0, 3), "mixed1.2.project": (3, 4), "mixed2.1.expand": ()}),
    (PreActivation, {"conv1": ()}),
    (DepthwiseOnStream, {"project": (), "stream:stem": (0, 1, 4)}),
    (Grouped, {"conv3": (0, 5), "stem": (0, 1)}),
    (Nested, {"end": (1, 2), "inner2": ()}),
]


@pytest.mark.parametrize(("kind", "kept"), REMOVED)
def test_with_branches_removed_and_streams_drained_they_learn_the_same(
    kind: type[nn.Module], kept: KeptChannels
) -> None:
    network, graph = example(kind)
    check(network, graph, kept, [images(6, seed=step) for step in range(3)])


@pytest.mark.parametrize("name", ["resnet20_quarter", "mobilenetv2_quarter"])
@pytest.mark.parametrize("cuts", [("inner", "branch"), ("inner", "stream"), ("inner", "branch", "stream")])
def test_a_residual_backbone_learns_the_same_cut_and_masked(name: str, cuts: tuple[str, ...]) -> None:
    network, graph = backbone(name)
    kept = drawn(graph, cuts, seed=3, removed=0.3)
    narrow, _ = check(network, graph, kept, [pictures(6, seed=step) for step in range(3)])
    if "branch" in cuts:
        assert graph.removed(kept)
        assert any(isinstance(module, ScatterBatchNorm2d) for module in narrow.modules())


def test_weight_decay_moves_masked_weights_and_that_does_not_matter() -> None:
    network, graph = example(Chain)
    _, masked = check(network, graph, {"conv1": (0, 2)}, [images(6, seed=step) for step in range(3)])
    gone = [1, 3, 4, 5]
    assert not same(masked.conv1.weight[gone], network.conv1.weight[gone], 1e-6)


def test_masked_channels_stay_zero_for_their_readers_while_training() -> None:
    network, graph = example(Residual)
    masked = mask(network, graph, {"conv1": (0, 2), "conv2": (1,)})
    train(masked, [images(6, seed=step) for step in range(3)], 3)
    with torch.no_grad():
        x = masked.stem_bn(masked.stem(images())).relu()
        inner = masked.bn1(masked.conv1(x))
        branch = masked.bn2(masked.conv2(inner.relu()))
    assert bool((inner[:, [1, 3, 4, 5]] == 0).all())
    assert bool((branch[:, [0, *range(2, 8)]] == 0).all())


def test_fine_tuning_a_cut_network_leaves_no_gradient_on_what_is_gone() -> None:
    network, graph = example(Mixed)
    narrow = cut(network, graph, {"mixed2.0.project": (), "mixed1.1.project": (0, 3)})
    narrow.train()(images()).square().sum().backward()
    assert all(parameter.grad is not None and parameter.numel() for parameter in narrow.parameters())
