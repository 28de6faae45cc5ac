"""Drawing weights anew: for whole networks, for cut ones, for those of torchvision."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from harness.backbones import build, reset
from harness.backbones.initialise import LinearRule, initialise
from harness.data.catalogue import data_set
from harness.errors import UserError


def seeded_reset(name: str, network: nn.Module) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        reset(name, network)
    return {key: value.clone() for key, value in network.state_dict().items()}


@pytest.mark.parametrize("name", ["vgg_digits", "resnet20_quarter", "mobilenetv2_quarter", "torchvision/resnet18"])
def test_the_weights_depend_on_the_generator_and_not_on_those_before(name: str) -> None:
    data = data_set("digits" if name == "vgg_digits" else "cifar10")
    one, other = build(name, data, seed=0), build(name, data, seed=1)
    for parameter in other.parameters():
        nn.init.constant_(parameter, 3.0)
    drawn, drawn_again = seeded_reset(name, one), seeded_reset(name, other)
    assert all(torch.equal(value, drawn_again[key]) for key, value in drawn.items())


def test_a_fresh_network_is_one_whose_weights_were_drawn_anew() -> None:
    data = data_set("cifar10")
    network = build("resnet20_half", data, seed=0)
    before = network.get_parameter("layer1.0.conv1.weight").std().item()
    reset("resnet20_half", network)
    assert network.get_parameter("layer1.0.conv1.weight").std().item() == pytest.approx(before, rel=0.15)


def test_cut_layers_start_with_the_spread_of_their_own_width() -> None:
    network = build("resnet20", data_set("cifar10"), seed=0)
    network.set_submodule("layer3.1.conv1", nn.Conv2d(64, 9, 3, padding=1, bias=False))
    network.set_submodule("layer3.1.bn1", nn.BatchNorm2d(9))
    network.set_submodule("layer3.1.conv2", nn.Conv2d(9, 64, 3, padding=1, bias=False))
    reset("resnet20", network)
    spread = network.get_parameter("layer3.1.conv1.weight").std().item()
    assert spread == pytest.approx(math.sqrt(2 / (9 * 9)), rel=0.05)


@pytest.mark.parametrize("name", ["resnet20_quarter", "torchvision/resnet18"])
def test_layers_that_were_taken_out_have_nothing_to_draw(name: str) -> None:
    network = build(name, data_set("cifar10"), seed=0)
    network.set_submodule("layer2.1.conv1", nn.Identity())
    network.set_submodule("layer2.1.bn1", nn.Module())
    for parameter in network.parameters():
        nn.init.constant_(parameter, 9.0)
    reset(name, network)
    assert not any(bool((parameter == 9.0).any()) for parameter in network.parameters())


@pytest.mark.parametrize(
    ("rule", "spread", "biased"),
    [("normal", 0.01, False), ("framework", 1 / math.sqrt(3 * 400), True), ("fan_in", 1 / math.sqrt(3 * 400), False)],
)
def test_linear_layers_follow_the_rule_that_was_asked_for(rule: LinearRule, spread: float, biased: bool) -> None:
    layer = nn.Linear(400, 300)
    nn.init.constant_(layer.weight, 9.0)
    nn.init.constant_(layer.bias, 9.0)
    initialise(layer, rule)
    assert layer.weight.std().item() == pytest.approx(spread, rel=0.02)
    assert bool(layer.bias.any()) is biased
    assert layer.bias.abs().max().item() <= 1 / math.sqrt(400)


def test_the_framework_rule_is_torchs_own() -> None:
    layer = nn.Linear(20, 30)
    copied = copy.deepcopy(layer)
    torch.manual_seed(0)
    initialise(layer, "framework")
    torch.manual_seed(0)
    copied.reset_parameters()
    assert torch.allclose(layer.weight, copied.weight, atol=1e-6)
    assert torch.allclose(layer.bias, copied.bias, atol=1e-6)


def test_layers_without_inputs_or_affine_weights_are_no_obstacle() -> None:
    network = nn.Sequential(nn.Linear(0, 3), nn.BatchNorm2d(3, affine=False), nn.Conv2d(2, 2, 1, bias=False))
    nn.init.constant_(network[2].weight, 9.0)
    initialise(network)
    assert not bool((network[2].weight == 9.0).any())


@pytest.mark.parametrize("name", ["torchvision/resnext50_32x4d", "torchvision/mobilenet_v2"])
def test_a_network_of_torchvision_starts_with_he_normal_convolutions_by_fan_out(name: str) -> None:
    network = build(name, data_set("cifar10"), seed=0)
    for parameter in network.parameters():
        nn.init.constant_(parameter, 9.0)
    reset(name, network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 2_000:
            area = module.kernel_size[0] * module.kernel_size[1]
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / (area * module.out_channels)), rel=0.1)
        elif isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 1).all())
            assert not module.bias.any()
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            assert 0.9 * bound < module.weight.abs().max().item() <= bound


def test_other_layers_with_weights_start_by_their_own_rule() -> None:
    group, layer = nn.GroupNorm(2, 4), nn.LayerNorm(4)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), group, layer)
    for parameter in network.parameters():
        nn.init.constant_(parameter, 9.0)
    reset("torchvision/resnet18", network)
    assert bool((group.weight == 1).all())
    assert bool((layer.weight == 1).all())


def test_weights_that_nobody_knows_how_to_draw_are_named() -> None:
    network = build("torchvision/convnext_tiny", data_set("cifar10"), seed=0)
    with pytest.raises(UserError, match=r"layer 'features\.1\.0' \(CNBlock\)"):
        reset("torchvision/convnext_tiny", network)
