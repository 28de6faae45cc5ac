"""Images and labels as they come from disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RawData:
    """A data set in memory, on the CPU.

    Attributes:
        train_images: uint8 [images, height, width, channels].
        train_labels: int64 [images], 0..classes-1.
        test_images: as train_images.
        test_labels: as train_labels.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
