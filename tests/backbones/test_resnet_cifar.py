"""ResNets for CIFAR-10: their layers, their shortcuts, their initial weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from harness.backbones import build
from harness.backbones.shortcut import ZeroPadShortcut
from harness.data.catalogue import data_set


@pytest.mark.parametrize(("name", "convolutions"), [("resnet20", 19), ("resnet56", 55)])
@pytest.mark.parametrize(("suffix", "widths"), [("", (16, 32, 64)), ("_half", (8, 16, 32)), ("_quarter", (4, 8, 16))])
def test_a_resnet_has_a_stem_and_three_stages_of_these_widths(
    name: str, convolutions: int, suffix: str, widths: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        network = build(name + suffix, data_set("cifar10"))
    found = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    each = (convolutions - 1) // 3
    assert [layer.out_channels for layer in found] == [widths[0]] + [width for width in widths for _ in range(each)]
    assert all(layer.bias is None and layer.kernel_size == (3, 3) for layer in found)


def test_only_the_first_block_of_a_wider_stage_has_a_shortcut_that_does_something() -> None:
    network = build("resnet20", data_set("cifar10"), seed=0)
    shortcuts = {name: module for name, module in network.named_modules() if name.endswith(".shortcut")}
    assert len(shortcuts) == 9
    padding = {
        name: (module.in_channels, module.out_channels, module.stride)
        for name, module in shortcuts.items()
        if isinstance(module, ZeroPadShortcut)
    }
    assert padding == {"layer2.0.shortcut": (16, 32, 2), "layer3.0.shortcut": (32, 64, 2)}
    assert all(isinstance(shortcuts[name], nn.Identity) for name in shortcuts.keys() - padding.keys())


def test_a_block_is_its_branch_plus_its_shortcut() -> None:
    network = build("resnet20_quarter", data_set("cifar10"), seed=0).eval()
    block = network.get_submodule("layer2.0")
    stream = torch.randn(2, 4, 8, 8).relu()
    branch = block.get_submodule("bn1")(block.get_submodule("conv1")(stream)).relu()
    branch = block.get_submodule("bn2")(block.get_submodule("conv2")(branch))
    branch[:, 2:6] += stream[:, :, ::2, ::2]
    assert torch.equal(block(stream), branch.relu())


def test_the_linear_layer_starts_as_the_framework_starts_it() -> None:
    layer = build("resnet56", data_set("cifar10"), seed=0).get_submodule("linear")
    bound = 1 / math.sqrt(64)
    for values in (layer.get_parameter("weight"), layer.get_parameter("bias")):
        assert bound * 0.5 < values.abs().max().item() <= bound


def test_the_last_batch_norm_of_a_branch_starts_at_one_like_the_others() -> None:
    network = build("resnet20", data_set("cifar10"), seed=0)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(bool((norm.weight == 1).all()) and not norm.bias.any() for norm in norms)
