"""Training on photographs: any number of reading processes, and any interruption, gives the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from harness.data.catalogue import data_set
from harness.data.sets import find_photographs
from harness.data.split import split
from harness.measure.accuracy import measure_accuracy
from harness.train.loop import Source, accuracy
from harness.train.rates import Cosine
from harness.train.watch import Stopped, Watch
from tests.data.pictures_on_disk import TEST, loader, write_photographs
from tests.train.tiny import equal, saving, train, weights

RATES = Cosine(0.05, 3, 0, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("photographs")
    write_photographs(made)
    return made


def network() -> nn.Module:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 4, 5, stride=4)
    return nn.Sequential(convolution, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(196, 3))


def source(folder: Path, workers: int) -> Source:
    parts = split(data_set("folder/tiny", folder), None, all_train=False)
    train_images, held_out = (loader(folder, workers, indices) for indices in (parts.train, parts.held_out))
    return Source(train_images, held_out, seed=3, batch=6, augment=True)


def test_readers_and_interruptions_change_no_bit(folder: Path, tmp_path: Path) -> None:
    alone, broken, resumed = network(), network(), network()
    expected = train(alone, RATES, images=source(folder, 0))
    left = iter([False] * 6 + [True])
    watch = Watch(should_stop=lambda: next(left), checkpoint_seconds=0.0)
    with pytest.raises(Stopped):
        train(broken, RATES, images=source(folder, 1), checkpoint=saving(tmp_path), watch=watch)
    found = train(resumed, RATES, images=source(folder, 1), checkpoint=saving(tmp_path))
    assert equal(weights(resumed), weights(alone))
    assert found.curve == expected.curve
    assert [point["epoch"] for point in found.curve] == [0, 1, 2]


def test_hits_are_in_the_order_of_the_files(folder: Path) -> None:
    class Class(nn.Module):
        """Says class 1 of every image."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([0.0, 1.0, 0.0]).expand(len(images), -1)

    measured = measure_accuracy(Class(), loader(folder, test=True))
    assert (measured.top1, measured.top5) == (1 / 3, 1.0)
    assert measured.hits.tolist() == [0b00001111, 0b00000000]
    assert TEST == 4
    assert accuracy(Class(), loader(folder, test=True)) == 1 / 3


def test_a_network_learns_from_real_photographs() -> None:
    import os

    named = os.environ.get("HARNESS_DATA")
    if not named or not (Path(named) / "imagenette" / "train").is_dir():
        pytest.skip("needs Imagenette's photographs in `imagenette` in the folder that HARNESS_DATA names")
    from harness.data.photographs import PhotographLoader

    declared = data_set("folder/imagenette@32", Path(named))
    part = find_photographs(declared, Path(named)).train
    images = Source(PhotographLoader(part, declared, torch.arange(0, 1500, 4)), None, 0, 25, augment=True)
    losses = [point["loss"] for point in train(network_for(10), [0.02] * 3, images=images).curve]
    assert losses[2] < losses[0]


def network_for(classes: int) -> nn.Module:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 16, 5, stride=4)
    return nn.Sequential(convolution, nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(784, classes))
