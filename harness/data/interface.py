"""What a training and a measurement ask of images, wherever they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from harness.data.batches import WHOLE, Share

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Loader(Protocol):
    """Images and labels in batches on a device.

    Attributes:
        device: where batches are made.
        size: height and width of an image, pixels.
    """

    device: torch.device
    size: int

    def __len__(self) -> int:
        """The number of images."""

    def epoch(
        self, seed: int, epoch: int, batch: int, augment: bool, share: Share = WHOLE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over all images in random order: images float32 [B, C, H, W], normalised; labels int64 [B].

        Order and augmentation are functions of (seed, epoch) alone, whatever the device, the processes that help and
        those that share the batches.

        Args:
            seed: of order and augmentation.
            epoch: from 0.
            batch: images a batch; the last may be smaller, or larger by one (see `batch_bounds`).
            augment: crop and mirror at random; otherwise images are as in `plain`.
            share: what of each batch is wanted; its micro-batches come one by one.
        """

    def plain(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in their order without augmentation, as `epoch` yields them."""


def scoring_batch(loader: Loader) -> int:
    """Images of a forward pass without gradients: few enough for a processor's cache, many for an accelerator.

    At most 250 on a processor and 2,000 on an accelerator, which suits 32 × 32 pixels; of larger images so many as
    have as many pixels, but 16 and 128 at least: VGG16 at 224 pixels keeps 26 MB an image alive.
    """
    most, least = (250, 16) if loader.device.type == "cpu" else (2000, 128)
    return max(least, min(most, most * 32**2 // loader.size**2))
