"""Any of torchvision's classifiers has its graph without anybody's help, or is refused by the name of a layer.

The graphs are those of the whole networks; what is run are the same networks cut to a few channels a group.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from harness.backbones import build
from harness.channels.cost import CostModel
from harness.channels.gates import insert_gates, remove_gates
from harness.channels.graph import ChannelGraph
from harness.channels.surgery import cut, mask
from harness.data.catalogue import data_set
from harness.errors import UserError
from harness.measure.macs import count_macs, count_macs_torch, count_params
from tests.channels.networks import drawn, randomised, same

SIZES = {"inception_v3": 96}
NAMES = (
    "alexnet",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "squeezenet1_0",
    "vgg11",
    "wide_resnet50_2",
)
RESIDUAL = tuple(name for name in NAMES if name.startswith(("eff", "mnas", "mobile", "reg", "res", "wide")))
EVERYTHING = ("inner", "branch", "stream", "fc")
every = pytest.mark.parametrize("name", NAMES)


def built(name: str) -> tuple[nn.Module, Tensor]:
    """A network without values, and an image for it."""
    size = SIZES.get(name, 64)
    declared = replace(data_set("imagenet"), size=size, classes=10)
    with torch.device("meta"):
        network = build(f"torchvision/{name}", declared).eval()
    return network, torch.zeros(1, 3, size, size)


@dataclass
class Traced:
    """A whole network without values and a narrow one with, each with its graph."""

    whole: nn.Module
    graph: ChannelGraph
    narrow: nn.Module
    narrow_graph: ChannelGraph
    images: Tensor


@cache
def traced(name: str) -> Traced:
    whole, image = built(name)
    graph = ChannelGraph.trace(whole, image)
    widths = {group.name: tuple(range(min(6, group.size))) for group in graph.groups.values()}
    narrow = cut(whole, graph, widths).to_empty(device="cpu")
    for buffer in narrow.buffers():
        buffer.zero_()
    images = torch.randn(2, *image.shape[1:], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return Traced(whole, graph, randomised(narrow), graph.resized(widths), images)


@every
def test_every_layer_but_the_classifier_belongs_to_a_group(name: str) -> None:
    graph = traced(name).graph
    assert [layer.name for layer in graph.layers if layer.writes is None] == [graph.layers[-1].name]
    assert all(segment.group is not None for layer in graph.layers[1:] for segment in layer.reads)
    assert all(part.group is not None for norm in graph.norms for part in norm.parts)


@every
def test_cut_and_masked_agree_and_counts_are_those_of_the_cost_model(name: str) -> None:
    found = traced(name)
    cost = CostModel(found.narrow, found.narrow_graph, found.images)
    for kinds in (EVERYTHING, ("inner", "branch")):
        kept = drawn(found.narrow_graph, kinds, seed=0, removed=0.3)
        cut_network = cut(found.narrow, found.narrow_graph, kept)
        with torch.no_grad():
            logits = mask(found.narrow, found.narrow_graph, kept)(found.images)
            assert same(cut_network(found.images), logits)
            assert not same(logits, found.narrow(found.images), 1e-6)
        widths = {group: len(channels) for group, channels in found.narrow_graph.settled(kept).items()}
        macs = count_macs_torch(cut_network, found.images)
        assert cost.macs(widths) == macs == count_macs(cut_network, found.images) < cost.dense_macs
        assert cost.params(widths) == count_params(cut_network) < cost.dense_params


@every
def test_the_whole_network_costs_what_it_is_counted_to_cost(name: str) -> None:
    found = traced(name)
    image = found.images[:1].float().to("meta")
    cost = CostModel(found.whole, found.graph, image)
    assert cost.dense_macs == count_macs_torch(found.whole, image)
    assert cost.dense_params == count_params(found.whole)


@every
def test_every_group_has_its_gates_and_gates_of_one_change_nothing(name: str) -> None:
    found = traced(name)
    network = copy.deepcopy(found.narrow)
    groups = list(found.narrow_graph.groups.values())
    assert all(group.gate_points for group in groups)
    values = insert_gates(network, groups, torch.sigmoid, 40.0)  # which is 1 in double precision
    with torch.no_grad():
        assert torch.equal(network(found.images), found.narrow(found.images))
    network(found.images).square().sum().backward()
    assert all(value.grad is not None for value in values.values())
    remove_gates(network)
    assert list(network.state_dict()) == list(found.narrow.state_dict())


@pytest.mark.parametrize("name", RESIDUAL)
def test_every_branch_beside_an_identity_or_a_projection_can_be_removed(name: str) -> None:
    found = traced(name)
    graph = found.narrow_graph
    added = {branch for each in graph.sums for branch in each.branches}
    assert added
    assert added == {branch for branch in graph.branches if graph.may_empty(branch)}
    kept: dict[str, tuple[int, ...]] = dict.fromkeys(added, ())
    with torch.no_grad():
        assert same(cut(found.narrow, graph, kept)(found.images), mask(found.narrow, graph, kept)(found.images))


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("convnext_tiny", "layer 'features.0.1' (LayerNorm2d)"),
        ("shufflenet_v2_x0_5", "layer 'stage2.0' (InvertedResidual) shuffles its channels"),
        ("swin_t", "layer 'features.0.2' (LayerNorm)"),
        ("vit_b_32", "layer 'encoder.layers.encoder_layer_0.ln_1' (LayerNorm)"),
    ],
)
def test_a_network_that_nobody_here_can_cut_is_refused_by_the_name_of_a_layer(name: str, layer: str) -> None:
    network, image = built(name)
    with pytest.raises(UserError) as refused:
        ChannelGraph.trace(network, image)
    assert str(refused.value).startswith(layer)
    assert "\n" not in str(refused.value)
