"""What holds for every method that scores once, on networks with every kind of group."""

from __future__ import annotations

import copy
from typing import cast

import pytest
import torch
from torch import nn

from harness.channels.cost import CostModel
from harness.channels.graph import ChannelGraph, ChannelGroup
from harness.errors import StageFailure
from harness.method import Task
from harness.registry import method
from methods._images import dense_macs
from tests.channels.networks import IMAGES, NETWORKS, backbone, example
from tests.methods.scoring import SCORING, scored, scoring, small

LOOKING = [name for name, params in SCORING.items() if params]

each_method = pytest.mark.parametrize("name", SCORING)
each_network = pytest.mark.parametrize("kind", [kind.__name__ for kind in NETWORKS])


def scorable(name: str, graph: ChannelGraph) -> list[str]:
    """The groups that the method scores: of `bn_scale` those with a batch norm, of others all."""
    return [group.name for group in graph.groups.values() if group.norms or name != "bn_scale"]


@each_network
@each_method
def test_every_channel_of_every_group_has_a_finite_score_that_is_not_negative(name: str, kind: str) -> None:
    network, graph = small(kind)
    scores = scored(name, network, graph, scorable(name, graph))
    assert list(scores) == scorable(name, graph)
    for group, values in scores.items():
        assert values.shape == (graph.groups[group].size,)
        assert bool(values.isfinite().all())
        assert float(values.min()) >= 0


@pytest.mark.parametrize("kind", ["vgg16_eighth", "resnet20_quarter", "mobilenetv2_quarter"])
@each_method
def test_networks_of_the_papers_are_scored_in_every_group(name: str, kind: str) -> None:
    network, graph = backbone(kind)
    scores = scored(name, network, graph)
    assert {group: len(values) for group, values in scores.items()} == graph.widths
    assert all(bool(values.isfinite().all()) for values in scores.values())
    # Maps of few pixels may all have the same rank; nothing else gives all channels of a layer one score.
    assert name == "hrank" or all(len(values.unique()) > 1 for values in scores.values())


@each_network
@each_method
def test_scoring_leaves_the_network_as_it_was(name: str, kind: str) -> None:
    original, graph = small(kind)
    network = copy.deepcopy(original).train()
    next(module for module in network.modules() if isinstance(module, nn.Linear)).eval()
    modes = [module.training for module in network.modules()]
    scored(name, network, graph, scorable(name, graph))
    for key, tensor in original.state_dict().items():
        assert torch.equal(network.state_dict()[key], tensor), key
    assert [module.training for module in network.modules()] == modes
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@each_network
@each_method
def test_scores_move_with_the_channels(name: str, kind: str) -> None:
    """The channels of each plain group change places, the network computes the same: scores change places too."""
    network, graph = small(kind)
    before = scored(name, network, graph, scorable(name, graph))
    for group in map(graph.groups.__getitem__, before):
        if group.kind in ("branch", "stream") or group.rows > 1:
            continue
        order = torch.randperm(group.size, generator=torch.Generator().manual_seed(3))
        turned = permuted(network, group, order)
        assert torch.allclose(turned(IMAGES.double()), network(IMAGES.double()))
        after = scored(name, turned, graph, [group.name])
        torch.testing.assert_close(after[group.name], before[group.name][order], rtol=1e-6, atol=1e-6)


def permuted(network: nn.Module, group: ChannelGroup, order: torch.Tensor) -> nn.Module:
    """A copy in which channel `order[c]` of the group has become channel c."""
    turned = copy.deepcopy(network)

    def turn(layer: str, tensor: str, dimension: int, start: int, repeat: int) -> None:
        values = getattr(turned.get_submodule(layer), tensor, None)
        if values is None:
            return
        places = torch.arange(values.shape[dimension])
        own = torch.arange(group.size * repeat).view(group.size, repeat)[order].flatten()
        places[start : start + group.size * repeat] = start + own
        values.data = values.data.index_select(dimension, places)

    for layer in group.producers:
        turn(layer, "weight", 0, 0, 1)
        turn(layer, "bias", 0, 0, 1)
    for part in group.norms:
        for tensor in ("weight", "bias", "running_mean", "running_var"):
            turn(part.layer, tensor, 0, part.start, part.repeat)
    for part in group.consumers:
        turn(part.layer, "weight", 1, part.start, part.repeat)
    return turned


@each_method
def test_the_same_task_gives_the_same_scores(name: str) -> None:
    network, graph = small("Residual")
    first, second = scored(name, network, graph), scored(name, network, graph)
    assert all(torch.equal(first[group], second[group]) for group in graph.groups)


@each_network
def test_macs_of_a_pass_are_those_of_the_cost_model(kind: str) -> None:
    network, graph = small(kind)
    assert dense_macs(graph) == CostModel(network, graph, IMAGES).dense_macs


@pytest.mark.parametrize(("name", "passes"), [("hrank", 6), ("chip", 6), ("nisp", 6), ("taylor", 3 * 8), ("fpgm", 0)])
def test_a_score_bills_its_forward_passes_once_and_those_with_gradients_thrice(name: str, passes: int) -> None:
    network, graph = small("Residual")
    task = scoring(name, network, graph)
    method(name)().score(cast("Task", task))  # type: ignore[attr-defined]
    assert task.billed == passes * dense_macs(graph)


@pytest.mark.parametrize("name", LOOKING)
def test_images_are_looked_at_in_use_not_in_training(name: str) -> None:
    """Batch norm's running statistics count: with others the scores are others."""
    network, graph = small("Residual")
    shifted = copy.deepcopy(network).train()
    before = scored(name, network, graph)
    with torch.no_grad():
        shifted.get_submodule("bn1").running_mean.add_(1.0)  # type: ignore[operator, union-attr]
    after = scored(name, shifted, graph)
    assert not torch.allclose(after["conv1"], before["conv1"])


def test_a_group_without_batch_norm_is_refused_by_its_name() -> None:
    network, graph = small("Chain")
    with pytest.raises(StageFailure, match="invalid network: no batch norm scales the channels of group 'conv3'"):
        scored("bn_scale", network, graph)


def test_a_network_whose_maps_are_not_numbers_has_diverged() -> None:
    network, graph = example(NETWORKS[0])
    broken = copy.deepcopy(network)
    broken.get_submodule("conv2").weight.data.fill_(float("nan"))  # type: ignore[operator, union-attr]
    for name in ("hrank", "chip"):
        with pytest.raises(StageFailure, match="diverged: feature maps of group 'conv2' are not numbers"):
            scored(name, broken, graph)
