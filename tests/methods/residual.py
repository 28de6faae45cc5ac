"""A residual network for the digits, known to the catalogue while a test runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from harness.backbones.catalogue import BACKBONES, DIGITS, Backbone
from harness.data.catalogue import data_set
from harness.measure.cost import network_cost
from harness.plan.costs import NetworkCost, cache_place, remember
from harness.suite.cell import Cell, Cut, DataChoice
from harness.suite.recipe import Epochs, Recipe
from tests.cells import cell
from tests.methods.quick import quick

NAME = "resnet_digits"
RECIPE = Recipe(epochs=Epochs(dense=1, search=1, finetune=1, baseline=2), batch=64, lr=0.05)


@contextmanager
def residual_backbone() -> Iterator[None]:
    """A ResNet14 of widths 8, 16, 32 (option-A shortcuts) for images of 8 x 8, under `NAME`."""
    builder = "harness.backbones.resnet_cifar:resnet_cifar"
    BACKBONES[NAME] = Backbone(NAME, "ResNet for digits", builder, DIGITS, {"blocks": 2, "width": 0.5})
    try:
        counted = network_cost(NAME, "digits")
        # A plan counts in a process of its own, which does not know this network, unless it finds the count.
        cost = NetworkCost(**{field: counted[field] for field in ("macs", "params", "paper_flops", "paper_params")})
        remember(cache_place(NAME, data_set("digits")), cost)
        yield
    finally:
        del BACKBONES[NAME]


def residual(name: str, cuts: tuple[Cut, ...], **fields: Any) -> Cell:
    """A cell of that network on 128 of the digits with one epoch of everything."""
    made = cell(name, recipe=RECIPE, cuts=cuts, params=quick(name, **fields.pop("params", {})), **fields)
    return replace(made, backbone=NAME, data=DataChoice("digits", 128))
