"""Counting what a built network costs, and what the catalogue's networks cost."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from harness.backbones import BACKBONES
from harness.errors import UserError
from harness.measure.cost import network_cost
from harness.measure.macs import count_macs, count_macs_torch, count_params


def small_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.AvgPool2d(2),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(64, 5),
    )


@pytest.mark.parametrize("count", [count_macs, count_macs_torch])
@pytest.mark.parametrize("batch", [1, 3])
def test_convolutions_and_linear_layers_count_and_nothing_else(count: object, batch: int) -> None:
    assert callable(count)
    assert count(small_network(), torch.zeros(batch, 3, 8, 8)) == 64 * 9 * 3 * 4 + 64 * 9 * 4 + 64 * 5


@pytest.mark.parametrize("count", [count_macs, count_macs_torch])
def test_counting_is_silent_and_changes_nothing(count: object, capfd: pytest.CaptureFixture[str]) -> None:
    assert callable(count)
    network = small_network().train()
    network[1].eval()
    before, generator = {n: v.clone() for n, v in network.state_dict().items()}, torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        count(network, torch.zeros(2, 3, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert [module.training for module in network] == [True, False, *[True] * 6]
    assert capfd.readouterr() == ("", "")


def test_all_parameters_count_frozen_ones_too() -> None:
    network = small_network()
    network[0].requires_grad_(False)
    assert count_params(network) == (108 + 4) + 8 + (36 + 4) + (320 + 5)


def test_vgg16_costs_what_the_papers_table_says() -> None:
    cost = network_cost("vgg16", "cifar10")
    assert cost["paper_flops"] == 313_472_778
    assert cost["paper_params"] == 14_990_922
    assert cost["macs"] == 313_463_808
    assert cost["params"] == 14_991_946
    assert cost["groups"][0] == {"name": "features.conv1", "kind": "inner", "size": 64}
    assert [group["kind"] for group in cost["groups"]] == ["inner"] * 13 + ["fc"]


@pytest.mark.parametrize("name", BACKBONES)
def test_the_catalogues_costs_are_those_of_the_built_network(name: str) -> None:
    from harness.backbones import build
    from harness.data.catalogue import data_set

    declared = data_set(BACKBONES[name].images.example)
    cost = network_cost(name, declared.name)
    network = build(name, declared, seed=0)
    example = torch.zeros(1, declared.channels, declared.size, declared.size)
    assert cost["macs"] == count_macs(network, example) == count_macs_torch(network, example)
    assert cost["params"] == count_params(network)


def test_the_network_for_digits_is_small() -> None:
    assert 300_000 <= network_cost("vgg_digits", "digits")["macs"] <= 600_000


def test_a_network_that_does_not_exist_says_what_was_meant() -> None:
    with pytest.raises(UserError, match="did you mean 'vgg16'"):
        network_cost("vg16", "cifar10")
