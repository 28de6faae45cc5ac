"""A network as `torch.compile` runs it, for the length of a training."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import cast

import torch
from torch import nn


@contextmanager
def compiled(network: nn.Module, wanted: bool) -> Iterator[nn.Module]:
    """What `torch.compile` makes of the network, which shares all weights; unless `wanted`, the network itself.

    Whatever was compiled before is forgotten on both sides: after eight networks of one class in a process torch would
    run the ninth as it is, without a word.
    """
    if not wanted:
        yield network
        return
    torch.compiler.reset()
    try:
        yield cast(nn.Module, torch.compile(network))
    finally:
        torch.compiler.reset()


def missing_compiler(device: str) -> str | None:
    """What `torch.compile` needs for the device and is not there, or None."""
    if device.startswith("cuda"):
        return None if find_spec("triton") else "Triton"
    wanted = os.environ.get("CXX")
    there = any(shutil.which(name) for name in ((wanted,) if wanted else ("g++", "clang++")))
    return None if there else "a C++ compiler"
