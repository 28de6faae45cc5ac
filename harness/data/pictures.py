"""From files to pixels: what the reading processes do."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from harness.data.catalogue import SMALLEST_CROP
from harness.data.seeds import derive

Wanted = tuple[str, int]
"""A file, and the image's number in its part, which seeds its crop and mirroring."""


class Pictures(Dataset[tuple[Tensor, str]]):
    """Makes batches of pictures of files."""

    def __init__(
        self,
        size: int,
        drawn: tuple[int, int] | None = None,
        *,
        crop_scale: float | None = None,
        resize_first: bool = False,
    ) -> None:
        """Prepares the transforms.

        Args:
            size: height and width of a picture, pixels.
            drawn: (seed, epoch) of the random crops and mirrorings; None cuts the middle out.
            crop_scale: the smallest share of its area that a random crop shows; None is `SMALLEST_CROP`.
            resize_first: before the random crop the shorter side is made size · 256 / 224.
        """
        self._size, self._drawn = size, drawn
        resize = v2.Resize(round(size * 256 / 224))
        if drawn is None:
            self._transform = v2.Compose([resize, v2.CenterCrop(size)])
        else:
            crop = v2.RandomResizedCrop(size, scale=(SMALLEST_CROP if crop_scale is None else crop_scale, 1.0))
            first = [resize] if resize_first else []
            self._transform = v2.Compose([*first, crop, v2.RandomHorizontalFlip()])

    def __getitem__(self, batch: list[Wanted]) -> tuple[Tensor, str]:
        """Uint8 [B, size, size, 3], and "" or what is wrong with the first file that is no picture.

        That is told and not raised, because an exception would reach the other process with a traceback in its text.
        """
        pixels = numpy.empty((len(batch), self._size, self._size, 3), dtype=numpy.uint8)
        outside = torch.default_generator.get_state()
        try:
            for place, (path, image) in enumerate(batch):
                try:
                    pixels[place] = self._picture(path, image)
                except Exception as error:  # PIL's plug-ins raise whatever their format suggests
                    return torch.empty(0, dtype=torch.uint8), f"{path} cannot be read as an image: {_reason(error)}"
        finally:
            torch.default_generator.set_state(outside)
        return torch.from_numpy(pixels), ""

    def _picture(self, path: str, image: int) -> Any:
        with Image.open(path) as file:
            picture = file.convert("RGB")
        if self._drawn is not None:
            # torchvision draws from the global generator; `torch.manual_seed` would wake CUDA up in every process
            seed, epoch = self._drawn
            torch.default_generator.manual_seed(derive(seed, "picture", epoch, image))
        return numpy.asarray(self._transform(picture))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
