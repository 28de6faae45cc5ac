"""Which networks there are, what each is called, and which function builds it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.backbones.installed import installed
from harness.backbones.torchvision_names import MULTIPLE_OF, PREFIX, SMALLEST, TORCHVISION
from harness.data.catalogue import DataSet
from harness.errors import UserError, nearest, unknown

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Images:
    """What a network wants to see.

    Attributes:
        title: for people.
        fit: whether a data set has such images.
        example: name of a data set that has.
    """

    title: str
    fit: Callable[[DataSet], bool]
    example: str


COLOUR = Images("images of 3 channels", lambda data_set: data_set.channels == 3, "cifar10")
SMALL = Images("images of 3 x 32 x 32", lambda found: (found.channels, found.size) == (3, 32), "cifar10")
DIGITS = Images("images of 1 x 8 x 8", lambda found: (found.channels, found.size) == (1, 8), "digits")
PHOTOGRAPHS = Images("photographs", lambda found: found.channels == 3 and found.photographs, "imagenet")
WHOLE_PATCHES = Images(
    "photographs whose height divides by 32", lambda found: PHOTOGRAPHS.fit(found) and found.size % 32 == 0, "imagenet"
)


@dataclass(frozen=True)
class Backbone:
    """A network by name.

    Attributes:
        name: what a suite calls it.
        title: what a table calls it.
        builder: `module:function`; called as `function(data_set, **options)`, gives an `nn.Module` whose weights are
            initialised from torch's global generator.
        images: what it wants to see.
        options: keyword arguments of the builder.
        resetter: `module:function`; called as `function(network)`, draws the initial weights of a network that may
            have been cut. Empty: the network's own `reset_parameters` does.
    """

    name: str
    title: str
    builder: str
    images: Images
    options: dict[str, Any] = field(default_factory=dict)
    resetter: str = ""

    def fits(self, data_set: DataSet) -> bool:
        """Whether the network can be built for the data set."""
        return self.images.fit(data_set)

    @property
    def fits_what(self) -> str:
        """The data sets that it fits, for an error message: "images of 3 x 32 x 32, such as those of 'cifar10'"."""
        return f"{self.images.title}, such as those of {self.images.example!r}"


_FACTORS = {"": 1.0, "_half": 0.5, "_quarter": 0.25, "_eighth": 0.125}


def _widths(name: str, title: str, builder: str, options: dict[str, Any], least: str = "_quarter") -> list[Backbone]:
    """The network and its narrower variants down to `least`."""
    suffixes = list(_FACTORS)
    return [
        Backbone(
            name + suffix,
            title + (f" ({suffix[1:]} width)" if suffix else ""),
            builder,
            SMALL,
            {**options, "width": _FACTORS[suffix]},
        )
        for suffix in suffixes[: suffixes.index(least) + 1]
    ]


BACKBONES: dict[str, Backbone] = {
    entry.name: entry
    for entry in (
        *_widths("vgg16", "VGG16", "harness.backbones.vgg:vgg16_cifar", {}, least="_eighth"),
        Backbone("vgg_digits", "VGG for digits", "harness.backbones.vgg:vgg_digits", DIGITS),
        *_widths("resnet20", "ResNet20", "harness.backbones.resnet_cifar:resnet_cifar", {"blocks": 3}),
        *_widths("resnet56", "ResNet56", "harness.backbones.resnet_cifar:resnet_cifar", {"blocks": 9}),
        *_widths("mobilenetv2", "MobileNetV2", "harness.backbones.mobilenet_cifar:mobilenetv2_cifar", {}),
        Backbone("vgg16_imagenet", "VGG16", "harness.backbones.vgg_imagenet:vgg16_imagenet", WHOLE_PATCHES),
        Backbone("resnet50", "ResNet50", "harness.backbones.imagenet:resnet50", PHOTOGRAPHS),
        Backbone("mobilenetv2_imagenet", "MobileNetV2", "harness.backbones.imagenet:mobilenetv2_imagenet", PHOTOGRAPHS),
        Backbone("proxylessnas", "ProxylessNAS", "harness.backbones.proxyless:proxylessnas", PHOTOGRAPHS),
    )
}
"""The networks of this project; those of torchvision and of other packages are not among them (`backbone_names`)."""


def backbone_names() -> tuple[str, ...]:
    """Every name that `backbone` knows: this project's networks, those of other packages, then `torchvision/NAME`."""
    return (*BACKBONES, *installed(), *(PREFIX + name for name in TORCHVISION))


