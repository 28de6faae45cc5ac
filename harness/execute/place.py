"""Where a stage runs: folders, device, threads, and the data kept between stages of one process."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from harness.data.catalogue import DataSet, data_set
from harness.data.interface import Loader
from harness.data.interruptible import InterruptibleLoader
from harness.data.loader import DeviceLoader
from harness.data.sets import find_photographs, load_data
from harness.data.split import split
from harness.errors import UserError
from harness.inside import inside
from harness.train.checkpoint import Checkpoint
from harness.train.ranks import ALONE, Ranks
from harness.train.watch import Stopped, Watch


@dataclass(frozen=True)
class Place:
    """Where stages run.

    Attributes:
        results: the results folder.
        data: the folder of the data sets.
        device: as torch names it.
        threads: torch's threads within an operation; results are bit-equal only for equal threads.
        hang_after: a stage without a sign of life for so many seconds is ended; None: never.
        most_growth: a worker of Ray that has grown by more than so many bytes is replaced after its job.
        ranks: the processes that share a training, of which this is one; each has a device and threads of its own.
    """

    results: Path
    data: Path
    device: str = "cpu"
    threads: int = 1
    watch: Watch = field(default_factory=Watch)
    hang_after: float | None = None
    most_growth: int = 2 * 2**30
    ranks: Ranks = ALONE

    def checkpoint(self, key: str, name: str = "epoch") -> Checkpoint:
        """The checkpoint of a stage in progress; rank 0 alone writes it."""
        return Checkpoint(self.checkpoints(key) / f"{name}.safetensors", writes=self.ranks.rank == 0)

    def checkpoints(self, key: str) -> Path:
        """The folder of a stage's checkpoints; gone once the stage is done."""
        return inside(self.results, "checkpoints", key)

    @property
    def readers(self) -> int:
        """How many processes read photographs beside this one: a core each, and one core for the training."""
        return self.threads - 1

    def loaders(self, config: dict[str, Any]) -> tuple[Loader, Loader | None]:
        """Training images and, where the recipe leaves them out of training, held-out images.

        Raises:
            UserError: the data set is absent, damaged, or not the one that the stage was planned with.
        """
        declared = data_set(config["data"], self.data)
        if declared.checksum != config["checksum"]:
            raise UserError(
                f"data set {declared.name!r} in {self.data} is not the one that the run was planned with: "
                f"its checksum is {declared.checksum}, not {config['checksum']}"
            )
        chosen = (declared, self.data, config["train_images"], config["all_train"], self.device)
        if not declared.photographs:
            train, held_out = _training_loaders(*chosen, config["channels_last"])
        else:
            train, held_out = _photograph_loaders(
                *chosen,
                config["channels_last"],
                self.readers,
                config.get("crop_scale"),
                config.get("resize_first", False),
            )
        return self._interruptible(train), None if held_out is None else self._interruptible(held_out)

    def test_loader(self, data: str) -> Loader:
        """The test split, in its own order; the measure stage asks for it, and fine-tuning that records its curve."""
        declared = data_set(data, self.data)
        if declared.photographs:
            from harness.data.photographs import PhotographLoader

            part = find_photographs(declared, self.data).test
            return self._interruptible(
                PhotographLoader(part, declared, device=self.device, workers=self.readers, channels_last=False)
            )
        raw = load_data(data, self.data)
        return self._interruptible(
            DeviceLoader(raw.test_images, raw.test_labels, declared, self.device, channels_last=False)
        )

    def free_memory(self) -> None:
        """Lets go of the images that earlier stages of this process left on the device, and of torch's own cache."""
        _training_loaders.cache_clear()
        _photograph_loaders.cache_clear()
        gc.collect()
        if self.device != "cpu":
            torch.cuda.empty_cache()

    def _interruptible(self, loader: Loader) -> Loader:
        """The loader, which asks the watch before each batch: scoring ends as soon as training does."""

        def between() -> None:
            if self.watch.should_stop():
                raise Stopped

        return InterruptibleLoader(loader, between)

    def set_threads(self) -> None:
        """Fixes torch's threads; must come before the first operation of the process to be exact."""
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)


@lru_cache(maxsize=4)
def _training_loaders(
    declared: DataSet, folder: Path, train_images: int | None, all_train: bool, device: str, channels_last: bool
) -> tuple[Loader, Loader | None]:
    raw = load_data(declared.name, folder)
    parts = split(declared, train_images, all_train)

    def loader(indices: torch.Tensor) -> DeviceLoader:
        images, labels = raw.train_images[indices], raw.train_labels[indices]
        return DeviceLoader(images, labels, declared, device, channels_last=channels_last)

    return loader(parts.train), loader(parts.held_out) if len(parts.held_out) else None


@lru_cache(maxsize=4)
def _photograph_loaders(
    declared: DataSet,
    folder: Path,
    train_images: int | None,
    all_train: bool,
    device: str,
    channels_last: bool,
    readers: int,
    crop_scale: float | None,
    resize_first: bool,
) -> tuple[Loader, Loader | None]:
    from harness.data.photographs import PhotographLoader

    there = find_photographs(declared, folder).train
    parts = split(declared, train_images, all_train)

    def loader(indices: torch.Tensor) -> PhotographLoader:
        return PhotographLoader(
            there,
            declared,
            indices,
            device=device,
            workers=readers,
            channels_last=channels_last,
            crop_scale=crop_scale,
            resize_first=resize_first,
        )

    return loader(parts.train), loader(parts.held_out) if len(parts.held_out) else None
