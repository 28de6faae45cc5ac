"""The paper's counting rule on residual networks: by hand, and against what the paper's own counter says."""

from __future__ import annotations

import random
from functools import cache

import pytest
import torch
from torch import nn

from harness.backbones import build
from harness.channels.cost import CostModel
from harness.channels.graph import ChannelGraph, KeptChannels
from harness.channels.paper import PaperCost, paper_cost
from harness.data.catalogue import data_set
from tests.channels.networks import DepthwiseOnStream, Mixed, OptionA, Residual, example


@cache
def whole(name: str, data: str) -> tuple[nn.Module, ChannelGraph, CostModel]:
    declared = data_set(data)
    with torch.device("meta"):
        network = build(name, declared)
    image = torch.zeros(1, declared.channels, declared.size, declared.size)
    graph = ChannelGraph.trace(network, image)
    return network, graph, CostModel(network, graph, image)


@pytest.mark.parametrize(
    ("name", "data", "flops", "params"),
    [
        ("resnet56", "cifar10", 125_487_738, 853_018),
        ("mobilenetv2", "cifar10", 91_172_498, 2_296_922),
        ("vgg16_imagenet", "imagenet", 15_470_281_960, 138_365_992),
        ("resnet50", "imagenet", 4_089_207_976, 25_549_352),
        ("mobilenetv2_imagenet", "imagenet", 300_792_328, 3_504_872),
        ("proxylessnas", "imagenet", 2_260_456_600, 16_034_168),
    ],
)
def test_whole_networks_count_as_in_the_papers_tables(name: str, data: str, flops: int, params: int) -> None:
    network, graph, _ = whole(name, data)
    assert paper_cost(network, graph, {}) == PaperCost(flops, params)


def test_a_reader_of_a_stream_counts_what_the_branches_added_last_keep() -> None:
    network, graph = example(Residual)
    kept = {
        "stem": (0, 1, 2, 3, 4),
        "conv1": (0, 2),
        "conv2": (1, 4, 6),
        "conv3": (0, 1, 2, 3),
        "conv4": tuple(range(7)),
    }
    projection, classifier = 8 * 12, 7 * 3
    first = 9 * (2 * 5 + 5 * 2 + 2 * 3)
    second = 9 * (3 * 4 + 4 * 7) + projection
    norms, biases = 5 + 2 + 3 + 4 + 7 + 12, 3
    assert paper_cost(network, graph, kept) == PaperCost(
        flops=64 * first + 16 * second + classifier + norms + biases,
        params=first + second + classifier + 2 * norms + biases,
    )


def test_a_cut_stream_takes_its_channels_from_the_rows_and_the_columns_of_all() -> None:
    network, graph = example(OptionA)
    kept = {"stream:stem": (0, 2, 3), "stream:block2.conv2": (0, 1, 2, 3, 4), "block3.conv2": (3, 4, 5)}
    first = 9 * (2 * 3 + 3 * 4 + 4 * 3)
    second = 9 * (3 * 8 + 8 * 5 + 5 * 8 + 8 * 2)
    classifier, norms, biases = 2 * 3, 3 + 4 + 3 + 8 + 5 + 8 + 2, 3
    assert paper_cost(network, graph, kept) == PaperCost(
        flops=64 * first + 16 * second + classifier + norms + biases,
        params=first + second + classifier + 2 * norms + biases,
    )


def test_a_reader_of_a_mixed_layer_counts_what_any_of_the_candidates_keeps() -> None:
    network, graph = example(Mixed)
    kept = {"mixed1.0.project": (0, 1), "mixed1.1.project": (1, 4), "mixed1.2.project": (1,)}
    fewer = paper_cost(network, graph, {}).params - paper_cost(network, graph, kept).params
    hidden = (6, 8, 10)
    rows = sum((6 - width) * (inputs + 2) for width, inputs in zip((2, 2, 1), hidden, strict=True))
    columns = (6 - 3) * sum(hidden[:2])
    assert fewer == rows + columns


def test_a_removed_branch_counts_nothing() -> None:
    network, graph = example(DepthwiseOnStream)
    weights, norms = 9 * 2 * 6, 6
    # Nobody added a channel to the stream, so the rule has the classifier read none, and its biases count for nothing.
    assert paper_cost(network, graph, {"project": ()}) == PaperCost(64 * weights + norms, weights + 2 * norms)


def test_projections_are_never_cut() -> None:
    network, graph = example(Residual)
    kept = {"stem": (0,), "conv2": (0,)}
    cut = paper_cost(network, graph, {}).params - paper_cost(network, graph, kept).params
    assert cut == 7 * (9 * 2 + 2 + 9 * 6) + 7 * (9 * 6 + 2 + 9 * 10)


def random_share(graph: ChannelGraph, share: float) -> KeptChannels:
    generator = random.Random(0)
    return {
        group.name: tuple(sorted(generator.sample(range(group.size), round(share * group.size))))
        for group in graph.cuttable(["inner", "branch"])
    }


@pytest.mark.parametrize(
    ("share", "flops", "params", "macs", "executed"),
    [
        (0.7, 2.230e9, 14.37e6, 2.431e9, 15.94e6),
        (0.5, 1.341e9, 9.03e6, 1.580e9, 11.13e6),
        (0.3, 0.731e9, 5.27e6, 0.937e9, 7.63e6),
    ],
)
def test_resnet50_with_random_masks_counts_as_it_was_measured(
    share: float, flops: float, params: float, macs: float, executed: float
) -> None:
    """By the paper's own counter on other masks of these shares, and by one that reads whole streams."""
    network, graph, cost = whole("resnet50", "imagenet")
    kept = random_share(graph, share)
    counted = paper_cost(network, graph, kept)
    assert counted.flops == pytest.approx(flops, rel=0.02)
    assert counted.params == pytest.approx(params, rel=0.01)
    widths = {name: len(channels) for name, channels in graph.settled(kept).items()}
    assert all(name not in graph.streams for name in widths)
    assert cost.params(widths) == pytest.approx(executed, rel=0.01)
    # The measured network read all of the stem's channels in its first projection; here they are cut there too.
    first_projection = 56 * 56 * (64 - widths["conv1"]) * 256
    assert cost.macs(widths) + first_projection == pytest.approx(macs, rel=0.03)
