"""Batches of small images, made on the device.

All images lie on the device as bytes, padded, each beside its mirror image. A crop is a view of these bytes, found by
the number of its first pixel, so a batch is one gather by one number an image, and one normalisation. Order and
augmentation are functions of (seed, epoch) alone, drawn on the CPU, so that every device sees the same batches and
there is no generator state to save.
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
        self._images = images.to(self.device).contiguous()
        self._labels = labels.to(self.device)
        self._crops: Tensor | None = None
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
        order = chosen = torch.randperm(count, generator=generator(seed, "order", epoch))
        shown = self._images
        if augment:
            shown, chosen = self._all_crops(), self._drawn_crops(order, seed, epoch)
        order, chosen = self._moved(torch.stack((order, chosen)))
        labels = self._labels.index_select(0, order)
        for start, end in shared_bounds(count, batch, share):
            yield self._normalised(shown.index_select(0, chosen[start:end])), labels[start:end]

    def plain(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images as they are, in their own order; shapes and batches as in `epoch`."""
        for start, end in batch_bounds(len(self), batch):
            yield self._normalised(self._images[start:end]), self._labels[start:end].clone()

    def _drawn_crops(self, order: Tensor, seed: int, epoch: int) -> Tensor:
        """For each image of the order, int64 [N], which of `_all_crops` it is shown as."""
        count, padding = len(order), self._padding
        top, left = torch.randint(2 * padding + 1, (2, count), generator=generator(seed, "crop", epoch))
        pictures = order
        if self._flip:
            mirrored = torch.randint(2, (count,), generator=generator(seed, "flip", epoch), dtype=torch.bool)
            pictures = 2 * order + mirrored
            # a crop is mirrored after it is cut; of the mirror image it is the one as far from the other side
            left = torch.where(mirrored, 2 * padding - left, left)
        height, width = self._height + padding, self._width + padding
        places: Tensor = (pictures * height + top) * width + left
        return places

    def _all_crops(self) -> Tensor:
        """Uint8 [crops, height, width · channels]: a view with the crop that starts at each pixel of the padded images.

        Made once, by the first pass that augments: a mirrored copy is four times as fast as mirroring each batch.
        """
        if self._crops is None:
            count, padding, channels = len(self), self._padding, self._channels
            height, width, sides = self._height + padding, self._width + padding, 2 if self._flip else 1
            # What is right of a row is what is left of the next, and what is below an image is what is above the next.
            whole = count * sides * height * width
            padded = torch.zeros((whole + padding * (width + 1)) * channels, dtype=torch.uint8, device=self.device)
            inside = padded[: whole * channels].view(count, sides, height, width, channels)[:, :, padding:, padding:]
            inside[:, 0] = self._images
            if self._flip:
                inside[:, 1] = self._images.flip(2)
            self._images = inside[:, 0]
            crops = whole + padding * (width + 1) - (self._height - 1) * width - self._width + 1
            shape = (crops, self._height, self._width * channels)
            self._crops = padded.as_strided(shape, (channels, width * channels, 1))
        return self._crops

    def _moved(self, numbers: Tensor) -> Tensor:
        """The same on the device, without waiting for it."""
        if self.device.type != "cuda":
            return numbers.to(self.device)
        return numbers.pin_memory().to(self.device, non_blocking=True)


def generator(seed: int, purpose: str, epoch: int) -> torch.Generator:
    """A generator for one purpose of one epoch, on the CPU."""
    return torch.Generator().manual_seed(derive(seed, purpose, epoch))
