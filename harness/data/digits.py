"""The handwritten digits that come with scikit-learn: 1,797 grey images of 8 × 8 pixels, ten classes.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (its test set), UCI Machine Learning
Repository, 1998. They have no official split; this one is fixed here: 1,437 to train and 360 to test, each class in
proportion.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.catalogue import DATA_SETS
from harness.data.raw import RawData
from harness.data.seeds import fixed_permutation
from harness.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence


def load(folder: Path) -> RawData:
    """The digits, values 0..16 spread over 0..255.

    Args:
        folder: not needed, the digits are part of scikit-learn.

    Raises:
        UserError: the installed scikit-learn holds other digits than the declared ones, or none.
    """
    del folder
    import numpy
    import torch

    table = numpy.loadtxt(_table(), delimiter=",")
    pixels, labels = table[:, :-1], table[:, -1].astype(numpy.int64)
    images = torch.from_numpy(numpy.rint(pixels.reshape(-1, 8, 8, 1) * 255 / 16).astype(numpy.uint8))
    classes = torch.from_numpy(labels)
    train, test = (torch.tensor(part) for part in _stratified(labels.tolist(), DATA_SETS["digits"].test_images))
    data = RawData(images[train], classes[train], images[test], classes[test])
    found = checksum(data)
    if found != DATA_SETS["digits"].checksum:
        raise UserError(
            f"data set 'digits': the images of the installed scikit-learn have the checksum {found}, "
            f"not the declared {DATA_SETS['digits'].checksum}"
        )
    return data


def _table() -> Path:
    """The file that scikit-learn's `load_digits` reads: 64 values and the class, a line an image.

    Importing scikit-learn takes every worker longer than training on its digits.
    """
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise UserError("data set 'digits' is part of scikit-learn, which is not installed: pip install scikit-learn")
    return Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"


def present(folder: Path) -> bool:
    """Always true."""
    del folder
    return True


def checksum(data: RawData) -> str:
    """SHA-256 over the bytes of all images and labels (labels little-endian), training split first."""
    total = hashlib.sha256()
    for tensor in (data.train_images, data.train_labels, data.test_images, data.test_labels):
        array = tensor.numpy()
        total.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return f"sha256:{total.hexdigest()}"


def _stratified(labels: Sequence[int], test_images: int) -> tuple[list[int], list[int]]:
    """Indices of the training and test images, ascending; each class is shared out in proportion."""
    members: dict[int, list[int]] = {}
    for index in fixed_permutation(len(labels), "split of digits into train and test"):
        members.setdefault(labels[index], []).append(index)
    share = {label: len(images) * test_images / len(labels) for label, images in members.items()}
    quota = {label: int(exact) for label, exact in share.items()}
    # Largest remainder: the images still missing go to the classes that were rounded down the most.
    by_remainder = sorted(share, key=lambda label: (quota[label] - share[label], label))
    for label in by_remainder[: test_images - sum(quota.values())]:
        quota[label] += 1
    test = sorted(index for label, images in members.items() for index in images[: quota[label]])
    return sorted(set(range(len(labels))) - set(test)), test
