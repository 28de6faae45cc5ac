"""torchvision's networks under `torchvision/NAME`: all of them, one tensor out, any number of classes."""

from __future__ import annotations

import dataclasses
import socket
import warnings

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import list_models

from harness.backbones import backbone, backbone_names, build, is_backbone
from harness.backbones.torchvision_names import MULTIPLE_OF, SMALLEST, TORCHVISION
from harness.data.catalogue import DataSet, data_set
from harness.errors import UserError

FAMILIES = [
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3"),
    *("maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_128gf", "resnet18"),
    *("resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11", "vgg11_bn"),
    *("vit_b_32", "vit_h_14", "wide_resnet50_2"),
]


def photographs(size: int) -> DataSet:
    return dataclasses.replace(data_set("imagenet"), size=size, classes=7)


def runs(name: str, size: int, training: bool = False) -> torch.Size:
    with torch.device("meta"):
        network = backbone_without_check(name, size).train(training)
        output = network(torch.empty(2, 3, size, size))
    assert isinstance(output, torch.Tensor)
    return output.shape


def backbone_without_check(name: str, size: int) -> nn.Module:
    from harness.backbones.torchvision_network import build as build_any

    return build_any(photographs(size), name)


def test_the_names_are_those_of_the_installed_torchvision() -> None:
    assert list(TORCHVISION) == list_models(module=torchvision.models)
    assert set(SMALLEST) | set(MULTIPLE_OF) <= set(TORCHVISION)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_a_network_returns_one_tensor_of_logits(name: str, training: bool) -> None:
    assert runs(name, 224, training) == (2, 7)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_fits_exactly_the_sizes_that_it_runs_on(name: str) -> None:
    entry = backbone(f"torchvision/{name}")
    sizes = {32, 64, SMALLEST.get(name, 32), SMALLEST.get(name, 33) - 1} - {31}
    for size in sizes:
        try:
            ran = runs(name, size) == (2, 7)
        except (RuntimeError, ValueError, AssertionError):
            ran = False
        assert (size, entry.fits(photographs(size))) == (size, ran)


def test_grey_images_fit_none() -> None:
    assert not any(backbone(name).fits(data_set("digits")) for name in backbone_names() if name.startswith("torch"))


def test_building_downloads_nothing_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("googlenet", "inception_v3", "resnet18"):
            with torch.device("meta"):
                build(f"torchvision/{name}", photographs(96))


def test_the_weights_are_torchvisions_own_random_ones() -> None:
    ours = build("torchvision/mobilenet_v3_small", data_set("cifar10"), seed=3)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        theirs = torchvision.models.mobilenet_v3_small(num_classes=10)
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())


def test_a_name_that_torchvision_does_not_have_says_what_was_meant() -> None:
    with pytest.raises(
        UserError, match=r"unknown backbone 'torchvision/resnet81'; did you mean 'torchvision/resnet18'"
    ):
        build("torchvision/resnet81", data_set("cifar10"))
    assert not is_backbone("torchvision/resnet81")


def test_a_name_of_torchvision_without_its_prefix_is_not_ours() -> None:
    with pytest.raises(UserError, match="'resnet18'; did you mean 'torchvision/resnet18'"):
        backbone("resnet18")


def test_a_network_that_the_installed_torchvision_lacks_is_an_error_only_when_built() -> None:
    from harness.backbones.torchvision_network import build as build_any

    with pytest.raises(UserError, match=r"the installed torchvision \(.*\) has no such network"):
        build_any(data_set("cifar10"), "resnet_of_tomorrow")
