from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from urllib.error import URLError

import numpy
import pytest
import torch
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity

from harness.data import cifar10
from harness.data.catalogue import DATA_SETS
from harness.data.sets import load_data
from harness.errors import UserError


@pytest.fixture
def small_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10's files with two images each, and torchvision told of their checksums."""
    folder = tmp_path / cifar10.FOLDER
    folder.mkdir()

    def write(name: str, content: dict[str, object]) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return md5((folder / name).read_bytes()).hexdigest()

    def batch(number: int) -> dict[str, object]:
        return {"data": numpy.full((2, 3072), number, dtype=numpy.uint8), "labels": [number, 9]}

    train = [[f"data_batch_{number}", write(f"data_batch_{number}", batch(number))] for number in range(1, 6)]
    meta = write("batches.meta", {"label_names": list("abcdefghij")})
    monkeypatch.setattr(CIFAR10, "train_list", train)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", write("test_batch", batch(6))]])
    monkeypatch.setattr(CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": meta})
    return tmp_path


def test_both_splits_are_read(small_cifar: Path) -> None:
    data = cifar10.load(small_cifar)
    assert data.train_images.shape == (10, 32, 32, 3)
    assert data.train_images.is_contiguous()
    assert data.train_labels.tolist() == [1, 9, 2, 9, 3, 9, 4, 9, 5, 9]
    assert data.test_labels.tolist() == [6, 9]
    assert data.test_images.unique().tolist() == [6]


def test_an_absent_set_is_one_line_that_says_how_to_get_it(tmp_path: Path) -> None:
    assert not cifar10.present(tmp_path)
    with pytest.raises(UserError) as caught:
        cifar10.load(tmp_path)
    assert str(caught.value) == (
        f"CIFAR-10 is not in {tmp_path}; fetch it with `python -m harness data cifar10 --data {tmp_path}`, "
        "or put the folder cifar-10-batches-py there"
    )


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
@pytest.mark.parametrize("part", [0, 0.5])
def test_a_truncated_file_is_refused_by_name(small_cifar: Path, name: str, part: float) -> None:
    path = small_cifar / cifar10.FOLDER / name
    os.truncate(path, int(part * path.stat().st_size))
    with pytest.raises(UserError, match=rf"CIFAR-10 is damaged: the MD5 of .*/{name} is not [0-9a-f]{{32}}; remove it"):
        cifar10.load(small_cifar)


def test_a_missing_file_is_refused_by_name(small_cifar: Path) -> None:
    assert cifar10.present(small_cifar)
    (small_cifar / cifar10.FOLDER / "data_batch_2").unlink()
    assert not cifar10.present(small_cifar)
    with pytest.raises(UserError, match=r"CIFAR-10 is not complete: .*/data_batch_2 is missing"):
        cifar10.load(small_cifar)


def test_each_file_of_images_is_hashed_once(small_cifar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    def noting(path: str, expected: str | None = None) -> bool:
        hashed.append(Path(path).name)
        return check_integrity(path, expected)

    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", noting)
    cifar10.load(small_cifar)
    images = [name for name in hashed if name != "batches.meta"]
    assert sorted(images) == [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
@pytest.mark.parametrize("act", [cifar10.load, cifar10.fetch])
@pytest.mark.parametrize("name", ["data_batch_4", "test_batch", "batches.meta"])
def test_a_pipe_or_a_folder_in_a_files_place_is_refused_by_name(
    small_cifar: Path, name: str, act: Callable[[Path], object], make: Callable[[Path], None]
) -> None:
    path = small_cifar / cifar10.FOLDER / name
    path.unlink()
    make(path)
    assert not cifar10.present(small_cifar)
    with pytest.raises(UserError) as caught:
        act(small_cifar)
    assert str(caught.value) == f"CIFAR-10 cannot be read: {path} is not a file; remove it"


def test_nothing_is_downloaded_into_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / CIFAR10.filename)
    with pytest.raises(UserError, match=f"{CIFAR10.filename} is not a file"):
        cifar10.fetch(tmp_path)


@pytest.mark.parametrize(
    "error", [URLError("no route to host"), RuntimeError("File not found\nor corrupted."), ConnectionResetError()]
)
def test_a_download_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(self: CIFAR10) -> None:
        raise error

    monkeypatch.setattr(CIFAR10, "download", fail)
    with pytest.raises(UserError) as caught:
        cifar10.fetch(tmp_path)
    assert str(caught.value).startswith("CIFAR-10 could not be fetched from https://")
    assert "\n" not in str(caught.value)


def test_what_is_there_is_not_fetched_again(small_cifar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)
    before = {path: path.stat().st_mtime_ns for path in small_cifar.rglob("*")}
    cifar10.fetch(small_cifar)
    assert {path: path.stat().st_mtime_ns for path in small_cifar.rglob("*")} == before


def test_the_real_set_is_as_declared(cifar_folder: Path) -> None:
    data = load_data("cifar10", cifar_folder)
    assert data.train_labels.bincount().tolist() == [5000] * 10
    assert data.test_labels.bincount().tolist() == [1000] * 10
    pixels = data.train_images.view(-1, 3)
    mean = pixels.sum(0, dtype=torch.int64) / len(pixels) / 255
    torch.testing.assert_close(mean, torch.tensor(DATA_SETS["cifar10"].mean), atol=3e-4, rtol=0)
