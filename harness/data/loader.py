"""Batches of small images, made on the device.

All images lie on the device as bytes, already padded. A batch is one gather, which crops and mirrors through its
indices, and one normalisation. Order and augmentation are functions of (seed, epoch) alone, drawn on the CPU, so that
every device sees the same batches and there is no generator state to save.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from harness.data.batches import WHOLE, Share, batch_bounds, shared_bounds
from harness.data.catalogue import DataSet
from harness.data.normalise import Normalise
from harness.data.seeds import derive


class DeviceLoader:
    """Images and labels on a device, in batches.

    Augmentation is that of torchvision's `RandomCrop(size, padding)` with black pixels around the image and, where the
    data set allows it, `RandomHorizontalFlip()`.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        data_set: DataSet,
        device: torch.device | str = "cpu",
        channels_last: bool = True,
    ) -> None:
        """Moves the images to the device.

        Args:
            images: uint8 [N, height, width, channels].
            labels: int64 [N].
            data_set: gives mean, standard deviation, padding, and whether mirrored images are of their class.
            device: where batches are made (afterwards an attribute, as is `size`, the images' height).
            channels_last: memory format of the batches.
        """
        self.device = torch.device(device)
        self._padding = data_set.padding
        self._flip = data_set.flip
        self._height, self._width, self._channels = (int(length) for length in images.shape[1:])
        border = (0, 0, *(4 * [self._padding]))
        self._images = torch.nn.functional.pad(images.to(self.device), border).contiguous()
        self._labels = labels.to(self.device)
        self.size = self._height
        self._normalised = Normalise(data_set, self._height, self._width, self.device, channels_last)

    def __len__(self) -> int:
        """The number of images."""
        return len(self._labels)

    def epoch(
        self, seed: int, epoch: int, batch: int, augment: bool, share: Share = WHOLE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over all images in random order: images float32 [B, C, H, W], normalised; labels int64 [B].

        Args:
            seed: of order and augmentation.
            epoch: from 0.
            batch: images a batch; the last may be smaller, or larger by one (see `batch_bounds`).
            augment: crop and mirror at random; otherwise images are whole.
            share: what of each batch is wanted.
        """
        count = len(self)
        order = torch.randperm(count, generator=generator(seed, "order", epoch))
        if augment:
            offsets = torch.randint(2 * self._padding + 1, (2, count), generator=generator(seed, "crop", epoch))
        else:
            offsets = torch.full((2, count), self._padding)
        columns = torch.arange(self._width).expand(count, -1)
        if augment and self._flip:
            mirrored = torch.randint(2, (count, 1), generator=generator(seed, "flip", epoch), dtype=torch.bool)
            columns = torch.where(mirrored, columns.flip(1), columns)
        # A pixel's place in the set: picture, row and column of the padded images, counted in pixels.
        height, width = self._images.shape[1:3]
        rows = (order * height + offsets[0])[:, None] + torch.arange(self._height)
        rows = (rows * width)[:, :, None].to(self.device)
        columns = (offsets[1, :, None] + columns)[:, None, :].to(self.device)
        labels = self._labels.index_select(0, order.to(self.device))
        pixels = self._images.view(-1, self._channels)
        for start, end in shared_bounds(count, batch, share):
            places = rows[start:end] + columns[start:end]
            # On a CPU this is four times as fast as indexing with three tensors.
            yield self._normalised(pixels.index_select(0, places.view(-1))), labels[start:end]

    def plain(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images as they are, in their own order; shapes and batches as in `epoch`."""
        top, left = (slice(self._padding, self._padding + length) for length in (self._height, self._width))
        for start, end in batch_bounds(len(self), batch):
            yield self._normalised(self._images[start:end, top, left]), self._labels[start:end].clone()


def generator(seed: int, purpose: str, epoch: int) -> torch.Generator:
    """A generator for one purpose of one epoch, on the CPU."""
    return torch.Generator().manual_seed(derive(seed, purpose, epoch))
