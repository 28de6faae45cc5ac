"""What a recipe asks of a device: refused where it is not there, and put back afterwards where it is set."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from harness.errors import UserError
from harness.train.compiled import missing_compiler

CUBLAS_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def check_device(config: Mapping[str, Any], device: str) -> None:
    """Refuses what the device cannot do, before anything is trained.

    Args:
        config: a stage's; what of `precision`, `compile` and `cuda_graphs` it has not is not asked for.
        device: as torch names it.

    Raises:
        UserError: one line that says what to leave out.
    """
    if config.get("precision") == "bfloat16" and not has_bfloat16(device):
        raise UserError(
            f"recipe.precision: {processor_words(device)} only emulates bfloat16; leave it out or run elsewhere"
        )
    if config.get("cuda_graphs") and not device.startswith("cuda"):
        raise UserError(f"recipe.cuda_graphs: there are no CUDA graphs on {device}; leave it out or run on a GPU")
    if config.get("compile") and (missing := missing_compiler(device)):
        raise UserError(f"recipe.compile: torch.compile needs {missing}, and there is none here")


def has_bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 itself: AVX-512 BF16 or AMX, or compute capability 8.0."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def processor_words(device: str) -> str:
    """What a refusal calls the device."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "this processor"


@contextmanager
def only_deterministic(wanted: bool, device: str) -> Iterator[None]:
    """Where `wanted`, torch takes only algorithms that give the same bits every time; afterwards as before.

    An operation that has no such algorithm raises torch's RuntimeError, which names it.

    Args:
        device: as torch names it. On a GPU cuBLAS is told wanted or not: it reads its variable once in a process.
    """
    if device.startswith("cuda"):
        os.environ.setdefault(CUBLAS_WORKSPACE, ":4096:8")
    if not wanted:
        yield
        return
    algorithms = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(algorithms[0], warn_only=algorithms[1])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
