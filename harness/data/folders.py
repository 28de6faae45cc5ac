"""Folders of photographs: what lies in `train/CLASS/IMAGE` and `val/CLASS/IMAGE`, found without importing torch.

Classes and images stand in the order of torchvision's `ImageFolder`: sorted by name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.inside import read_bytes

TRAIN, TEST = "train", "val"

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Of the files that count as images, in lower case; other files are passed over."""

FACTS = "datasets.json"
"""In a results folder: the facts of the photographs that its runs saw, for a report where they are absent."""

_MOST_IMAGES = 10**10

KNOWN_FACTS = "HARNESS_DATA_FACTS"
"""The environment variable that names such a file."""


@dataclass(frozen=True)
class Part:
    """The training or the test images.

    Attributes:
        root: the folder of the classes' folders.
        paths: of each image, relative to `root`; the classes one after the other.
        counts: how many images each class has.
    """

    root: str
    paths: tuple[str, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Listing:
    """What a folder of photographs holds."""

    classes: tuple[str, ...]
    train: Part
    test: Part


@dataclass(frozen=True)
class Facts:
    """What is declared of a folder of photographs.

    Attributes:
        checksum: SHA-256 over all relative paths, sorted, and the sizes of the files.
    """

    classes: int
    train_images: int
    test_images: int
    checksum: str


def facts(name: str, root: Path) -> Facts:
    """Counts and checksum of a folder of photographs; found once a process.

    Where the folder is absent, the facts that an earlier run kept serve for planning and reporting.

    Args:
        name: what a suite calls it.
        root: the folder.

    Raises:
        UserError: as `listing`.
    """
    if not root.is_dir() and (kept := _kept(name)) is not None:
        return kept
    return _facts(name, str(root.resolve()))


def listing(name: str, root: Path) -> Listing:
    """The images of a folder of photographs; found once a process.

    Raises:
        UserError: a folder is missing or cannot be read, a class is empty or is not in both parts, or what is named
            like an image is not a file (a pipe would be waited for without end).
    """
    return _listing(name, str(root.resolve()))


def keep_facts(name: str, root: Path, results: Path) -> tuple[Path, bytes]:
    """The file in a results folder that keeps a folder's facts, and what is to be written to it."""
    path = results / FACTS
    return path, json.dumps({**_stated(path), name: asdict(facts(name, root))}, indent=2, sort_keys=True).encode()


def joined_facts(sources: Sequence[Path], into: Path) -> tuple[Path, bytes] | None:
    """The file that keeps what several results folders know of photographs, and its content; None if none does.

    Where they differ, `into` is right: its stages say by their checksum which photographs they mean.
    """
    known: dict[str, Any] = {}
    for folder in (*reversed(sources), into):
        known |= _stated(folder / FACTS)
    return (into / FACTS, json.dumps(known, indent=2, sort_keys=True).encode()) if known else None


@lru_cache(maxsize=8)
def _facts(name: str, root: str) -> Facts:
    found = listing(name, Path(root))
    digest = hashlib.sha256()
    try:
        for part in sorted((found.train, found.test), key=lambda part: part.root):
            folder = Path(part.root)
            for path in sorted(part.paths):
                size = (folder / path).stat().st_size
                digest.update(os.fsencode(f"{folder.name}/{path}") + b"\0" + str(size).encode() + b"\n")
    except OSError as error:
        raise UserError(_unreadable(name, error)) from error
    counts = len(found.classes), len(found.train.paths), len(found.test.paths)
    return Facts(*counts, f"sha256:{digest.hexdigest()}")


@lru_cache(maxsize=2)
def _listing(name: str, root: str) -> Listing:
    try:
        classes = {part: _classes(name, f"{root}/{part}") for part in (TRAIN, TEST)}
        for one, other in ((TRAIN, TEST), (TEST, TRAIN)):
            alone = sorted(set(classes[one]) - set(classes[other]))
            if alone:
                raise UserError(f"data set {name!r}: class {alone[0]!r} is in {root}/{one} only, not in {root}/{other}")
        train, test = (_part(name, f"{root}/{part}", classes[part]) for part in (TRAIN, TEST))
    except OSError as error:
        raise UserError(_unreadable(name, error)) from error
    return Listing(tuple(classes[TRAIN]), train, test)


def _classes(name: str, folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entry.name for entry in entries if entry.is_dir())
    except FileNotFoundError:
        raise UserError(
            f"data set {name!r}: there is no folder {folder}; photographs lie in {TRAIN}/CLASS/IMAGE and "
            f"{TEST}/CLASS/IMAGE under the folder that --data or HARNESS_DATA names"
        ) from None
    if len(found) < 2:
        raise UserError(f"data set {name!r}: {folder} has {len(found)} folders of classes; two are the fewest")
    return found


def _part(name: str, root: str, classes: list[str]) -> Part:
    paths: list[str] = []
    counts = []
    for each in classes:
        found = sorted(_images(name, root, each))
        if not found:
            raise UserError(f"data set {name!r}: class {each!r} has no image in {root}")
        paths += [f"{folder}/{file}" for folder, file in found]
        counts.append(len(found))
    return Part(root, tuple(paths), tuple(counts))


def _images(name: str, root: str, folder: str) -> Iterator[tuple[str, str]]:
    """(folder relative to `root`, file name) of all images in and below `folder`."""
    with os.scandir(f"{root}/{folder}") as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _images(name, root, f"{folder}/{entry.name}")
            elif entry.name.lower().endswith(SUFFIXES):
                if not entry.is_file():
                    entry.stat()  # a link to nowhere is told as such
                    raise UserError(f"data set {name!r}: {entry.path} is not a file")
                yield folder, entry.name


def _unreadable(name: str, error: OSError) -> str:
    return f"data set {name!r} cannot be read: {error.filename}: {error.strerror}"


def _kept(name: str) -> Facts | None:
    named = os.environ.get(KNOWN_FACTS)
    values = _stated(Path(named)).get(name) if named else None
    return None if values is None else Facts(**values)


def _stated(path: Path) -> dict[str, Any]:
    """{name: facts}; what are no facts of photographs is left out."""
    try:
        values = json.loads(read_bytes(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return {name: each for name, each in values.items() if _are_facts(each)} if isinstance(values, dict) else {}


def _are_facts(values: Any) -> bool:
    if not isinstance(values, dict) or values.keys() != {field.name for field in fields(Facts)}:
        return False
    counts = [values[name] for name in ("classes", "train_images", "test_images")]
    whole = all(type(count) is int and 0 < count <= _MOST_IMAGES for count in counts)
    checksum = values["checksum"]
    return whole and isinstance(checksum, str) and re.fullmatch("sha256:[0-9a-f]{64}", checksum) is not None
