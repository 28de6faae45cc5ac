"""Networks of other packages, found by the entry-point group `harness.backbones`."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.backbones.catalogue import Backbone

ENTRY_POINTS = "harness.backbones"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def installed() -> Mapping[str, Backbone]:
    """The usable ones by name, in order of their names."""
    return _found()[0]


def broken() -> Mapping[str, str]:
    """{name of an entry point: why it cannot be used}."""
    return _found()[1]


@cache
def _found() -> tuple[dict[str, Backbone], dict[str, str]]:
    from harness.backbones.catalogue import BACKBONES, Backbone

    sound: dict[str, Backbone] = {}
    unusable: dict[str, str] = {}
    for entry in sorted(importlib.metadata.entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        try:
            loaded = entry.load()
        except Exception as error:  # a broken package must not take the others down
            unusable[entry.name] = f"{type(error).__name__}: {error}"
            continue
        if not isinstance(loaded, Backbone):
            unusable[entry.name] = f"{entry.value} is a {type(loaded).__name__}, not a harness.backbones.Backbone"
        elif not _NAME.fullmatch(loaded.name):
            unusable[entry.name] = f"{loaded.name!r} cannot be a name: letters, digits, '_', '.', '-', at most 64"
        elif loaded.name in BACKBONES or loaded.name in sound:
            unusable[entry.name] = f"the name {loaded.name!r} is taken"
        elif loaded.builder.count(":") != 1:
            unusable[entry.name] = f"its builder must read module:function, not {loaded.builder!r}"
        else:
            sound[loaded.name] = loaded
    return sound, unusable
