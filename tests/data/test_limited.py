"""A training of some steps sees the first batches of each pass, no more."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.data.catalogue import data_set
from harness.data.limited import LimitedLoader
from harness.data.loader import DeviceLoader
from harness.data.sets import load_data


@pytest.fixture
def digits(tmp_path: Path) -> DeviceLoader:
    """70 images: with batches of 32, passes of 32, 32 and 6."""
    raw = load_data("digits", tmp_path)
    return DeviceLoader(raw.train_images[:70], raw.train_labels[:70], data_set("digits"))


@pytest.mark.parametrize(
    ("steps", "passes", "images"), [(0, 0, 0), (1, 1, 32), (2, 1, 64), (3, 1, 70), (4, 2, 102), (7, 3, 172)]
)
def test_steps_are_counted_in_passes_and_images(steps: int, passes: int, images: int, digits: DeviceLoader) -> None:
    limited = LimitedLoader(digits, 32, steps, first=5)
    assert (limited.passes, limited.images) == (passes, images)
    seen = [len(labels) for epoch in range(5, 5 + passes) for _, labels in limited.epoch(0, epoch, 32, augment=True)]
    assert (len(seen), sum(seen)) == (steps, images)


def test_its_batches_are_the_loaders_own(digits: DeviceLoader) -> None:
    limited = LimitedLoader(digits, 32, 2, first=3)
    for (images, labels), (whole, named) in zip(
        limited.epoch(7, 3, 32, augment=True), digits.epoch(7, 3, 32, augment=True), strict=False
    ):
        assert torch.equal(images, whole)
        assert torch.equal(labels, named)
    assert len(limited) == len(digits)
    assert len(list(limited.plain(32))) == 3
