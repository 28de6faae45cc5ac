"""The command line with photographs: where they lie, and what is told where they are absent."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.calling import call
from tests.data.pictures_on_disk import write_photographs

SUITE = """\
suite: photos
dataset: folder/tiny@32
backbones: [torchvision/resnet18]
seeds: [0]
recipe: {use: short_photographs, batch: 8, epochs: {dense: 1, search: 1, finetune: 1, baseline: 2}}
methods: [dense]
"""


@pytest.fixture
def at(tmp_path: Path) -> Path:
    write_photographs(tmp_path / "pictures")
    (tmp_path / "photos.yaml").write_text(SUITE)
    return tmp_path


def test_photographs_are_counted_and_on_demand_read(at: Path) -> None:
    where = f"({at / 'pictures' / 'tiny'})"
    counted = call(at, "data", "folder/tiny", "--data", at / "pictures")
    assert counted.out == f"folder/tiny: 3 classes, 24 training and 12 test images, counted {where}\n"
    read = call(at, "data", "folder/tiny", "--data", at / "pictures", "--decode")
    assert read.out == f"folder/tiny: 3 classes, 24 training and 12 test images, every one read {where}\n"
    file = at / "pictures" / "tiny" / "val" / "one" / "002.jpg"
    file.write_bytes(b"no image")
    broken = call(at, "data", "folder/tiny", "--data", at / "pictures", "--decode")
    assert broken.status == 2
    assert broken.err.startswith(f"error: {file} cannot be read as an image: ")


@pytest.mark.parametrize("verb", [["plan"], ["run", "--executor", "inline"]])
def test_absent_photographs_are_told_in_one_line(verb: list[str], at: Path) -> None:
    called = call(at, *verb, "photos.yaml")
    assert called.status == 2
    [line] = called.err.splitlines()
    assert line.startswith(f"error: data set 'folder/tiny': there is no folder {at / 'data' / 'tiny' / 'train'}; ")


def test_a_report_needs_no_photographs(at: Path) -> None:
    ran = call(at, "run", "photos.yaml", "--data", "pictures", "--executor", "inline")
    assert ran.status == 0, ran.err
    table = at / "results" / "runs" / "photos" / "report" / "report.md"
    assert "tiny (32 px)" in table.read_text()
    shutil.rmtree(at / "pictures")
    table.unlink()
    assert call(at, "report", "photos.yaml", "--format", "md").status == 0
    assert "tiny (32 px)" in table.read_text()
    again = call(at, "run", "photos.yaml", "--executor", "inline")
    assert again.out.startswith("photos: nothing to do, 1 of 1 cells are done")
