"""Cells on photographs: the right loader, and figures that do not depend on who reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.data.catalogue import data_set
from harness.data.interface import Loader
from harness.data.interruptible import InterruptibleLoader
from harness.data.loader import DeviceLoader
from harness.data.photographs import PhotographLoader
from harness.errors import UserError
from harness.execute.board import Board
from harness.execute.inline import run_inline
from harness.execute.place import Place
from harness.store.grid import look, rows_of
from harness.store.ledger import Ledger
from harness.suite.cell import DataChoice
from harness.suite.recipe import Epochs, Recipe
from tests.cells import cell
from tests.data.pictures_on_disk import write_photographs

RECIPE = Recipe(
    epochs=Epochs(dense=1, search=1, finetune=1, baseline=2),
    batch=8,
    lr=0.01,
    schedule="cosine",
    per_iteration=True,
    crop_scale=0.5,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_photographs(tmp_path / "data")
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def config(**changes: Any) -> dict[str, Any]:
    stated = {"data": "folder/tiny@32", "train_images": None, "all_train": False, "channels_last": True}
    return {**stated, "checksum": data_set("folder/tiny@32").checksum, **changes}


def within(loader: Loader | None) -> Loader:
    """The loader whose batches a place gives out, between which a stage can be interrupted."""
    assert isinstance(loader, InterruptibleLoader)
    return loader._loader


def test_the_place_reads_photographs_from_disk_and_keeps_small_images_on_the_device(folder: Path) -> None:
    place = Place(folder, folder, threads=3)
    train, held_out = place.loaders(config())
    assert isinstance(within(train), PhotographLoader)
    assert isinstance(within(held_out), PhotographLoader)
    assert held_out is not None
    assert (len(train), len(held_out), len(place.test_loader("folder/tiny@32"))) == (22, 2, 12)
    assert place.loaders(config(all_train=True))[1] is None
    assert len(place.loaders(config(train_images=5))[0]) == 5
    assert isinstance(within(place.test_loader("digits")), DeviceLoader)


@pytest.mark.parametrize(("threads", "readers"), [(1, 0), (2, 1), (16, 15)])
def test_every_core_but_one_reads(threads: int, readers: int, folder: Path) -> None:
    assert Place(folder, folder, threads=threads).readers == readers


def test_loaders_are_kept_for_the_next_stage(folder: Path) -> None:
    place = Place(folder, folder)
    first = within(place.loaders(config())[0])
    assert within(place.loaders(config())[0]) is first
    assert within(place.loaders(config(crop_scale=0.2))[0]) is not first


def test_photographs_other_than_planned_with_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"is not the one that the run was planned with: its checksum is sha256:"):
        Place(folder, folder).loaders(config(checksum="sha256:other"))


def test_a_cell_on_photographs_runs_to_its_end(folder: Path, tmp_path: Path) -> None:
    wanted = replace(cell("dense", recipe=RECIPE), backbone="torchvision/resnet18", data=DataChoice("folder/tiny@32"))
    ledger = Ledger(tmp_path / "results")
    run_inline(Board([wanted], ledger, tmp_path / "results"), Place(tmp_path / "results", folder), ledger)
    [row] = rows_of(look([wanted], tmp_path / "results", ledger), ledger)
    assert (row.state, row.train_images, row.top5) == ("done", 22, 1.0)
