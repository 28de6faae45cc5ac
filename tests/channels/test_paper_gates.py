"""Branch ends and inner channels are what the DNAL paper gates, layer by layer."""

from __future__ import annotations

import pytest
import torch

from harness.backbones import build
from harness.channels.graph import ChannelGraph
from harness.data.catalogue import data_set


@pytest.mark.parametrize(
    ("backbone", "images", "layers", "channels"),
    [
        ("vgg16", "cifar10", 13, 4_224),
        ("resnet56", "cifar10", 55, 2_032),
        ("mobilenetv2", "cifar10", 35, 9_920),
        ("vgg16_imagenet", "imagenet", 13, 4_224),
        ("resnet50", "imagenet", 49, 22_720),
        ("mobilenetv2_imagenet", "imagenet", 35, 9_920),
        ("proxylessnas", "imagenet", 255, 60_704),
    ],
)
def test_as_many_layers_and_channels_are_gated_as_in_the_paper(
    backbone: str, images: str, layers: int, channels: int
) -> None:
    declared = data_set(images)
    with torch.device("meta"):
        network = build(backbone, declared)
    graph = ChannelGraph.trace(network, torch.zeros(1, 3, declared.size, declared.size))
    gated = graph.cuttable(["inner", "branch"])
    assert (len(gated), sum(group.size for group in gated)) == (layers, channels)
    assert all(len(group.gate_points) == 1 for group in gated)


def test_a_layer_that_a_network_keeps_whole_is_in_no_group() -> None:
    network = build("mobilenetv2_quarter", data_set("cifar10"))
    graph = ChannelGraph.trace(network, torch.zeros(1, 3, 32, 32))
    stem = next(layer for layer in graph.layers if layer.name == "stem")
    assert stem.writes is None
    assert not any("stem" in group.producers for group in graph.groups.values())
