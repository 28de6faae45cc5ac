"""Cutting: the narrower network computes what the masked one computes, and learns what it learns."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from harness.backbones import build
from harness.channels.gates import insert_gates
from harness.channels.graph import ChannelGraph
from harness.channels.surgery import cut, mask
from harness.data.catalogue import data_set
from harness.errors import StageFailure
from tests.channels.networks import NETWORKS, Chain, example, images, randomised, same, selections

kinds = pytest.mark.parametrize("kind", NETWORKS)


@kinds
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_cut_and_masked_agree_in_float64(kind: type[nn.Module], data: st.DataObject) -> None:
    network, graph = example(kind)
    kept = data.draw(selections(graph))
    with torch.no_grad():
        assert same(cut(network, graph, kept)(images()), mask(network, graph, kept)(images()))


@kinds
def test_masking_changes_the_output(kind: type[nn.Module]) -> None:
    network, graph = example(kind)
    with torch.no_grad():
        whole = network(images())
        for name, size in graph.widths.items():
            assert not same(mask(network, graph, {name: tuple(range(size - 2))})(images()), whole), name


def test_cut_and_masked_agree_in_float32_on_vgg() -> None:
    network = build("vgg16_eighth", data_set("cifar10"), seed=0).eval()
    graph = ChannelGraph.trace(network, torch.zeros(1, 3, 32, 32))
    kept = {name: tuple(range(0, size, 3)) for name, size in graph.widths.items()}
    batch = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = mask(network, graph, kept)(batch)
        assert (cut(network, graph, kept)(batch) - logits).abs().max() <= 1e-5 * logits.abs().max()


@kinds
def test_keeping_everything_is_no_change(kind: type[nn.Module]) -> None:
    network, graph = example(kind)
    everything = {name: tuple(range(size)) for name, size in graph.widths.items()}
    with torch.no_grad():
        logits = network(images())
        assert torch.equal(cut(network, graph, everything)(images()), logits)
        assert torch.equal(cut(network, graph, {})(images()), logits)
        assert torch.equal(mask(network, graph, everything)(images()), logits)


def test_the_network_that_is_cut_is_left_alone() -> None:
    network, graph = example(Chain)
    before = copy.deepcopy(network.state_dict())
    narrow = cut(network, graph, {"conv1": (0, 2)})
    with torch.no_grad():
        for parameter in narrow.parameters():
            parameter.zero_()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_weights_and_statistics_of_kept_channels_are_copied() -> None:
    network, graph = example(Chain)
    narrow = cut(network, graph, {"conv1": (0, 2, 5), "conv3": (1, 4)})
    assert torch.equal(narrow.conv1.weight, network.conv1.weight[[0, 2, 5]])
    assert torch.equal(narrow.conv1.bias, network.conv1.bias[[0, 2, 5]])
    assert torch.equal(narrow.bn1.running_var, network.bn1.running_var[[0, 2, 5]])
    assert torch.equal(narrow.conv2.weight, network.conv2.weight[:, [0, 2, 5]])
    columns = [*range(16, 32), *range(64, 80)]
    assert torch.equal(narrow.linear1.weight, network.linear1.weight[:, columns])


def test_type_mode_format_and_frozen_parameters_stay() -> None:
    network = randomised(Chain()).to(memory_format=torch.channels_last).train()
    network.bn1.eval()
    network.conv1.weight.requires_grad_(False)
    cross_entropy(network(images()), torch.zeros(4, dtype=torch.int64)).backward()
    narrow = cut(network, example(Chain)[1], {"conv1": (0, 2, 3), "conv2": (1, 5)})
    assert narrow.conv2.weight.dtype == torch.float64
    assert narrow.conv2.weight.is_contiguous(memory_format=torch.channels_last)
    assert not narrow.conv2.weight.is_contiguous()
    assert narrow.training
    assert not narrow.bn1.training
    assert not narrow.conv1.weight.requires_grad
    assert narrow.conv2.weight.requires_grad
    assert all(parameter.grad is None for parameter in narrow.parameters())


def test_one_channel_may_be_all_that_stays() -> None:
    for kind in NETWORKS:
        network, graph = example(kind)
        narrow = cut(network, graph, {name: (size - 1,) for name, size in graph.widths.items()})
        assert narrow(images()).shape == (4, 3)


@pytest.mark.parametrize("act", [cut, mask])
def test_a_wrong_selection_or_network_is_an_invalid_network(act: object) -> None:
    network, graph = example(Chain)
    assert callable(act)
    with pytest.raises(StageFailure, match="keeps no channel"):
        act(network, graph, {"conv1": ()})
    with pytest.raises(StageFailure, match="'conv1' has 2 inputs and 1 outputs"):
        act(cut(network, graph, {"conv1": (0,)}), graph, {})
    for group, layer in (("conv1", "bn1"), ("conv3", "conv3")):
        gated = copy.deepcopy(network)
        insert_gates(gated, [graph.groups[group]], torch.sigmoid, 0.0)
        with pytest.raises(StageFailure, match=f"'{layer}' still carries a gate"):
            act(gated, graph, {})
    other = copy.deepcopy(network)
    other.bn1 = nn.BatchNorm2d(7)
    with pytest.raises(StageFailure, match="batch norm 'bn1' has 7 channels; the channel graph expects 6"):
        act(other, graph, {})
    with pytest.raises(StageFailure, match="has no layer 'conv1'"):
        act(nn.Sequential(), graph, {})
