"""What each whole network costs, remembered on disk so that planning needs no torch."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import harness
from harness.data.catalogue import DataSet
from harness.data.catalogue import data_set as look_up
from harness.errors import UserError
from harness.paths import cache_folder
from harness.plan.fingerprint import backbone_fingerprint


@dataclass(frozen=True)
class NetworkCost:
    """Costs of a whole network for one image.

    Attributes:
        macs: multiply-adds of conv and linear layers.
        params: all parameters.
        paper_flops: by the counting rule of the DNAL paper.
        paper_params: by the counting rule of the DNAL paper.
    """

    macs: int
    params: int
    paper_flops: int
    paper_params: int


@cache
def network_cost(backbone: str, data_set: str) -> NetworkCost:
    """The cost of a backbone on a data set; counted once (in a process of its own), then remembered."""
    place = cache_place(backbone, look_up(data_set))
    try:
        return NetworkCost(**json.loads(place.read_text()))
    except (OSError, ValueError, TypeError):
        pass
    command = [sys.executable, "-m", "harness", "cost", backbone, "--dataset", data_set, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"the cost of {backbone} on {data_set} cannot be counted: {last}")
    counted = json.loads(done.stdout)
    cost = NetworkCost(**{field: int(counted[field]) for field in ("macs", "params", "paper_flops", "paper_params")})
    remember(place, cost)
    return cost


def cache_place(backbone: str, data_set: DataSet) -> Path:
    """The file that remembers a cost: one for each network, kind of images, number of classes and state of the code.

    Names of folders and of torchvision's networks hold characters that a file name may not have, and two names could
    read alike without them; the digest tells them apart.
    """
    readable = re.sub(r"[^\w.-]+", "-", f"{backbone}-{data_set.name}", flags=re.ASCII)[:80]
    seen: tuple[object, ...] = (backbone, data_set.name, data_set.channels, data_set.size, data_set.classes, _source())
    seen = seen if (own := backbone_fingerprint(backbone)) is None else (*seen, own)
    return cache_folder() / f"cost-{readable}-{hashlib.sha256(repr(seen).encode()).hexdigest()[:16]}.json"


def remember(place: Path, cost: NetworkCost) -> None:
    """Keeps a cost for the next plan; a cache that cannot be written is no error."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place.parent)
        with os.fdopen(handle, "w") as file:
            json.dump(asdict(cost), file)
        Path(temporary).replace(place)
    except OSError:
        return


@cache
def _source() -> str:
    """sha256 of the files that decide what a network costs."""
    root = Path(harness.__file__).parent
    digest = hashlib.sha256()
    for folder in ("backbones", "channels", "measure"):
        for path in sorted((root / folder).glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    digest.update((root / "data" / "catalogue.py").read_bytes())
    return digest.hexdigest()
