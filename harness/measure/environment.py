"""Where a number was measured: everything that could explain why it differs elsewhere."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import harness

_PACKAGES = ("torch", "torchvision", "ray", "torch-pruning", "numpy", "safetensors", "pydantic", "fvcore")


@cache
def commit() -> tuple[str | None, bool | None]:
    """(git commit of the harness, whether files of the checkout differ from it); Nones outside a checkout."""
    root = Path(harness.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None, None

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.strip()

    try:
        code = ("harness", "methods", "suites", "pyproject.toml")
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", *code))
    except (OSError, subprocess.SubprocessError):
        return None, None


@cache
def versions() -> dict[str, str]:
    """Installed versions of the packages that numbers depend on."""
    found = {"python": platform.python_version(), "harness": harness.__version__}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def provenance(device: str, threads: int) -> dict[str, Any]:
    """The environment of a measurement on `device` ("cpu", "cuda:0"), now."""
    sha, dirty = commit()
    facts: dict[str, Any] = {
        "commit": sha,
        "dirty": dirty,
        "versions": versions(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "device": device,
        "load_average": round(os.getloadavg()[0], 2),
    }
    if device.startswith("cuda"):
        import torch

        facts["device_name"] = torch.cuda.get_device_name(device)
        facts["cuda"] = torch.version.cuda
        facts["cudnn"] = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        facts["driver"] = _driver()
    return facts


def _driver() -> str | None:
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.split("\n")[0]
    except (OSError, subprocess.SubprocessError):
        return None
