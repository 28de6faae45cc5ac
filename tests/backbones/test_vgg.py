"""The VGG networks: built as the paper counts them, initialised as its code does."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from harness.backbones import build
from harness.data.catalogue import data_set

WIDTHS = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]


@pytest.mark.parametrize(
    ("name", "factor"), [("vgg16", 1.0), ("vgg16_half", 0.5), ("vgg16_quarter", 0.25), ("vgg16_eighth", 0.125)]
)
def test_vgg16_has_thirteen_convolutions_of_these_widths(name: str, factor: float) -> None:
    with torch.device("meta"):
        network = build(name, data_set("cifar10"))
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert [module.out_channels for module in convolutions] == [int(factor * width) for width in WIDTHS]
    assert all(module.bias is not None and module.kernel_size == (3, 3) for module in convolutions)
    hidden, last = network.get_submodule("classifier.linear1"), network.get_submodule("classifier.linear2")
    assert (hidden.in_features, hidden.out_features) == (512 * factor, 512 * factor)
    assert (last.in_features, last.out_features) == (512 * factor, 10)
    assert isinstance(network.get_submodule("classifier.bn"), nn.BatchNorm1d)


def test_vgg16_pools_after_the_2nd_4th_7th_10th_and_13th_convolution() -> None:
    with torch.device("meta"):
        network = build("vgg16", data_set("cifar10"))
    names = list(dict(network.get_submodule("features").named_children()))
    before_pools = [names[position - 1] for position, name in enumerate(names) if name.startswith("pool")]
    assert before_pools == ["relu2", "relu4", "relu7", "relu10", "relu13"]


def test_initial_weights_have_the_spread_of_the_papers_code() -> None:
    network = build("vgg16_half", data_set("cifar10"), seed=0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            expected = math.sqrt(2 / (9 * module.out_channels))
            assert module.weight.std().item() == pytest.approx(expected, rel=0.1)
            assert not module.bias.any()
        elif isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.01, rel=0.1)
            assert not module.bias.any()
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert bool((module.weight == 1).all())
            assert not module.bias.any()
