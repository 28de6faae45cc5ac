from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import functional

from harness.data.catalogue import DATA_SETS, DataSet
from harness.data.loader import DeviceLoader
from harness.data.seeds import derive
from harness.data.sets import load_data

CIFAR, DIGITS = DATA_SETS["cifar10"], DATA_SETS["digits"]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]


def images_like(data_set: DataSet, count: int) -> Tensor:
    shape = (count, data_set.size, data_set.size, data_set.channels)
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def numbered(data_set: DataSet, count: int, device: str = "cpu", channels_last: bool = True) -> DeviceLoader:
    """Random images, each labelled with its own number."""
    return DeviceLoader(images_like(data_set, count), torch.arange(count), data_set, device, channels_last)


def in_pixels(data_set: DataSet) -> DataSet:
    """Without normalisation: batches hold pixel values 0..255."""
    return replace(data_set, mean=(0.0,) * data_set.channels, std=(1 / 255,) * data_set.channels)


def drawn(seed: int, purpose: str, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(derive(seed, purpose, epoch))


def reference(images: Tensor, data_set: DataSet, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
    """The same augmentation, image by image with torchvision: images float32 [N, C, H, W] in 0..1, and their order."""
    count, size, padding = len(images), data_set.size, data_set.padding
    order = torch.randperm(count, generator=drawn(seed, "order", epoch))
    tops, lefts = torch.randint(2 * padding + 1, (2, count), generator=drawn(seed, "crop", epoch)).tolist()
    mirrored = torch.randint(2, (count, 1), generator=drawn(seed, "flip", epoch), dtype=torch.bool).flatten().tolist()
    made = []
    for place, index in enumerate(order.tolist()):
        image = functional.pad(images[index].permute(2, 0, 1), [padding])
        image = functional.crop(image, tops[place], lefts[place], size, size)
        made.append(functional.hflip(image) if data_set.flip and mirrored[place] else image)
    return torch.stack(made).float() / 255, order


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("data_set", [CIFAR, DIGITS], ids=["cifar10", "digits"])
def test_pixels_are_those_of_torchvision_to_the_bit(data_set: DataSet, device: str) -> None:
    images = images_like(data_set, 61)
    loader = DeviceLoader(images, torch.arange(61), in_pixels(data_set), device)
    batches = list(loader.epoch(5, 2, 16, augment=True))
    expected, order = reference(images, data_set, 5, 2)
    assert torch.equal(torch.cat([labels.cpu() for _, labels in batches]), order)
    assert torch.equal(torch.cat([pixels.cpu() for pixels, _ in batches]).round(), (expected * 255).round())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("data_set", [CIFAR, DIGITS], ids=["cifar10", "digits"])
def test_batches_are_normalised_as_torchvision_does(data_set: DataSet, device: str) -> None:
    images = images_like(data_set, 61)
    loader = DeviceLoader(images, torch.arange(61), data_set, device)
    expected, _ = reference(images, data_set, 5, 2)
    expected = functional.normalize(expected, list(data_set.mean), list(data_set.std))
    found = torch.cat([batch.cpu() for batch, _ in loader.epoch(5, 2, 16, augment=True)])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_a_batch_is_the_same_to_the_bit_whatever_its_size_and_memory_format() -> None:
    large = torch.cat([images for images, _ in numbered(CIFAR, 20).epoch(0, 0, 20, augment=True)])
    small = [images for images, _ in numbered(CIFAR, 20, channels_last=False).epoch(0, 0, 4, augment=True)]
    assert torch.equal(large, torch.cat(small))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 500), st.integers(1, 40), st.integers(1, 60), st.booleans())
def test_every_image_comes_once_an_epoch(seed: int, epoch: int, batch: int, count: int, augment: bool) -> None:
    batches = list(numbered(DIGITS, count).epoch(seed, epoch, batch, augment))
    assert sorted(torch.cat([labels for _, labels in batches]).tolist()) == list(range(count))
    assert all(images.shape == (len(labels), 1, 8, 8) for images, labels in batches)


def test_the_same_seed_and_epoch_give_the_same_batches() -> None:
    one, two = (list(numbered(CIFAR, 30).epoch(3, 4, 8, augment=True)) for _ in range(2))
    assert all(torch.equal(a, b) and torch.equal(x, y) for (a, x), (b, y) in zip(one, two, strict=True))


@pytest.mark.parametrize("other", [(3, 5), (4, 4)], ids=["another epoch", "another seed"])
def test_other_seeds_and_epochs_give_another_order_and_other_crops(other: tuple[int, int]) -> None:
    loader = numbered(CIFAR, 50)
    (images, labels), (other_images, other_labels) = (
        next(loader.epoch(seed, epoch, 50, augment=True)) for seed, epoch in ((3, 4), other)
    )
    assert not torch.equal(labels, other_labels)
    same = images[labels.argsort()] == other_images[other_labels.argsort()]
    assert same.flatten(1).all(1).float().mean() < 0.2


def test_augmentation_does_not_change_the_order() -> None:
    loader = numbered(CIFAR, 30)
    orders = [next(loader.epoch(3, 4, 30, augment))[1] for augment in (False, True)]
    assert torch.equal(*orders)


