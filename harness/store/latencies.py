"""How long networks take on a device, kept in the ledger beside the stages that made them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.store.ledger import Ledger

KIND = "latency"


@dataclass(frozen=True)
class Settings:
    """How a network was run.

    Attributes:
        batch: images of a forward pass.
        device: "cpu" or "cuda".
        device_name: the processor's or the accelerator's name.
        threads: torch's threads.
        channels_last: memory format of images and weights.
        compiled: by `torch.compile`.
        precision: of weights and images.
    """

    batch: int
    device: str
    device_name: str
    threads: int
    channels_last: bool
    compiled: bool
    precision: str = "float32"


@dataclass(frozen=True)
class Latency:
    """One network's forward pass as timed.

    Attributes:
        of: content key of the measure stage whose network it is.
        median: seconds of a forward pass of the whole batch.
        quartiles: the middle half of all passes lies between these, seconds.
        passes: how many were timed.
        drift: median of the last third over that of the first third, of all that was timed in the session: above 1.05
            the device became slower meanwhile (heat, other work).
        peak_memory: bytes above what was in use before, at the highest; None where it cannot be read.
        provenance: commit, versions, load average and so on.
    """

    of: str
    settings: Settings
    median: float
    quartiles: tuple[float, float]
    passes: int
    drift: float
    peak_memory: int | None
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Names the measurement: the same network with the same settings again takes its place."""
        content = json.dumps([self.of, asdict(self.settings)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


def keep(ledger: Ledger, latency: Latency) -> None:
    """Writes a measurement to the ledger."""
    ledger.append("done", latency.key, KIND, asdict(latency))


def of_most(found: Mapping[str, Sequence[Latency]]) -> dict[str, Latency]:
    """{key of a measure stage: its latency under the settings that most networks were timed with}.

    Networks that were timed under other settings alone are left out: their times cannot be compared.
    """
    counted = Counter(one.settings for many in found.values() for one in many)
    if not counted:
        return {}
    chosen = max(counted, key=lambda settings: (counted[settings], json.dumps(asdict(settings))))
    return {of: one for of, many in found.items() for one in many if one.settings == chosen}


def kept(ledger: Ledger) -> dict[str, tuple[Latency, ...]]:
    """{key of a measure stage: its network's latencies}, by settings."""
    found: dict[str, list[Latency]] = {}
    for payload in ledger.results_of(KIND):
        settings = Settings(**payload.pop("settings"))
        low, high = payload.pop("quartiles")
        one = Latency(settings=settings, quartiles=(low, high), **payload)
        found.setdefault(one.of, []).append(one)
    return {of: tuple(sorted(many, key=lambda one: json.dumps(asdict(one.settings)))) for of, many in found.items()}
