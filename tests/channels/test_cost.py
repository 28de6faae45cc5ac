"""The cost model says what the built network costs, without building it."""

from __future__ import annotations

import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.backbones import build
from harness.channels.cost import CostModel
from harness.channels.graph import ChannelGraph
from harness.channels.structure import Segment
from harness.channels.surgery import cut
from harness.data.catalogue import data_set
from harness.errors import StageFailure
from harness.measure.macs import count_macs, count_macs_torch, count_params
from tests.channels.networks import IMAGES, NETWORKS, Chain, DepthwiseOnStream, Residual, example, images, selections


@pytest.mark.parametrize("kind", NETWORKS)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_costs_are_those_of_the_built_network(kind: type[nn.Module], data: st.DataObject) -> None:
    network, graph = example(kind)
    kept = data.draw(selections(graph))
    narrow = cut(network, graph, kept)
    cost = CostModel(network, graph, IMAGES)
    widths = {name: len(channels) for name, channels in graph.settled(kept).items()}
    assert cost.macs(widths) == count_macs(narrow, images(1)) == count_macs_torch(narrow, images(1))
    assert cost.params(widths) == count_params(narrow)


def test_an_absent_group_is_whole() -> None:
    network, graph = example(Chain)
    cost = CostModel(network, graph, IMAGES)
    assert cost.macs({}) == cost.macs(graph.widths) == cost.dense_macs
    assert cost.params({}) == cost.params(graph.widths) == cost.dense_params


def test_by_hand() -> None:
    network, graph = example(Chain)
    cost = CostModel(network, graph, IMAGES)
    assert cost.dense_macs == 64 * 9 * 2 * 6 + 16 * (9 * 6 * 8 + 3 * 8 * 5) + 80 * 7 + 7 * 3
    assert cost.macs({"conv3": 2}) == cost.dense_macs - 3 * (16 * 3 * 8 + 16 * 7)
    assert cost.params({"conv1": 5}) == cost.dense_params - (9 * 2 + 1 + 2 + 9 * 8)


def test_a_branch_is_no_wider_than_its_stream() -> None:
    network, graph = example(Residual)
    cost = CostModel(network, graph, IMAGES)
    for count in (cost.macs, cost.params):
        assert count({"stream:stem": 5}) == count({"stream:stem": 5, "stem": 5, "conv2": 5})
        assert count({"stream:stem": 5, "conv2": 7}) == count({"stream:stem": 5})
        assert count({"stream:stem": 5, "conv2": 4}) < count({"stream:stem": 5})


def test_a_branch_saves_its_own_rows_and_its_readers_go_on_reading_the_stream() -> None:
    network, graph = example(Residual)
    cost = CostModel(network, graph, IMAGES)
    assert cost.dense_macs - cost.macs({"conv2": 5}) == 3 * 64 * 9 * 6
    assert cost.dense_params - cost.params({"conv2": 5}) == 3 * (9 * 6 + 2)


def test_a_removed_branch_costs_nothing() -> None:
    network, graph = example(DepthwiseOnStream)
    cost = CostModel(network, graph, IMAGES)
    assert cost.macs({"project": 0}) == 64 * 9 * 2 * 6 + 6 * 3
    assert cost.params({"project": 0}) == 9 * 2 * 6 + 2 * 6 + 6 * 3 + 3
    assert cost.macs({"project": 0, "stream:stem": 5}) == 64 * 9 * 2 * 5 + 5 * 3


def test_records_say_what_each_layer_is() -> None:
    network, graph = example(Chain)
    third, head = CostModel(network, graph, IMAGES).layers[2:4]
    assert (third.name, third.area, third.positions, third.writes) == ("conv3", 3, 16, "conv3")
    assert third.reads == (Segment("conv2", 8),)
    assert (head.name, head.reads, head.writes) == ("linear1", (Segment("conv3", 5, repeat=16),), "linear1")


def test_images_of_another_size_cost_more() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    graph = ChannelGraph.trace(network, torch.zeros(1, 2, 8, 8))
    large = torch.zeros(5, 2, 16, 16)
    assert CostModel(network, graph, large).dense_macs == count_macs(network, large) == 14 * 14 * 9 * 8 + 12


def test_parameters_that_no_width_changes_are_counted() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.PReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    graph = ChannelGraph.trace(network, IMAGES)
    cost = CostModel(network, graph, IMAGES)
    assert cost.dense_params == count_params(network)
    assert cost.params({"0": 3}) == count_params(cut(network, graph, {"0": (0, 1, 2)}))


def test_an_unknown_group_is_an_error() -> None:
    network, graph = example(Chain)
    with pytest.raises(StageFailure, match="unknown channel group 'conv11'; did you mean 'conv1'"):
        CostModel(network, graph, IMAGES).macs({"conv11": 3})


def test_widths_of_resnet50_are_costed_hundreds_of_times_a_second() -> None:
    with torch.device("meta"):
        network = build("resnet50", data_set("imagenet"))
    example_image = torch.zeros(1, 3, 224, 224)
    graph = ChannelGraph.trace(network, example_image)
    cost = CostModel(network, graph, example_image)
    widths = {name: size // 2 for name, size in graph.widths.items()}
    started = time.process_time()
    for _ in range(200):
        cost.macs(widths)
        cost.params(widths)
    assert time.process_time() - started < 1.0


def test_vgg16_is_costed_thousands_of_times_a_second() -> None:
    with torch.device("meta"):
        network = build("vgg16", data_set("cifar10"))
    example_image = torch.zeros(1, 3, 32, 32)
    cost = CostModel(network, ChannelGraph.trace(network, example_image), example_image)
    widths = {f"features.conv{number}": 32 for number in range(1, 14)}
    started = time.process_time()
    for _ in range(1000):
        cost.macs(widths)
        cost.params(widths)
    assert time.process_time() - started < 1.0
