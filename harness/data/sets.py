"""Loads data sets by name, and checks what is loaded against what is declared."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from harness.data.catalogue import DataSet, data_set, sketch
from harness.data.folders import TEST, TRAIN, Listing, listing
from harness.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from harness.data.raw import RawData


def load_data(name: str, folder: Path) -> RawData:
    """The small images of that name; loaded once a process. Callers must not change its tensors.

    Args:
        name: of the catalogue.
        folder: where data sets lie.

    Raises:
        UserError: the name is unknown, or the data set is absent, damaged, not as declared, or photographs.
    """
    entry = sketch(name)
    if entry.photographs:
        find_photographs(data_set(name, folder), folder)
        raise UserError(f"data set {name!r} is photographs, which are read from disk and not held in memory")
    return _load(entry, folder.resolve())


def find_photographs(entry: DataSet, folder: Path) -> Listing:
    """The files of a set of photographs, counted but not read.

    Args:
        entry: as declared.
        folder: where data sets lie.

    Raises:
        UserError: the photographs are absent, or are not as declared.
    """
    root = folder / entry.folder
    there = listing(entry.family, root)
    for what, declared, found in (
        ("classes", entry.classes, len(there.classes)),
        ("training images", entry.train_images, len(there.train.paths)),
        ("test images", entry.test_images, len(there.test.paths)),
    ):
        if declared != found:
            raise UserError(f"data set {entry.name!r}: {root} has {found:,} {what}, declared are {declared:,}")
    return there


def fetch_data(name: str, folder: Path) -> RawData:
    """Downloads the data set unless it is there, loads and checks it; raises UserError as `load_data` does."""
    entry = sketch(name)
    fetch = None if entry.photographs else getattr(_module(entry), "fetch", None)
    if fetch is not None:
        fetch(folder)
    return load_data(name, folder)


def present(name: str, folder: Path) -> bool:
    """Whether the data set's files are there, without reading them or importing torch."""
    entry = sketch(name)
    if entry.photographs:
        return all((folder / entry.folder / part).is_dir() for part in (TRAIN, TEST))
    found: bool = _module(entry).present(folder)
    return found


def _module(entry: DataSet) -> ModuleType:
    return importlib.import_module(entry.loader.partition(":")[0])


@cache
def _load(entry: DataSet, folder: Path) -> RawData:
    data: RawData = getattr(_module(entry), entry.loader.partition(":")[2])(folder)
    _check(entry, "training", data.train_images, data.train_labels, entry.train_images)
    _check(entry, "test", data.test_images, data.test_labels, entry.test_images)
    return data


def _check(entry: DataSet, part: str, images: Tensor, labels: Tensor, count: int) -> None:
    declared = (count, entry.size, entry.size, entry.channels)
    if tuple(images.shape) != declared or str(images.dtype) != "torch.uint8":
        raise UserError(
            f"data set {entry.name!r}: its {part} images are {images.dtype} {tuple(images.shape)}, "
            f"declared is torch.uint8 {declared}"
        )
    if tuple(labels.shape) != (count,) or int(labels.min()) < 0 or int(labels.max()) >= entry.classes:
        raise UserError(f"data set {entry.name!r}: its {part} labels are not {count:,} numbers below {entry.classes}")
