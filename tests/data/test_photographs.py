"""Batches of photographs: the same bits however many processes read them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional

from harness.data.catalogue import PHOTOGRAPH_MEAN, PHOTOGRAPH_STD, data_set
from harness.data.interface import scoring_batch
from harness.data.loader import generator
from harness.data.photographs import PhotographLoader
from harness.data.pictures import Pictures
from harness.data.sets import find_photographs
from harness.errors import UserError
from tests.data.pictures_on_disk import COUNT, TEST, TRAIN, loader


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_processes_changes_no_bit(workers: int, shared_tiny: Path) -> None:
    alone, helped = loader(shared_tiny), loader(shared_tiny, workers)
    for passes in (lambda each: each.epoch(3, 1, 5, True), lambda each: each.plain(7)):
        for (images, labels), (others, other_labels) in zip(passes(alone), passes(helped), strict=True):
            assert torch.equal(images, others)
            assert torch.equal(labels, other_labels)


def test_batches_are_the_pictures_normalised_as_torchvision_does(shared_tiny: Path) -> None:
    made = loader(shared_tiny)
    part = find_photographs(data_set("folder/tiny@32", shared_tiny), shared_tiny).train
    order = torch.randperm(COUNT, generator=generator(3, "order", 1)).tolist()
    images, labels = (torch.cat(each) for each in zip(*made.epoch(3, 1, 5, True), strict=True))
    pixels, _ = Pictures(32, (3, 1))[[(f"{part.root}/{part.paths[image]}", image) for image in order]]
    expected = functional.normalize(pixels.permute(0, 3, 1, 2) / 255, list(PHOTOGRAPH_MEAN), list(PHOTOGRAPH_STD))
    torch.testing.assert_close(images, expected, atol=1e-6, rtol=1e-6)
    assert labels.tolist() == [image // TRAIN for image in order]
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_a_pass_without_augmentation_is_in_the_order_of_the_files(shared_tiny: Path) -> None:
    made = loader(shared_tiny, test=True)
    images, labels = (torch.cat(each) for each in zip(*made.plain(5), strict=True))
    assert labels.tolist() == [label for label in range(3) for _ in range(TEST)]
    shuffled, order = (torch.cat(each) for each in zip(*made.epoch(0, 0, 5, False), strict=True))
    for label in range(3):
        assert sorted(shuffled[order == label].sum((1, 2, 3)).tolist()) == sorted(
            images[labels == label].sum((1, 2, 3)).tolist()
        )


def test_an_image_is_cropped_alike_whichever_others_are_trained_on(shared_tiny: Path) -> None:
    chosen = torch.tensor([20, 3, 11])
    few = dict(_by_label_of(loader(shared_tiny, indices=chosen), chosen))
    many = dict(_by_label_of(loader(shared_tiny), torch.arange(COUNT)))
    assert all(torch.equal(few[image], many[image]) for image in chosen.tolist())


def _by_label_of(made: PhotographLoader, images: Tensor) -> list[tuple[int, Tensor]]:
    order = images[torch.randperm(len(images), generator=generator(3, "order", 1))].tolist()
    pixels = torch.cat([batch for batch, _ in made.epoch(3, 1, 5, True)])
    return list(zip(order, pixels, strict=True))


def test_a_last_single_image_joins_the_batch_before(shared_tiny: Path) -> None:
    made = loader(shared_tiny, indices=torch.arange(9))
    assert [len(labels) for _, labels in made.epoch(0, 0, 4, True)] == [4, 5]


def test_torchs_global_generator_is_left_alone(shared_tiny: Path) -> None:
    for workers in (0, 1):
        before = torch.get_rng_state()
        list(loader(shared_tiny, workers).epoch(0, 0, 8, True))
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_file_is_one_line_that_names_it(workers: int, tiny: Path) -> None:
    file = tiny / "tiny" / "train" / "one" / "005.jpg"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(UserError) as caught:
        list(loader(tiny, workers).epoch(0, 0, 8, True))
    assert str(caught.value).startswith(f"{file} cannot be read as an image: ")
    assert "\n" not in str(caught.value)


def test_two_passes_may_be_under_way_and_one_be_left_unfinished(shared_tiny: Path) -> None:
    made = loader(shared_tiny, 1)
    unfinished = made.epoch(0, 0, 4, True)
    first, _ = next(unfinished)
    whole = [images for images, _ in made.epoch(0, 0, 4, True)]
    second, _ = next(unfinished)
    assert torch.equal(torch.cat([first, second]), torch.cat(whole[:2]))


def test_photographs_are_scored_in_smaller_batches_than_small_images(shared_tiny: Path) -> None:
    declared = data_set("folder/tiny", shared_tiny)
    part = find_photographs(declared, shared_tiny).test
    assert scoring_batch(PhotographLoader(part, declared)) == 16
    assert scoring_batch(loader(shared_tiny)) == 250


def test_real_photographs_have_about_the_statistics_of_imagenet(photograph_folder: Path) -> None:
    declared = data_set("folder/imagenette@64", photograph_folder)
    part = find_photographs(declared, photograph_folder).train
    chosen = torch.arange(0, len(part.paths), 5)
    made = PhotographLoader(part, declared, chosen, workers=1)
    images = torch.cat([images for images, _ in made.epoch(0, 0, 32, True)])
    assert images.shape[1:] == (3, 64, 64)
    assert images.mean((0, 2, 3)).abs().max() < 0.2
    assert (images.std((0, 2, 3)) - 1).abs().max() < 0.3
