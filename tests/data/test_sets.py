from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.data import digits, sets
from harness.data.catalogue import DATA_SETS
from harness.data.raw import RawData
from harness.errors import UserError


def test_a_set_is_loaded_once_a_process(tmp_path: Path) -> None:
    assert sets.load_data("digits", tmp_path) is sets.load_data("digits", tmp_path)


def test_an_unknown_name_says_what_was_meant(tmp_path: Path) -> None:
    for ask in (sets.load_data, sets.fetch_data, sets.present):
        with pytest.raises(UserError, match=r"unknown data set 'digit'; did you mean 'digits'\?"):
            ask("digit", tmp_path)


def test_an_embedded_set_is_always_present_and_is_verified_by_fetching(tmp_path: Path) -> None:
    assert sets.present("digits", tmp_path)
    assert len(sets.fetch_data("digits", tmp_path).train_images) == 1437


def test_a_set_that_is_not_there_is_not_remembered(tmp_path: Path) -> None:
    assert not sets.present("cifar10", tmp_path)
    for _ in range(2):
        with pytest.raises(UserError, match="CIFAR-10 is not in"):
            sets.load_data("cifar10", tmp_path)


def sound() -> RawData:
    return digits.load(Path())


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (lambda: replace(sound(), train_images=sound().train_images[1:]), "training images are torch.uint8"),
        (lambda: replace(sound(), test_images=sound().test_images.float()), "test images are torch.float32"),
        (lambda: replace(sound(), test_images=torch.zeros(360, 8, 8, 3).byte()), "test images are torch.uint8"),
        (lambda: replace(sound(), train_labels=sound().train_labels[1:]), "training labels are not 1,437 numbers"),
        (lambda: replace(sound(), test_labels=sound().test_labels + 1), "test labels are not 360 numbers below 10"),
        (lambda: replace(sound(), test_labels=sound().test_labels - 1), "test labels are not 360 numbers below 10"),
    ],
)
def test_what_is_not_as_declared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: object, complaint: str
) -> None:
    assert callable(data)
    wrong = data()
    monkeypatch.setattr(digits, "load", lambda folder: wrong)
    with pytest.raises(UserError, match=f"data set 'digits': its {complaint}"):
        sets.load_data("digits", tmp_path / complaint)


def test_every_declared_set_has_a_checksum_and_statistics_a_channel() -> None:
    for entry in DATA_SETS.values():
        assert entry.checksum.partition(":")[0] in {"md5", "sha256"}
        assert len(entry.mean) == len(entry.std) == entry.channels


def test_asking_what_is_present_does_not_import_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from harness.data.sets import present\n"
        "print(present('cifar10', Path('nowhere')), present('digits', Path('nowhere')), 'torch' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert output.stdout.split() == ["False", "True", "False"]
