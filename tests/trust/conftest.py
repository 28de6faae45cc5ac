from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.calling import SUITE, call

RECIPE = "{use: short_digits, epochs: {dense: 1, search: 1, finetune: 1, baseline: 2}}"


@pytest.fixture(scope="package")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `tiny.yaml` in it and its results in `done`: dense and l1_norm, one seed, one epoch each."""
    folder = tmp_path_factory.mktemp("finished")
    suite = SUITE.replace("seeds: [0, 1]", "seeds: [0]").replace("recipe: short_digits", f"recipe: {RECIPE}")
    (folder / "tiny.yaml").write_text(suite)
    called = call(folder, "run", "tiny.yaml", "--results", "done", "--executor", "inline")
    assert called.status == 0, called.err
    shutil.rmtree(folder / "done" / "report")
    return folder


@pytest.fixture
def downloaded(finished: Path, tmp_path: Path) -> Path:
    """A copy of `finished`, which a test may do harm to; `outside` beside it belongs to the user."""
    folder = tmp_path / "downloaded"
    shutil.copytree(finished, folder)
    outside = folder / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    return folder
