"""What becomes of a file: torchvision's own transforms, drawn from (seed, epoch, image) alone."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from harness.data.pictures import Pictures
from harness.data.seeds import derive

SIZE = 32


@pytest.fixture
def files(shared_tiny: Path) -> list[str]:
    return sorted(str(path) for path in (shared_tiny / "tiny" / "train").rglob("*.jpg"))


def made(pictures: Pictures, files: list[str], first: int = 0) -> Tensor:
    pixels, wrong = pictures[[(path, first + place) for place, path in enumerate(files)]]
    assert wrong == ""
    assert pixels.dtype == torch.uint8
    return pixels


def by_torchvision(transform: v2.Transform, path: str, seed: int | None = None) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        picture = transform(Image.open(path).convert("RGB"))
    return torch.from_numpy(numpy.array(picture))


def test_scoring_cuts_the_middle_out_as_torchvision_does(files: list[str]) -> None:
    reference = v2.Compose([v2.Resize(37), v2.CenterCrop(SIZE)])  # 32 · 256 / 224 = 36.6
    pixels = made(Pictures(SIZE), files)
    assert pixels.shape == (len(files), SIZE, SIZE, 3)
    for found, path in zip(pixels, files, strict=True):
        assert torch.equal(found, by_torchvision(reference, path))


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, [v2.RandomResizedCrop(SIZE)]),
        ({"crop_scale": 0.2}, [v2.RandomResizedCrop(SIZE, scale=(0.2, 1.0))]),
        ({"resize_first": True}, [v2.Resize(37), v2.RandomResizedCrop(SIZE)]),
    ],
    ids=["default", "crop_scale", "resize_first"],
)
def test_training_crops_and_mirrors_as_torchvision_does(
    options: dict[str, float], steps: list[v2.Transform], files: list[str]
) -> None:
    reference = v2.Compose([*steps, v2.RandomHorizontalFlip()])
    pixels = made(Pictures(SIZE, (5, 2), **options), files)  # type: ignore[arg-type]
    for place, path in enumerate(files):
        assert torch.equal(pixels[place], by_torchvision(reference, path, derive(5, "picture", 2, place)))


def test_a_pictures_crop_does_not_depend_on_its_batch(files: list[str]) -> None:
    whole = made(Pictures(SIZE, (5, 2)), files)
    alone = [made(Pictures(SIZE, (5, 2)), [path], place) for place, path in enumerate(files)]
    assert torch.equal(whole, torch.cat(alone))


@pytest.mark.parametrize("other", [(5, 3), (6, 2)], ids=["another epoch", "another seed"])
def test_other_seeds_and_epochs_crop_otherwise(other: tuple[int, int], files: list[str]) -> None:
    one, two = made(Pictures(SIZE, (5, 2)), files), made(Pictures(SIZE, other), files)
    assert not (one == two).flatten(1).all(1).any()


def test_torchs_global_generator_is_left_alone(files: list[str]) -> None:
    before = torch.get_rng_state()
    made(Pictures(SIZE, (5, 2)), files)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1", "I;16"])
def test_images_of_every_mode_become_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
    Image.new("L", (40, 50), 200).convert(mode).save(path)
    assert made(Pictures(SIZE), [str(path)]).shape == (1, SIZE, SIZE, 3)


@pytest.mark.parametrize("damage", ["empty", "truncated", "no image", "absent", "folder"])
def test_a_file_that_is_no_image_is_told_by_name(damage: str, files: list[str], tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    sound = Path(files[0]).read_bytes()
    if damage == "folder":
        path.mkdir()
    elif damage != "absent":
        path.write_bytes({"empty": b"", "truncated": sound[: len(sound) // 2], "no image": b"GIF89a" + sound}[damage])
    _, wrong = Pictures(SIZE)[[(files[0], 0), (str(path), 1)]]
    assert wrong.startswith(f"{path} cannot be read as an image: ")
    assert "\n" not in wrong
