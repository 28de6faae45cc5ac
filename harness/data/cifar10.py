"""CIFAR-10: 50,000 training and 10,000 test photographs of 32 × 32 pixels, ten classes.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. Read and fetched by torchvision,
which checks the MD5 of every file.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from harness.data.raw import RawData
from harness.errors import UserError

FOLDER = "cifar-10-batches-py"
_FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")


def load(folder: Path) -> RawData:
    """CIFAR-10 from `folder/cifar-10-batches-py`.

    Raises:
        UserError: it is not there (says how to get it), or a file is damaged or is no file (names it).
    """
    if not (folder / FOLDER).is_dir():
        raise UserError(
            f"CIFAR-10 is not in {folder}; fetch it with `python -m harness data cifar10 --data {folder}`, "
            f"or put the folder {FOLDER} there"
        )
    import torch
    from torchvision.datasets import CIFAR10

    _refuse_what_is_no_file(folder)

    class Checked(CIFAR10):  # type: ignore[misc]
        """Does not hash again what the other part's reader has: each checks the files of both."""

        def _check_integrity(self) -> bool:
            return True

    try:
        train, test = CIFAR10(str(folder), train=True), Checked(str(folder), train=False)
    except (RuntimeError, OSError) as error:
        raise UserError(_what_is_wrong(folder, error)) from error
    return RawData(
        torch.from_numpy(train.data).contiguous(),
        torch.tensor(train.targets, dtype=torch.int64),
        torch.from_numpy(test.data).contiguous(),
        torch.tensor(test.targets, dtype=torch.int64),
    )


def fetch(folder: Path) -> None:
    """Downloads CIFAR-10 (163 MiB) into `folder` unless it is there, and checks it.

    Raises:
        UserError: the download failed, the machine refused to write, or where a file belongs is something else.
    """
    from torchvision.datasets import CIFAR10

    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_what_is_no_file(folder)
        # Standard output belongs to the command's own result.
        with contextlib.redirect_stdout(sys.stderr):
            CIFAR10(str(folder), download=True)
    except (OSError, RuntimeError, EOFError) as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"CIFAR-10 could not be fetched from {CIFAR10.url} into {folder}: {cause}; "
            f"without a network, put the folder {FOLDER} there"
        ) from error


def present(folder: Path) -> bool:
    """Whether all files are there; their contents are checked when they are loaded."""
    return all((folder / FOLDER / name).is_file() for name in _FILES)


def _refuse_what_is_no_file(folder: Path) -> None:
    """A folder or a named pipe in a file's place; reading or writing a pipe would wait without end."""
    from torchvision.datasets import CIFAR10

    for path in (folder / CIFAR10.filename, *(folder / FOLDER / name for name in _FILES)):
        if path.exists() and not path.is_file():
            raise UserError(f"CIFAR-10 cannot be read: {path} is not a file; remove it")


def _what_is_wrong(folder: Path, error: Exception) -> str:
    """Names the first file that is missing or does not have its MD5."""
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    again = f"remove it and run `python -m harness data cifar10 --data {folder}`"
    meta = (CIFAR10.meta["filename"], CIFAR10.meta["md5"])
    for name, md5 in (*CIFAR10.train_list, *CIFAR10.test_list, meta):
        path = folder / FOLDER / name
        if not path.is_file():
            return f"CIFAR-10 is not complete: {path} is missing; run `python -m harness data cifar10 --data {folder}`"
        try:
            sound = check_integrity(str(path), md5)
        except OSError as unreadable:
            return f"CIFAR-10 cannot be read: {path}: {unreadable.strerror}"
        if not sound:
            return f"CIFAR-10 is damaged: the MD5 of {path} is not {md5}; {again}"
    return f"CIFAR-10 in {folder} cannot be read: {error}"
