"""Which images are trained on, and which are held out for choices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from harness.data.catalogue import DataSet
from harness.data.seeds import fixed_permutation
from harness.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Indices into the official training images.

    Attributes:
        train: int64 [images].
        held_out: int64 [images], none of them in `train`; empty if the recipe trains on all images.
    """

    train: Tensor
    held_out: Tensor


def split(data_set: DataSet, train_images: int | None, all_train: bool) -> Split:
    """The split, the same for all seeds: the held-out images are the last of one fixed order.

    Args:
        data_set: gives the numbers of images.
        train_images: train on the first so many of the order only; None for all.
        all_train: train on the held-out images too, and hold nothing out.

    Raises:
        UserError: fewer training images than asked for.
    """
    import torch

    order = _order(data_set.train_images, data_set.family)
    available = data_set.train_images if all_train else data_set.train_images - data_set.held_out_images
    wanted = available if train_images is None else train_images
    if not 1 <= wanted <= available:
        raise UserError(f"data set {data_set.name!r} has 1 to {available:,} images to train on, not {wanted:,}")
    held_out = order[:0] if all_train else order[available:]
    return Split(torch.tensor(order[:wanted]), torch.tensor(held_out, dtype=torch.int64))


@cache
def _order(images: int, name: str) -> list[int]:
    return fixed_permutation(images, f"split of {name}")
