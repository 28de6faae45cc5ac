"""Where a stage runs: folders, device, threads, and the data kept between stages of one process."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from harness.data.catalogue import data_set
from harness.data.loader import DeviceLoader
from harness.data.sets import load_data
from harness.data.split import split
from harness.train.checkpoint import Checkpoint
from harness.train.watch import Watch


@dataclass(frozen=True)
class Place:
    """Where stages run.

    Attributes:
        results: the results folder.
        data: the folder of the data sets.
        device: as torch names it.
        threads: torch's threads within an operation; results are bit-equal only for equal threads.
    """

    results: Path
    data: Path
    device: str = "cpu"
    threads: int = 1
    watch: Watch = field(default_factory=Watch)

    def checkpoint(self, key: str, name: str = "epoch") -> Checkpoint:
        """The checkpoint of a stage in progress."""
        return Checkpoint(self.checkpoints(key) / f"{name}.safetensors")

    def checkpoints(self, key: str) -> Path:
        """The folder of a stage's checkpoints; gone once the stage is done."""
        return self.results / "checkpoints" / key

    def loaders(self, config: dict[str, Any]) -> tuple[DeviceLoader, DeviceLoader | None]:
        """Training images and, where the recipe leaves them out of training, held-out images."""
        return _training_loaders(
            config["data"],
            self.data,
            config["train_images"],
            config["all_train"],
            self.device,
            config["channels_last"],
        )

    def test_loader(self, data: str) -> DeviceLoader:
        """The test split; only the measure stage asks for it."""
        raw = load_data(data, self.data)
        return DeviceLoader(raw.test_images, raw.test_labels, data_set(data), self.device, channels_last=False)

    def set_threads(self) -> None:
        """Fixes torch's threads; must come before the first operation of the process to be exact."""
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)


@lru_cache(maxsize=4)
def _training_loaders(
    name: str, folder: Path, train_images: int | None, all_train: bool, device: str, channels_last: bool
) -> tuple[DeviceLoader, DeviceLoader | None]:
    raw = load_data(name, folder)
    declared = data_set(name)
    parts = split(declared, train_images, all_train)

    def loader(indices: torch.Tensor) -> DeviceLoader:
        images, labels = raw.train_images[indices], raw.train_labels[indices]
        return DeviceLoader(images, labels, declared, device, channels_last=channels_last)

    return loader(parts.train), loader(parts.held_out) if len(parts.held_out) else None
