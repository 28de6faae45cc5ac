"""How fast images come: the harness's loaders against what a user would write with torchvision and a DataLoader.

CIFAR-10: a whole epoch in batches, without a network, shuffled, `RandomCrop(32, padding=4)`, `RandomHorizontalFlip`,
scaled and normalised to float32. Torchvision's side is its `CIFAR10` in a DataLoader, with its transforms of PIL images
or with those of tensors (v2). Photographs: a folder at 224 pixels, `RandomResizedCrop(224)` and the mirroring, against
`ImageFolder`. Both sides end with a batch on the CPU.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms as classic
from torchvision.datasets import CIFAR10, ImageFolder
from torchvision.io import decode_image
from torchvision.transforms import v2

from bench.lines import THREADS, Line
from harness.data.catalogue import DataSet, data_set
from harness.data.loader import DeviceLoader
from harness.data.photographs import PhotographLoader
from harness.data.sets import find_photographs, load_data, present
from harness.paths import data_folder

WORKERS = 2
BATCHES = (64, 512)
PASSES = 3
"""Of ours, each time; one lasts a fraction of a second, so whatever else runs then would show."""

PHOTOGRAPHS = "folder/imagenette"
BAR = "≥ 10"

Images = Dataset[Any]


def measure(quick: bool) -> list[Line]:
    """The lines of CIFAR-10 and, where they are there, of photographs."""
    torch.set_num_threads(THREADS)
    folder = data_folder()
    lines = cifar10_lines(folder, 1_000 if quick else None)
    if present(PHOTOGRAPHS, folder):
        lines += photograph_lines(folder, 64 if quick else None)
    return lines


def cifar10_lines(folder: Path, images: int | None) -> list[Line]:
    """Each batch size against PIL and tensors with two workers, and against PIL in one process.

    Args:
        images: of an epoch; None for all 50,000.
    """
    declared = data_set("cifar10")
    raw = load_data("cifar10", folder)
    ours = DeviceLoader(raw.train_images[:images], raw.train_labels[:images], declared)
    with_pil = first(CIFAR10(str(folder), transform=of_pil(declared)), images)
    with_tensors = first(CIFAR10(str(folder), transform=of_tensors(declared)), images)
    lines = []
    for batch in BATCHES:
        for how, theirs, workers, bar in (
            (f"DataLoader, {WORKERS} workers, PIL transforms", with_pil, WORKERS, BAR),
            (f"DataLoader, {WORKERS} workers, v2 transforms of tensors", with_tensors, WORKERS, BAR),
            ("DataLoader in one process, PIL transforms", with_pil, 0, "–"),
        ):
            loader = DataLoader(theirs, batch, shuffle=True, num_workers=workers)
            what = f"CIFAR-10, an epoch in batches of {batch}"
            lines.append(line(what, how, partial(ours.epoch, 0, 0, batch, True), loader, len(ours), bar))
    return lines


def photograph_lines(folder: Path, images: int | None) -> list[Line]:
    """With as many reading processes on both sides.

    Args:
        images: of an epoch; None for all of the folder.
    """
    declared = data_set(PHOTOGRAPHS, folder)
    part = find_photographs(declared, folder).train
    chosen = torch.arange(len(part.paths))[:images]
    ours = PhotographLoader(part, declared, chosen, workers=WORKERS)
    what = f"photographs of {declared.title}, an epoch at {declared.size} pixels in batches of 64"
    lines = []
    for how, theirs in (
        ("PIL transforms", ImageFolder(part.root, photograph_of_pil(declared))),
        (
            "torchvision.io and v2 transforms of tensors",
            ImageFolder(part.root, photograph_of_tensors(declared), loader=partial(decode_image, mode="RGB")),
        ),
    ):
        loader = DataLoader(first(theirs, images), 64, shuffle=True, num_workers=WORKERS)
        against = f"ImageFolder, DataLoader, {WORKERS} workers, {how}"
        lines.append(line(what, against, partial(ours.epoch, 0, 0, 64, True), loader, len(ours), "–"))
    return lines


def line(
    what: str, how: str, ours: Callable[[], Iterator[Any]], theirs: DataLoader[Any], images: int, bar: str
) -> Line:
    """Images per second: one whole pass of theirs, and the median of passes of ours before and after it."""
    seconds(ours())
    before, their_seconds = [seconds(ours()) for _ in range(PASSES)], seconds(theirs)
    ours_seconds = statistics.median([*before, *(seconds(ours()) for _ in range(PASSES))])
    mine, other = (f"{images / each:,.0f} images/s" for each in (ours_seconds, their_seconds))
    return Line(what, mine, other, their_seconds / ours_seconds, bar, f"against {how}")


def seconds(batches: Iterable[tuple[Any, Any]]) -> float:
    """How long it takes to go through the batches."""
    began = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - began


def first(images: Images, count: int | None) -> Images:
    """The first so many."""
    return images if count is None else Subset(images, range(count))


def of_pil(declared: DataSet) -> Any:
    """What torchvision's examples do with CIFAR-10."""
    return classic.Compose(
        [
            classic.RandomCrop(declared.size, padding=declared.padding),
            classic.RandomHorizontalFlip(),
            classic.ToTensor(),
            classic.Normalize(declared.mean, declared.std),
        ]
    )


def of_tensors(declared: DataSet) -> Any:
    """The same with tensors of bytes up to the last step, as torchvision advises for speed."""
    return v2.Compose(
        [
            v2.ToImage(),
            v2.RandomCrop(declared.size, padding=declared.padding),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(declared.mean, declared.std),
        ]
    )


def photograph_of_pil(declared: DataSet) -> Any:
    """What torchvision's examples do with ImageNet."""
    return classic.Compose(
        [
            classic.RandomResizedCrop(declared.size),
            classic.RandomHorizontalFlip(),
            classic.ToTensor(),
            classic.Normalize(declared.mean, declared.std),
        ]
    )


def photograph_of_tensors(declared: DataSet) -> Any:
    """The same with tensors of bytes up to the last step."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(declared.size),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(declared.mean, declared.std),
        ]
    )
