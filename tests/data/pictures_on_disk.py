"""A tiny folder of photographs: real JPEG files, enlarged from scikit-learn's digits."""

from __future__ import annotations

from pathlib import Path

import numpy
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor

from harness.data.catalogue import data_set
from harness.data.photographs import PhotographLoader
from harness.data.sets import find_photographs

CLASSES = ("eight", "one", "zebra")
TRAIN, TEST = 8, 4
"""Images of each class."""

COUNT = len(CLASSES) * TRAIN


def write_photographs(folder: Path, name: str = "tiny") -> Path:
    """Makes `folder/NAME/{train,val}/CLASS/*.jpg`; the images have different sizes, one is grey."""
    digits = load_digits().images
    number = 0
    for part, count in (("train", TRAIN), ("val", TEST)):
        for place, label in enumerate(CLASSES):
            inside = folder / name / part / label
            inside.mkdir(parents=True)
            for each in range(count):
                grey = numpy.rint(digits[number] * 255 / 16).astype(numpy.uint8)
                colours = numpy.stack([grey, numpy.roll(grey, 1, 0), 255 - grey], axis=2)
                picture = Image.fromarray(grey if number == 1 else colours)
                size = (40 + 5 * each, 48 + 3 * place)
                picture.resize(size).save(inside / f"{each:03}.jpg", quality=90)
                number += 1
    return folder / name


def loader(folder: Path, workers: int = 0, indices: Tensor | None = None, test: bool = False) -> PhotographLoader:
    """The tiny photographs at 32 pixels."""
    declared = data_set("folder/tiny@32", folder)
    there = find_photographs(declared, folder)
    return PhotographLoader(there.test if test else there.train, declared, indices, workers=workers)
