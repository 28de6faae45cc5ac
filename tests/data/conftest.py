from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from harness.data import cifar10
from tests.data.pictures_on_disk import write_photographs

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cifar_folder() -> Path:
    """Where the real CIFAR-10 lies."""
    named = os.environ.get("HARNESS_DATA")
    if not named or not cifar10.present(Path(named)):
        pytest.skip("needs CIFAR-10 in the folder that HARNESS_DATA names")
    return Path(named)


@pytest.fixture(scope="session")
def photograph_folder() -> Path:
    """Where the real photographs of Imagenette lie, in `imagenette`."""
    named = os.environ.get("HARNESS_DATA")
    if not named or not (Path(named) / "imagenette" / "train").is_dir():
        pytest.skip("needs Imagenette's photographs in `imagenette` in the folder that HARNESS_DATA names")
    return Path(named)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with the tiny photographs of `tests.data.pictures_on_disk` in `tiny`."""
    write_photographs(tmp_path)
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def shared_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for tests that change no file."""
    folder = tmp_path_factory.mktemp("photographs")
    write_photographs(folder)
    return folder
