from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calling import SUITE, call

RECIPE = "{use: short_digits, epochs: {dense: 1, search: 1, finetune: 1, baseline: 2}}"


@pytest.fixture(scope="package")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `tiny.yaml` in it and its results in `done`: dense, l1_norm and dnal, one seed, one epoch each."""
    folder = tmp_path_factory.mktemp("finished")
    suite = SUITE.replace("seeds: [0, 1]", "seeds: [0]").replace("resources:", "  - dnal\nresources:")
    (folder / "tiny.yaml").write_text(suite.replace("recipe: short_digits", f"recipe: {RECIPE}"))
    called = call(folder, "run", "tiny.yaml", "--results", "done", "--executor", "inline")
    assert called.status == 0, called.err
    return folder