@pytest.mark.parametrize("device", DEVICES)
def test_without_augmentation_images_are_whole(device: str) -> None:
    loader = numbered(CIFAR, 30, device)
    (plain, numbers), (shuffled, labels) = next(loader.plain(30)), next(loader.epoch(0, 0, 30, augment=False))
    assert numbers.tolist() == list(range(30))
    assert torch.equal(shuffled, plain[labels])
    pixels = (images_like(CIFAR, 30).permute(0, 3, 1, 2) / 255).to(device)
    expected = functional.normalize(pixels, list(CIFAR.mean), list(CIFAR.std))
    torch.testing.assert_close(plain, expected, atol=1e-6, rtol=1e-6)


def test_all_crops_are_equally_likely_and_half_the_images_are_mirrored() -> None:
    count, size, padding = 8100, 8, 1
    data_set = replace(in_pixels(DIGITS), flip=True)
    picture = torch.arange(1, size * size + 1, dtype=torch.uint8).view(1, size, size, 1)
    loader = DeviceLoader(picture.expand(count, -1, -1, -1), torch.zeros(count).long(), data_set)
    images, _ = next(loader.epoch(0, 0, count, augment=True))
    # The pixel at (4, 4) tells crop and mirroring apart: 4 + {-1, 0, 1} rows, columns from either side.
    values = images[:, 0, 4, 4].round().int() - 1
    rows, columns = values // size, values % size
    assert (rows - 4).unique().tolist() == list(range(-padding, padding + 1))
    for shift in range(-padding, padding + 1):
        assert abs(int((rows - 4 == shift).sum()) - count / 3) < 5 * (count * 2 / 9) ** 0.5
    ascending = (images[:, 0, 4, 4] > images[:, 0, 4, 3]).sum()
    assert abs(int(ascending) - count / 2) < 5 * (count / 4) ** 0.5
    assert len(columns.unique()) == 4


def test_what_a_crop_shows_beyond_the_image_is_black() -> None:
    data_set = in_pixels(CIFAR)
    white = torch.full((200, 32, 32, 3), 255, dtype=torch.uint8)
    images, _ = next(DeviceLoader(white, torch.zeros(200).long(), data_set).epoch(0, 0, 200, augment=True))
    assert images.round().unique().tolist() == [0, 255]
    # A crop at offset (4, 4) alone shows no border; one in eighty-one is expected to.
    assert (images == 0).flatten(1).any(1).float().mean() > 0.9


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_memory_format_is_the_one_asked_for(channels_last: bool) -> None:
    loader = numbered(CIFAR, 12, channels_last=channels_last)
    expected = torch.channels_last if channels_last else torch.contiguous_format
    for images, _ in [*loader.epoch(0, 0, 5, augment=True), *loader.plain(5)]:
        assert images.is_contiguous(memory_format=expected)
        assert images.dtype == torch.float32


def test_a_last_single_image_joins_the_batch_before() -> None:
    loader = numbered(DIGITS, 9)
    assert [len(labels) for _, labels in loader.epoch(0, 0, 4, augment=True)] == [4, 5]
    assert [len(labels) for _, labels in loader.plain(4)] == [4, 5]


@settings(max_examples=24, deadline=None)
@given(st.permutations(range(4)))
def test_how_images_lie_in_memory_does_not_matter(order: list[int]) -> None:
    images = images_like(CIFAR, 6)
    back = [order.index(dimension) for dimension in range(4)]
    strided = images.permute(order).contiguous().permute(back)
    one, two = (
        next(DeviceLoader(each, torch.arange(6), CIFAR).epoch(0, 0, 6, augment=True)) for each in (images, strided)
    )
    assert torch.equal(one[0], two[0])


def test_torchs_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    list(numbered(CIFAR, 12).epoch(0, 0, 5, augment=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_caller_may_change_a_batch_without_changing_the_set() -> None:
    loader = numbered(CIFAR, 12)
    first = [images.clone() for images, _ in loader.plain(12)]
    for images, labels in loader.plain(12):
        images.zero_()
        labels.add_(1)
    assert torch.equal(first[0], next(loader.plain(12))[0])
    assert next(loader.plain(12))[1].tolist() == list(range(12))


def test_normalised_digits_have_mean_zero_and_deviation_one() -> None:
    data = load_data("digits", Path())
    images, _ = next(DeviceLoader(data.train_images, data.train_labels, DIGITS).plain(1437))
    assert abs(float(images.mean())) < 1e-3
    assert abs(float(images.std()) - 1) < 1e-3


def test_normalised_cifar10_has_mean_zero_and_deviation_one_in_each_channel(cifar_folder: Path) -> None:
    data = load_data("cifar10", cifar_folder)
    loader = DeviceLoader(data.train_images[:20_000], data.train_labels[:20_000], CIFAR)
    images = torch.cat([images for images, _ in loader.plain(5000)])
    assert images.mean((0, 2, 3)).abs().max() < 0.02
    assert (images.std((0, 2, 3)) - 1).abs().max() < 0.02