def is_backbone(name: str) -> bool:
    """Whether `backbone` knows the name."""
    return (
        name in BACKBONES
        or name in installed()
        or (name.startswith(PREFIX) and name.removeprefix(PREFIX) in TORCHVISION)
    )


def unknown_backbone(name: str) -> str:
    """One line that says that there is no such backbone and what was probably meant."""
    if "/" not in name and name.lower().replace("-", "_") not in TORCHVISION:
        return unknown("backbone", name, (*BACKBONES, *installed(), f"{PREFIX}NAME"))
    meant = nearest(name.rpartition("/")[2], TORCHVISION)
    hint = f"did you mean {PREFIX + meant!r}?" if meant else "'harness list backbones --json' names all there are"
    return f"unknown backbone {name!r}; {hint}"


def fitting(data_set: DataSet) -> list[str]:
    """The backbones that fit a data set, by name, with torchvision's as one: `torchvision/NAME`."""
    own = sorted(name for name, entry in {**BACKBONES, **installed()}.items() if entry.fits(data_set))
    return [*own, f"{PREFIX}NAME"] if COLOUR.fit(data_set) else own


def backbone(name: str) -> Backbone:
    """The backbone of that name; a UserError that says what was meant if there is none."""
    if name in BACKBONES:
        return BACKBONES[name]
    if name in installed():
        return installed()[name]
    if not is_backbone(name):
        raise UserError(unknown_backbone(name))
    return _torchvision(name.removeprefix(PREFIX))


def _torchvision(plain: str) -> Backbone:
    module = "harness.backbones.torchvision_network"
    least, multiple, images = SMALLEST.get(plain, 1), MULTIPLE_OF.get(plain, 1), COLOUR
    if least > 1 or multiple > 1:
        sizes = f"at least {least} pixels high" if least > 1 else f"a multiple of {multiple} pixels high"
        images = Images(
            f"{COLOUR.title}, {sizes}",
            lambda found: COLOUR.fit(found) and found.size >= least and found.size % multiple == 0,
            "imagenet",
        )
    title = f"{plain} (torchvision)"
    return Backbone(PREFIX + plain, title, f"{module}:build", images, {"name": plain}, f"{module}:reset")


def build(name: str, data_set: DataSet, seed: int | None = None) -> nn.Module:
    """The network with fresh weights.

    Args:
        name: a name of the catalogue.
        data_set: gives channels, image size and classes.
        seed: of the initialisation; None leaves torch's global generator as it is. With a seed the global
            generator is restored afterwards.
    """
    import torch

    entry = backbone(name)
    if not entry.fits(data_set):
        raise UserError(f"backbone {name!r} does not fit data set {data_set.name!r}; it fits {entry.fits_what}")
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        network: nn.Module = _function(entry.builder)(data_set, **entry.options)
    return network


def reset(name: str, network: nn.Module) -> None:
    """Draws initial weights anew from torch's global generator, in place.

    Args:
        name: the backbone that the network was built as.
        network: whole, or with layers that were cut narrower, replaced or taken out.

    Raises:
        UserError: it has weights that nobody here knows how to draw.
    """
    entry = backbone(name)
    if entry.resetter:
        _function(entry.resetter)(network)
    else:
        network.reset_parameters()  # type: ignore[operator]


def _function(reference: str) -> Callable[..., Any]:
    module, function = reference.split(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found
