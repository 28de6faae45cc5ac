"""VGG16, ResNet50 and MobileNetV2 for photographs: no dropout, any fitting resolution, the paper's initial weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from harness.backbones import BACKBONES, build
from harness.data.catalogue import data_set
from harness.errors import UserError

NAMES = [name for name, entry in BACKBONES.items() if entry.images.example == "imagenet"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", ["imagenet", "imagenet@64"])
def test_a_network_for_photographs_runs_at_other_resolutions(name: str, data: str) -> None:
    declared = data_set(data)
    with torch.device("meta"):
        network = build(name, declared).eval()
        assert network(torch.empty(2, 3, declared.size, declared.size)).shape == (2, 1000)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_dropped_at_random_in_training(name: str) -> None:
    with torch.device("meta"):
        network = build(name, data_set("imagenet"))
    assert not [module for module in network.modules() if isinstance(module, nn.Dropout)]


def test_vgg16s_first_linear_layer_reads_what_the_last_pool_leaves() -> None:
    for data, columns in (("imagenet", 25_088), ("imagenet@64", 2_048), ("imagenet@32", 512)):
        with torch.device("meta"):
            network = build("vgg16_imagenet", data_set(data))
        classifier = list(network.get_submodule("classifier").children())
        rows = [(layer.in_features, layer.out_features) for layer in classifier if isinstance(layer, nn.Linear)]
        assert rows == [(columns, 4096), (4096, 4096), (4096, 1000)]
        assert [type(layer).__name__ for layer in classifier][:3] == ["Linear", "BatchNorm1d", "ReLU"]


def test_vgg16_does_not_take_a_resolution_that_leaves_broken_pixels() -> None:
    with pytest.raises(
        UserError, match="does not fit data set 'imagenet@48'; it fits photographs whose height divides"
    ):
        build("vgg16_imagenet", data_set("imagenet@48"))


def test_resnet50_has_its_stride_on_the_3_by_3_convolutions() -> None:
    with torch.device("meta"):
        network = build("resnet50", data_set("imagenet"))
    strided = [
        (name, module.kernel_size)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2)
    ]
    assert [name for name, kernel in strided if kernel == (3, 3)] == [f"layer{stage}.0.conv2" for stage in (2, 3, 4)]


@pytest.mark.parametrize(("name", "linear"), [("resnet50", "fc"), ("mobilenetv2_imagenet", "classifier.1")])
def test_initial_weights_are_those_of_the_papers_code(name: str, linear: str) -> None:
    network = build(name, data_set("imagenet@64"), seed=0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 2_000:
            spread = math.sqrt(2 / (module.kernel_size[0] * module.kernel_size[1] * module.out_channels))
            assert module.weight.std().item() == pytest.approx(spread, rel=0.1)
        elif isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 1).all())
    layer = network.get_submodule(linear)
    assert isinstance(layer, nn.Linear)
    framework = 1 / math.sqrt(3 * layer.in_features)
    assert layer.weight.std().item() == pytest.approx(framework if name == "resnet50" else 0.01, rel=0.02)
    assert bool(layer.bias.any()) is (name == "resnet50")
