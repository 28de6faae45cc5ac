"""MobileNetV2 for CIFAR-10: where it keeps the resolution, which blocks add what."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.backbones import build
from harness.backbones.mobilenet_cifar import InvertedResidual
from harness.data.catalogue import data_set

STRIDES = [1, 1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
WIDTHS = [16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320]


def blocks_of(name: str) -> list[InvertedResidual]:
    with torch.device("meta"):
        network = build(name, data_set("cifar10"))
    return [module for module in network.modules() if isinstance(module, InvertedResidual)]


@pytest.mark.parametrize(("suffix", "factor"), [("", 1.0), ("_half", 0.5), ("_quarter", 0.25)])
def test_its_blocks_have_these_widths_and_strides(suffix: str, factor: float) -> None:
    blocks = blocks_of("mobilenetv2" + suffix)
    assert [block.project.out_channels for block in blocks] == [factor * width for width in WIDTHS]
    assert [block.depthwise.stride[0] for block in blocks] == STRIDES


def test_every_block_widens_with_a_convolution_the_first_by_a_factor_of_one() -> None:
    factors = [block.expand.out_channels / block.expand.in_channels for block in blocks_of("mobilenetv2")]
    assert factors == [1] + [6] * 16


def test_blocks_of_stride_one_between_different_widths_project_their_input() -> None:
    blocks = blocks_of("mobilenetv2")
    assert [position for position, block in enumerate(blocks) if block.projects] == [0, 1, 10, 16]
    assert [position for position, block in enumerate(blocks) if not block.adds] == [3, 6, 13]


@pytest.mark.parametrize(("in_channels", "out_channels", "stride"), [(8, 8, 1), (8, 12, 1), (8, 12, 2), (8, 8, 2)])
def test_a_block_is_its_layers_one_after_the_other(in_channels: int, out_channels: int, stride: int) -> None:
    block = InvertedResidual(in_channels, out_channels, 2, stride).eval()
    stream = torch.randn(2, in_channels, 6, 6)
    wide = functional.relu(block.expand_bn(block.expand(stream)))
    filtered = functional.relu(block.depthwise_bn(block.depthwise(wide)))
    expected: Tensor = block.project_bn(block.project(filtered))
    if stride == 1:
        same = in_channels == out_channels
        expected = expected + (stream if same else block.shortcut_bn(block.shortcut(stream)))
    assert torch.equal(block(stream), expected)


def test_the_head_sees_4_by_4_pixels_of_1280_channels() -> None:
    with torch.device("meta"):
        network = build("mobilenetv2", data_set("cifar10")).eval()
    seen: list[Tensor] = []
    network.get_submodule("feature_mix").register_forward_hook(lambda module, inputs, output: seen.append(output))
    assert network(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 10)
    assert [output.shape for output in seen] == [(2, 1280, 4, 4)]


def test_the_classifier_starts_narrow() -> None:
    layer = build("mobilenetv2", data_set("cifar10"), seed=0).get_submodule("classifier")
    assert isinstance(layer, nn.Linear)
    assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not layer.bias.any()
