"""The catalogue of networks: names and builders, without importing torch."""

from __future__ import annotations

from harness.backbones.catalogue import (
    BACKBONES,
    COLOUR,
    DIGITS,
    PHOTOGRAPHS,
    SMALL,
    Backbone,
    Images,
    backbone,
    backbone_names,
    build,
    fitting,
    is_backbone,
    reset,
    unknown_backbone,
)

__all__ = [
    "BACKBONES",
    "COLOUR",
    "DIGITS",
    "PHOTOGRAPHS",
    "SMALL",
    "Backbone",
    "Images",
    "backbone",
    "backbone_names",
    "build",
    "fitting",
    "is_backbone",
    "reset",
    "unknown_backbone",
]
