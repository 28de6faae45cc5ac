"""A training of a number of steps, which need not be whole passes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from torch import Tensor

from harness.data.batches import WHOLE, Share, batch_bounds
from harness.data.interface import Loader


class LimitedLoader:
    """The first steps of a loader's passes; the last pass ends where the steps do.

    Attributes:
        passes: how many passes the steps take, the last one perhaps in part.
        images: how many images the steps take in all.
    """

    def __init__(self, loader: Loader, batch: int, steps: int, first: int = 0, parts: int = 1) -> None:
        """Takes the loader, images a step, how many steps, the number of the first pass, micro-batches a step."""
        ends = [end for _, end in batch_bounds(len(loader), batch, parts)]
        whole, rest = divmod(steps, len(ends))
        self.device, self.size = loader.device, loader.size
        self.passes = whole + (rest > 0)
        self.images = whole * len(loader) + (ends[rest - 1] if rest else 0)
        self._loader, self._last, self._rest = loader, first + whole, rest

    def __len__(self) -> int:
        """The number of images of a whole pass."""
        return len(self._loader)

    def epoch(
        self, seed: int, epoch: int, batch: int, augment: bool, share: Share = WHOLE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As the loader's, but no more batches than there are steps left."""
        batches = self._loader.epoch(seed, epoch, batch, augment, share)
        return islice(batches, self._rest * share.own) if epoch == self._last else batches

    def plain(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """As the loader's."""
        return self._loader.plain(batch)
