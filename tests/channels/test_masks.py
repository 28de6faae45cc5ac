"""Channels that were given up in a network of full size: zero, and untouched by training."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from harness.channels.graph import ChannelGraph, KeptChannels
from harness.channels.masks import Gone
from harness.channels.surgery import cut, mask
from tests.channels.networks import NETWORKS, Chain, drawn, example, images, same
from tests.channels.test_finetune import EVERYTHING, REMOVED

every = pytest.mark.parametrize("kind", NETWORKS)


def held(kind: type[nn.Module], kept: KeptChannels) -> tuple[nn.Module, Gone]:
    network, graph = example(kind)
    network = copy.deepcopy(network)
    gone = Gone(network, graph)
    gone.hold(kept)
    return network, gone


def train(network: nn.Module, parameters: list[nn.Parameter]) -> torch.optim.SGD:
    """Three steps with momentum and weight decay."""
    network.train()
    optimiser = torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-2)
    for step in range(3):
        optimiser.zero_grad()
        cross_entropy(network(images(6, seed=step)), torch.arange(6) % 3).backward()
        optimiser.step()
    network.eval()
    return optimiser


def own(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for name, parameter in network.named_parameters() if "gate_values" not in name]


@every
@pytest.mark.parametrize("seed", [0, 1])
def test_the_held_network_computes_what_the_masked_one_computes(kind: type[nn.Module], seed: int) -> None:
    network, graph = example(kind)
    kept = drawn(graph, EVERYTHING, seed)
    with torch.no_grad():
        assert same(held(kind, kept)[0](images()), mask(network, graph, kept)(images()))


@every
def test_training_the_held_network_is_training_the_cut_one(kind: type[nn.Module]) -> None:
    network, graph = example(kind)
    learns_alike(network, graph, kind, drawn(graph, EVERYTHING, seed=2))


@pytest.mark.parametrize(("kind", "kept"), REMOVED)
def test_so_it_is_with_branches_removed_and_streams_drained(kind: type[nn.Module], kept: KeptChannels) -> None:
    network, graph = example(kind)
    learns_alike(network, graph, kind, kept)


def learns_alike(network: nn.Module, graph: ChannelGraph, kind: type[nn.Module], kept: KeptChannels) -> None:
    whole, gone = held(kind, kept)
    narrow = cut(network, graph, kept)
    train(whole, own(whole))
    train(narrow, list(narrow.parameters()))
    gone.release()
    expected, found = narrow.state_dict(), cut(whole, graph, kept).state_dict()
    assert all(same(found[name], value, 1e-9) for name, value in expected.items())


@every
def test_what_is_gone_is_zero_and_stays_zero_with_its_momentum(kind: type[nn.Module]) -> None:
    _, graph = example(kind)
    kept = drawn(graph, EVERYTHING, seed=3)
    whole, _ = held(kind, kept)
    names = {parameter: name for name, parameter in whole.named_parameters() if "gate_values" not in name}
    before = {name: parameter.detach() == 0 for parameter, name in names.items()}
    assert any(bool(zeros.any()) for zeros in before.values())
    optimiser = train(whole, own(whole))
    for parameter, name in names.items():
        momentum: Tensor = optimiser.state[parameter]["momentum_buffer"]
        assert bool((parameter[before[name]] == 0).all()), name
        assert bool((momentum[before[name]] == 0).all()), name


def test_rows_biases_and_both_parameters_of_batch_norm_are_set_to_zero() -> None:
    network, _ = held(Chain, {"conv1": (0, 2)})
    gone = [1, 3, 4, 5]
    for name in ("conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias"):
        parameter = network.get_parameter(name)
        assert bool((parameter[gone] == 0).all()), name
        assert torch.equal(parameter[[0, 2]], example(Chain)[0].get_parameter(name)[[0, 2]]), name


def test_more_can_be_given_up_later_and_names_and_classes_are_as_before_in_the_end() -> None:
    network, gone = held(Chain, {"conv1": (0, 1, 2)})
    gone.hold({"conv1": (0, 1), "conv2": (3,)})
    gone.release()
    plain, graph = example(Chain)
    assert network.state_dict().keys() == plain.state_dict().keys()
    assert [type(module) for module in network.modules()] == [type(module) for module in plain.modules()]
    with torch.no_grad():
        expected = mask(plain, graph, {"conv1": (0, 1), "conv2": (3,)})(images())
        assert same(network(images()), expected)


def test_a_selection_of_everything_touches_nothing() -> None:
    network, _ = held(Chain, {"conv1": tuple(range(6))})
    plain = example(Chain)[0]
    assert not any(hasattr(module, "gate_values") for module in network.modules())
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in network.state_dict().items())
