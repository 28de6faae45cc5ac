"""The counting rule of the DNAL paper."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

from harness.backbones import build
from harness.channels.graph import ChannelGraph
from harness.channels.paper import PaperCost, paper_cost
from harness.channels.surgery import cut
from harness.data.catalogue import data_set
from harness.errors import StageFailure
from harness.measure.macs import count_macs
from tests.channels.networks import IMAGES, Chain, Concatenated, Depthwise, Grouped, example, images


@cache
def vgg16() -> tuple[nn.Module, ChannelGraph]:
    with torch.device("meta"):
        network = build("vgg16", data_set("cifar10"))
    return network, ChannelGraph.trace(network, torch.zeros(1, 3, 32, 32))


def test_vgg16_counts_as_in_the_papers_table() -> None:
    assert paper_cost(*vgg16(), {}) == PaperCost(flops=313_472_778, params=14_990_922)


def test_a_channel_costs_its_row_its_columns_its_bias_and_its_batch_norm() -> None:
    whole = paper_cost(*vgg16(), {})
    cut_once = paper_cost(*vgg16(), {"features.conv1": tuple(range(63))})
    weights = 9 * 3 + 9 * 64
    assert whole.flops - cut_once.flops == 32 * 32 * weights + 1 + 1
    assert whole.params - cut_once.params == weights + 1 + 2


@pytest.mark.parametrize("kind", [Chain, Depthwise, Concatenated, Grouped])
def test_a_selection_counts_like_the_network_that_it_leaves(kind: type[nn.Module]) -> None:
    network, graph = example(kind)
    kept = {name: tuple(range(1, size, 2)) for name, size in graph.widths.items()}
    narrow = cut(network, graph, kept)
    assert paper_cost(network, graph, kept) == paper_cost(narrow, ChannelGraph.trace(narrow, IMAGES), {})


def test_the_rule_by_hand_on_a_built_network() -> None:
    network, graph = example(Chain)
    kept = {"conv1": (0, 3), "linear1": (1, 2, 4)}
    narrow = cut(network, graph, kept)
    channels = sum(module.num_features for module in narrow.modules() if isinstance(module, nn.BatchNorm2d))
    layers = [module for module in narrow.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    biases = sum(module.bias.numel() for module in layers if module.bias is not None)
    weights = sum(module.weight.numel() for module in layers)
    assert paper_cost(network, graph, kept) == PaperCost(
        flops=count_macs(narrow, images(1)) + channels + biases, params=weights + biases + 2 * channels
    )


def test_a_wrong_selection_is_refused() -> None:
    with pytest.raises(StageFailure, match="keeps no channel"):
        paper_cost(*example(Chain), {"conv1": ()})
