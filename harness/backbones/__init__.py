"""The catalogue of networks: names and builders, without importing torch."""

from __future__ import annotations

from harness.backbones.catalogue import BACKBONES, Backbone, backbone, build

__all__ = ["BACKBONES", "Backbone", "backbone", "build"]
