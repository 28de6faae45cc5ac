"""Which networks there are, what each is called, and which function builds it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.data.catalogue import DataSet
from harness.errors import UserError, unknown

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Backbone:
    """A network by name.

    Attributes:
        name: what a suite calls it.
        title: what a table calls it.
        builder: `module:function`; called as `function(data_set, **options)`, gives an `nn.Module` whose weights are
            initialised from torch's global generator.
        data_sets: the data sets that it fits.
        options: keyword arguments of the builder.
    """

    name: str
    title: str
    builder: str
    data_sets: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)


def _vgg(name: str, title: str, width: float) -> Backbone:
    return Backbone(name, title, "harness.backbones.vgg:vgg16_cifar", ("cifar10",), {"width": width})


BACKBONES: dict[str, Backbone] = {
    entry.name: entry
    for entry in (
        _vgg("vgg16", "VGG16", 1.0),
        _vgg("vgg16_half", "VGG16 (half width)", 0.5),
        _vgg("vgg16_quarter", "VGG16 (quarter width)", 0.25),
        _vgg("vgg16_eighth", "VGG16 (eighth width)", 0.125),
        Backbone("vgg_digits", "VGG for digits", "harness.backbones.vgg:vgg_digits", ("digits",)),
    )
}


def backbone(name: str) -> Backbone:
    """The backbone of that name; a UserError that says what was meant if there is none."""
    if name not in BACKBONES:
        raise UserError(unknown("backbone", name, BACKBONES))
    return BACKBONES[name]


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
    if data_set.name not in entry.data_sets:
        raise UserError(
            f"backbone {name!r} does not fit data set {data_set.name!r}; it fits {', '.join(entry.data_sets)}"
        )
    module, function = entry.builder.split(":")
    builder = getattr(importlib.import_module(module), function)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        network: nn.Module = builder(data_set, **entry.options)
    return network
