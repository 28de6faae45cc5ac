"""`harness doctor`: what this machine has, and what is missing for what."""

from __future__ import annotations

import os
import shutil
from typing import Any

from harness.cli.options import DataOption, JsonOption


def doctor(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Say what this machine has, and what is missing for what."""
    import json

    import torch

    from harness.data.catalogue import DATA_SETS
    from harness.data.sets import present
    from harness.measure.environment import commit, processor, versions
    from harness.paths import cache_folder, data_folder
    from harness.registry import broken_methods, methods

    folder = data_folder(data)
    found = versions()
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    facts: dict[str, Any] = {
        "versions": found,
        "commit": commit()[0],
        "processor": processor(),
        "cores": os.cpu_count(),
        "devices": devices,
        "data": {name: present(name, folder) for name in DATA_SETS},
        "methods": sorted(methods()),
        "broken_methods": {name: broken.error for name, broken in broken_methods().items()},
        "disk_free_gib": round(shutil.disk_usage(".").free / 2**30, 1),
        "cache": str(cache_folder()),
    }
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    print(f"processor    {facts['processor']}, {facts['cores']} cores")
    print(f"devices      {', '.join(devices) or 'none: everything runs on the processor; bf16 recipes need a GPU'}")
    print(f"disk         {facts['disk_free_gib']} GiB free here")
    print("packages     " + ", ".join(f"{name} {version}" for name, version in found.items()))
    for name, there in facts["data"].items():
        how = "present" if there else f"absent from {folder}: python -m harness data {name} --data {folder}"
        print(f"data         {name}: {how}")
    print(f"methods      {', '.join(facts['methods'])}")
    for name, error in facts["broken_methods"].items():
        print(f"broken       {name}: {error}")
    if "ray" not in found:
        print("missing      ray: only `--executor inline` works")
