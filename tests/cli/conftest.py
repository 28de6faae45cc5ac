from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calling import SUITE


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder with `tiny.yaml` in it, to work in."""
    (tmp_path / "tiny.yaml").write_text(SUITE)
    return tmp_path
