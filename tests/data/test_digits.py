from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from sklearn import datasets

from harness.data import digits
from harness.data.catalogue import DATA_SETS
from harness.errors import UserError

DIGITS = DATA_SETS["digits"]


def test_every_digit_of_scikit_learn_is_in_one_of_the_splits() -> None:
    data = digits.load(Path())
    assert data.train_images.shape == (1437, 8, 8, 1)
    assert data.test_images.shape == (360, 8, 8, 1)
    found = torch.cat([data.train_images, data.test_images]).flatten(1).double() * 16 / 255
    assert sorted(found.round().int().tolist()) == sorted(datasets.load_digits().data.astype(int).tolist())


def test_each_class_has_its_share_of_the_test_split() -> None:
    data = digits.load(Path())
    train, test = data.train_labels.bincount(), data.test_labels.bincount()
    assert (test - (train + test) * 360 / 1797).abs().max() < 1


def test_pixels_span_the_whole_range() -> None:
    data = digits.load(Path())
    assert data.train_images.dtype == torch.uint8
    assert data.train_images.unique().tolist() == [round(value * 255 / 16) for value in range(17)]


def test_the_declared_mean_and_deviation_are_those_of_the_training_split() -> None:
    pixels = digits.load(Path()).train_images.double() / 255
    assert DIGITS.mean == (round(float(pixels.mean()), 4),)
    assert DIGITS.std == (round(float(pixels.std(correction=0)), 4),)


def test_other_digits_than_the_declared_ones_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = numpy.loadtxt(digits._table(), delimiter=",")
    table[7, 20] = numpy.abs(table[7, 20] - 1)
    numpy.savetxt(tmp_path / "digits.csv.gz", table, delimiter=",", fmt="%d")
    monkeypatch.setattr(digits, "_table", lambda: tmp_path / "digits.csv.gz")
    with pytest.raises(UserError, match=r"data set 'digits': .* checksum sha256:[0-9a-f]{64}, not the declared"):
        digits.load(Path())


def test_scikit_learn_itself_is_not_imported() -> None:
    code = "import sys; from pathlib import Path; from harness.data import digits; digits.load(Path()); "
    subprocess.run([sys.executable, "-c", code + "assert 'sklearn' not in sys.modules"], check=True, timeout=120)
