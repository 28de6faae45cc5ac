"""A stage finds its process as a fresh one would be, and leaves it so, whatever its method did.

Workers live for many cells of many methods. What a method could leave behind for the next one, and what is put back:
the generators' states, torch's default dtype and device, gradient mode, autocast, anomaly detection, threads, flags of
cuDNN, oneDNN and matrix precision, deterministic algorithms, warnings' filters, the current folder, the environment
and the modules' search path. Generators start from the stage's key: whoever draws from a global one draws the same in
any process.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.data.seeds import derive

_Setting = tuple[Callable[[], Any], Callable[[Any], object]]


@contextmanager
def pristine(key: str) -> Iterator[list[str]]:
    """Seeds the global generators, and puts back at the end what was changed meanwhile.

    Args:
        key: of the stage that runs.

    Yields:
        A list that holds, after the block, the names of the settings that had to be put back.
    """
    found: list[str] = []
    before = {name: read() for name, (read, _) in _SETTINGS.items()}
    generators = torch.get_rng_state(), np.random.get_state(), random.getstate()
    seed = derive(0, "global generators", key)
    _seed_torch(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        with warnings.catch_warnings():
            yield found
    finally:
        for name, (read, write) in _SETTINGS.items():
            if _now(read) != before[name]:
                write(before[name])
                found.append(name)
        torch.set_rng_state(generators[0])
        np.random.set_state(generators[1])
        random.setstate(generators[2])


def release_memory(device: str) -> None:
    """Gives the memory of an accelerator that nothing uses any more back to it, for other processes."""
    if device.startswith("cuda"):
        gc.collect()
        torch.cuda.empty_cache()


def still_answers(device: str) -> bool:
    """Whether this process can go on computing on the device; after an error in a kernel it never can."""
    if not device.startswith("cuda"):
        return True
    try:
        torch.cuda.synchronize(device)
        return int(torch.ones(8, device=device).sum()) == 8
    except torch.cuda.OutOfMemoryError:
        return True
    except RuntimeError:
        return False


def _seed_torch(seed: int) -> None:
    if torch.version.cuda is not None or torch.version.hip is not None:
        torch.manual_seed(seed)
    else:  # the same without milliseconds for accelerators that this torch has not
        torch.default_generator.manual_seed(seed)


def _now(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except OSError:  # the current folder was removed
        return None


def _environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _default_device(before: torch.device) -> None:
    # "cpu" as a default is a mode that costs every call; None takes the mode away
    torch.set_default_device(None if before == torch.device("cpu") else before)


def _flag(module: Any, name: str) -> _Setting:
    return lambda: getattr(module, name), lambda value: setattr(module, name, value)


_SETTINGS: dict[str, _Setting] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (torch.get_default_device, _default_device),
    "gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "autocast": (
        lambda: [torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda")],
        lambda value: [torch.set_autocast_enabled(*each) for each in zip(("cpu", "cuda"), value, strict=True)],
    ),
    "threads": (torch.get_num_threads, torch.set_num_threads),
    "deterministic algorithms": (
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
    ),
    "matrix precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    **{
        f"cudnn.{name}": _flag(torch.backends.cudnn, name)
        for name in ("enabled", "benchmark", "deterministic", "allow_tf32")
    },
    "mkldnn.enabled": _flag(torch.backends.mkldnn, "enabled"),
    "current folder": (Path.cwd, os.chdir),
    "environment": (lambda: dict(os.environ), _environment),
    "search path": (lambda: list(sys.path), lambda value: sys.path.__setitem__(slice(None), value)),
}
