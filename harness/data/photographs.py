"""Batches of photographs: read, cropped and mirrored by other processes, normalised on the device.

What an image becomes in an epoch is a function of (seed, epoch, image) alone. The processes that read get lists of
files and give bytes back, so their number changes the speed and never a bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from harness.data.batches import WHOLE, Share, shared_bounds
from harness.data.catalogue import DataSet
from harness.data.folders import Part
from harness.data.loader import generator
from harness.data.normalise import Normalise
from harness.data.pictures import Pictures, Wanted
from harness.data.workers import PREFETCHED, check_memory, context, settle, usable
from harness.errors import UserError

LOST_WORKERS = 3
"""How often a pass replaces its processes after one of them died."""


class PhotographLoader:
    """Photographs in batches on a device; a `harness.data.interface.Loader`.

    Training images are augmented by torchvision's `RandomResizedCrop(size)` and `RandomHorizontalFlip()`; all others
    are `Resize(size · 256 / 224)` and `CenterCrop(size)`, the usual evaluation of networks for photographs.
    """

    def __init__(
        self,
        part: Part,
        data_set: DataSet,
        indices: Tensor | None = None,
        *,
        device: torch.device | str = "cpu",
        workers: int = 0,
        channels_last: bool = True,
        crop_scale: float | None = None,
        resize_first: bool = False,
    ) -> None:
        """Notes what is to be read; nothing is read yet.

        Args:
            part: the files.
            data_set: gives size, mean and standard deviation.
            indices: int64 [images], which of the part's images; None for all.
            device: where batches are made.
            workers: processes that read; 0 reads in this one, in between the steps.
            channels_last: memory format of the batches.
            crop_scale: the smallest share of its area that a random crop shows; None is 0.08.
            resize_first: before the random crop the shorter side is made size · 256 / 224.
        """
        self.device = torch.device(device)
        self.size = data_set.size
        self._part = part
        self._indices = torch.arange(len(part.paths)) if indices is None else indices
        classes = torch.repeat_interleave(torch.arange(len(part.counts)), torch.tensor(part.counts))
        self._labels = classes[self._indices].to(self.device)
        self._workers = usable(workers)
        self._crop_scale, self._resize_first = crop_scale, resize_first
        self._normalised = Normalise(data_set, self.size, self.size, self.device, channels_last)

    def __len__(self) -> int:
        """The number of images."""
        return len(self._indices)

    def epoch(
        self, seed: int, epoch: int, batch: int, augment: bool, share: Share = WHOLE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over all images in random order, as `Loader.epoch` says.

        Raises:
            UserError: a file cannot be read as an image (names it).
        """
        order = torch.randperm(len(self), generator=generator(seed, "order", epoch))
        pictures = Pictures(self.size)
        if augment:
            pictures = Pictures(self.size, (seed, epoch), crop_scale=self._crop_scale, resize_first=self._resize_first)
        return self._pass(pictures, order, batch, share)

    def plain(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in their order, as `Loader.plain` says; raises UserError as `epoch` does."""
        return self._pass(Pictures(self.size), torch.arange(len(self)), batch)

    def _pass(
        self, pictures: Pictures, order: Tensor, batch: int, share: Share = WHOLE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        bounds = shared_bounds(len(order), batch, share)
        labels = self._labels.index_select(0, order.to(self.device))
        for (start, end), pixels in zip(bounds, self._read(pictures, order, bounds), strict=True):
            yield self._normalised(pixels.to(self.device, non_blocking=True)), labels[start:end].clone()

    def _read(self, pictures: Pictures, order: Tensor, bounds: Sequence[tuple[int, int]]) -> Iterator[Tensor]:
        """The pictures of each batch, uint8 [B, size, size, 3] on the CPU."""
        largest = max((end - start for start, end in bounds), default=0)
        done = lost = 0
        while done < len(bounds):
            batches = _Batches(self._part, self._indices[order], bounds[done:])
            workers = min(self._workers, len(batches))
            if workers:
                check_memory(workers, largest * self.size**2 * 3)
            try:
                for pixels, wrong in self._processes(pictures, batches, workers):
                    if wrong:
                        raise UserError(wrong)
                    done += 1
                    yield pixels
            except (RuntimeError, OSError, EOFError) as error:
                # Whoever stops a run may hit its readers first. Torch has no type of its own for a process that died,
                # and fetching what it had ready fails as a broken connection.
                told = not isinstance(error, RuntimeError) or "DataLoader worker" in str(error)
                lost += 1
                if not told or lost > LOST_WORKERS:
                    raise

    def _processes(self, pictures: Pictures, batches: _Batches, workers: int) -> DataLoader[tuple[Tensor, str]]:
        """Processes of one pass. They end with it: two passes may be under way, and one may be left unfinished."""
        return DataLoader(
            pictures,
            batch_size=None,
            sampler=batches,
            num_workers=workers,
            prefetch_factor=PREFETCHED if workers else None,
            multiprocessing_context=context() if workers else None,
            worker_init_fn=settle,
            pin_memory=self.device.type == "cuda",
            # it draws a seed that nobody reads; torch's own generator is left alone
            generator=torch.Generator(),
        )


class _Batches:
    """For each batch the files that it wants."""

    def __init__(self, part: Part, images: Tensor, bounds: Sequence[tuple[int, int]]) -> None:
        self._part, self._images, self._bounds = part, images, bounds

    def __len__(self) -> int:
        return len(self._bounds)

    def __iter__(self) -> Iterator[list[Wanted]]:
        part = self._part
        for start, end in self._bounds:
            yield [(f"{part.root}/{part.paths[image]}", image) for image in self._images[start:end].tolist()]
