"""The catalogue: which network fits which data set, and what is said when it does not."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harness.backbones import BACKBONES, backbone, backbone_names, build, fitting, is_backbone, unknown_backbone
from harness.backbones.torchvision_names import TORCHVISION
from harness.data.catalogue import data_set
from harness.errors import UserError

CIFAR = [name for name, entry in BACKBONES.items() if entry.images.example == "cifar10"]
IMAGENET = [name for name, entry in BACKBONES.items() if entry.images.example == "imagenet"]


def test_the_networks_of_this_project_are_these() -> None:
    widths = {
        "vgg16": ("", "_half", "_quarter", "_eighth"),
        "resnet20": ("", "_half", "_quarter"),
        "resnet56": ("", "_half", "_quarter"),
        "mobilenetv2": ("", "_half", "_quarter"),
    }
    assert set(CIFAR) == {name + suffix for name, suffixes in widths.items() for suffix in suffixes}
    assert set(IMAGENET) == {"vgg16_imagenet", "resnet50", "mobilenetv2_imagenet", "proxylessnas"}
    assert set(BACKBONES) == {*CIFAR, *IMAGENET, "vgg_digits"}


def test_every_name_is_known_and_stands_for_itself() -> None:
    names = backbone_names()
    assert len(set(names)) == len(names) == len(BACKBONES) + len(TORCHVISION)
    assert all(is_backbone(name) and backbone(name).name == name for name in names)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_one_logit_a_class(name: str) -> None:
    declared = dataclasses.replace(data_set(BACKBONES[name].images.example), classes=7)
    with torch.device("meta"):
        network = build(name, declared)
        batch = torch.empty(2, declared.channels, declared.size, declared.size)
        assert network.train()(batch).shape == network.eval()(batch).shape == (2, 7)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_of_ours_can_draw_its_weights_anew(name: str) -> None:
    with torch.device("meta"):
        network = build(name, data_set(BACKBONES[name].images.example))
    assert callable(network.reset_parameters)


def test_a_network_fits_the_images_that_it_was_made_for_and_no_others() -> None:
    fits = {
        data: {name for name, entry in BACKBONES.items() if entry.fits(data_set(data))}
        for data in ("cifar10", "digits", "imagenet", "imagenet@64")
    }
    assert fits == {"cifar10": {*CIFAR}, "digits": {"vgg_digits"}, "imagenet": {*IMAGENET}, "imagenet@64": {*IMAGENET}}


def test_networks_for_cifar10_fit_any_coloured_images_of_its_size() -> None:
    assert {name for name in BACKBONES if backbone(name).fits(data_set("imagenet@32"))} == {*CIFAR, *IMAGENET}


def test_what_fits_a_data_set_is_listed_with_torchvisions_networks_as_one() -> None:
    assert fitting(data_set("digits")) == ["vgg_digits"]
    assert fitting(data_set("imagenet")) == [*sorted(IMAGENET), "torchvision/NAME"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("vgg16", "digits", "'vgg16' does not fit data set 'digits'; it fits images of 3 x 32 x 32, such as those of"),
        ("resnet50", "cifar10", "'resnet50' does not fit data set 'cifar10'; it fits photographs, such as those of"),
        ("torchvision/alexnet", "cifar10", "it fits images of 3 channels, at least 63 pixels high, such as those of"),
        ("torchvision/vit_h_14", "imagenet@64", "it fits images of 3 channels, a multiple of 14 pixels high, such as"),
    ],
)
def test_a_data_set_that_does_not_fit_is_refused(name: str, data: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(name, data_set(data))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet65", "unknown backbone 'resnet65'; did you mean 'resnet56'?"),
        ("resnet18", "unknown backbone 'resnet18'; did you mean 'torchvision/resnet18'?"),
        ("MobileNet-v2", "unknown backbone 'MobileNet-v2'; did you mean 'torchvision/mobilenet_v2'?"),
        ("torchvision/resnet81", "unknown backbone 'torchvision/resnet81'; did you mean 'torchvision/resnet18'?"),
        ("torchvison/resnet18", "unknown backbone 'torchvison/resnet18'; did you mean 'torchvision/resnet18'?"),
        (
            "torchvision/qqq",
            "unknown backbone 'torchvision/qqq'; 'harness list backbones --json' names all there are",
        ),
    ],
)
def test_an_unknown_name_says_what_was_meant(name: str, message: str) -> None:
    assert unknown_backbone(name) == message
    with pytest.raises(UserError, match="unknown backbone"):
        backbone(name)


def test_a_seed_decides_the_weights_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    one, two, other = (build("vgg_digits", data_set("digits"), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())
    assert not torch.equal(one.get_parameter("features.conv1.weight"), other.get_parameter("features.conv1.weight"))
