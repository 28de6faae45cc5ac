"""What all tests share: one thread, a cache of their own, small cells on the embedded digits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


LONGEST = ("methods/test_residual", "faults/", "end_to_end/", "execute/", "methods/", "trust/", "data/")
"""Where the tests lie that take longest: first, so that no worker is left with them while the others have nothing."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the files; within one the order stays."""

    def place(item: pytest.Item) -> int:
        name = item.nodeid.removeprefix("tests/")
        return next((at for at, start in enumerate(LONGEST) if name.startswith(start)), len(LONGEST))

    items.sort(key=place)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Timings and costs of the tests stay out of the user's cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def cifar10_folder() -> Path:
    """The folder of the real CIFAR-10, or a skip."""
    folder = Path(os.environ.get("HARNESS_DATA", "data"))
    if not (folder / "cifar-10-batches-py").is_dir():
        pytest.skip("CIFAR-10 is not in $HARNESS_DATA: python -m harness data cifar10")
    return folder
