"""The loader of small images gives to the bit what picking its pixels one by one gives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.data.catalogue import DATA_SETS, DataSet
from harness.data.loader import DeviceLoader, generator

COUNT = 23
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]


def picked(images: Tensor, data_set: DataSet, seed: int, epoch: int, augment: bool) -> tuple[Tensor, Tensor]:
    """A whole epoch, float32 [N, C, H, W], each pixel found by its own number; and the order, int64 [N]."""
    count, height, width, channels = images.shape
    padding = data_set.padding
    padded = torch.nn.functional.pad(images, (0, 0, *(4 * [padding])))
    order = torch.randperm(count, generator=generator(seed, "order", epoch))
    offsets, columns = torch.full((2, count), padding), torch.arange(width).expand(count, -1)
    if augment:
        offsets = torch.randint(2 * padding + 1, (2, count), generator=generator(seed, "crop", epoch))
    if augment and data_set.flip:
        mirrored = torch.randint(2, (count, 1), generator=generator(seed, "flip", epoch), dtype=torch.bool)
        columns = torch.where(mirrored, columns.flip(1), columns)
    rows = (order * padded.shape[1] + offsets[0])[:, None] + torch.arange(height)
    places = (rows * padded.shape[2])[:, :, None] + (offsets[1, :, None] + columns)[:, None, :]
    pixels = padded.view(-1, channels).index_select(0, places.view(-1)).float()
    mean, deviation = (torch.tensor(each, dtype=torch.float64) for each in (data_set.mean, data_set.std))
    scale, shift = (each.float().repeat(width) for each in (1 / (255 * deviation), -mean / deviation))
    normalised = torch.addcmul(shift, pixels.view(count, height, width * channels), scale)
    return normalised.view(count, height, width, channels).permute(0, 3, 1, 2), order


def drawn_images(height: int, width: int, channels: int) -> Tensor:
    # no zeros: what is black can only be padding
    shape = (COUNT, height, width, channels)
    return torch.randint(1, 256, shape, generator=torch.Generator().manual_seed(height), dtype=torch.uint8)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["cifar10", "digits"]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 5),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**40),
    st.integers(0, 300),
    st.integers(1, COUNT + 1),
)
def test_batches_are_to_the_bit_those_of_pixels_picked_one_by_one(
    name: str, height: int, width: int, padding: int, flip: bool, augment: bool, seed: int, epoch: int, batch: int
) -> None:
    data_set = replace(DATA_SETS[name], padding=padding, flip=flip)
    images = drawn_images(height, width, data_set.channels)
    expected, order = picked(images, data_set, seed, epoch, augment)
    found = list(DeviceLoader(images, torch.arange(COUNT), data_set).epoch(seed, epoch, batch, augment))
    assert torch.equal(torch.cat([pixels for pixels, _ in found]), expected)
    assert torch.equal(torch.cat([labels for _, labels in found]), order)


@pytest.mark.parametrize("device", DEVICES)
def test_every_batch_of_cifar10s_shape_is_to_the_bit_that_of_pixels_picked_one_by_one(device: str) -> None:
    data_set = DATA_SETS["cifar10"]
    images = drawn_images(32, 32, 3)
    loader = DeviceLoader(images, torch.arange(COUNT), data_set, device)
    for epoch in range(3):
        expected, order = picked(images, data_set, 7, epoch, True)
        batches = list(loader.epoch(7, epoch, 5, True))
        found, labels = (torch.cat(each).cpu() for each in zip(*batches, strict=True))
        # the device's own multiplication and addition may be rounded once or twice
        torch.testing.assert_close(found, expected, rtol=0, atol=0 if device == "cpu" else 1e-6)
        assert torch.equal(labels, order)


def test_images_as_they_are_stay_so_once_they_have_been_cropped() -> None:
    images = drawn_images(32, 32, 3)
    data_set = DATA_SETS["cifar10"]
    loader, fresh = (DeviceLoader(images, torch.arange(COUNT), data_set) for _ in range(2))
    list(loader.epoch(0, 0, 8, augment=True))
    for passes in (lambda each: each.plain(8), lambda each: each.epoch(1, 0, 8, augment=False)):
        for (pixels, labels), (others, other_labels) in zip(passes(loader), passes(fresh), strict=True):
            assert torch.equal(pixels, others)
            assert torch.equal(labels, other_labels)


def test_the_callers_images_are_left_as_they_are() -> None:
    images = drawn_images(8, 8, 1)
    before = images.clone()
    loader = DeviceLoader(images, torch.arange(COUNT), DATA_SETS["digits"])
    for pixels, _ in [*loader.plain(8), *loader.epoch(0, 0, 8, True), *loader.epoch(0, 0, 8, False)]:
        pixels.zero_()
    assert torch.equal(images, before)
