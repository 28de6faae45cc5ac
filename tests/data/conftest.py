from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from harness.data import cifar10

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cifar_folder() -> Path:
    """Where the real CIFAR-10 lies."""
    named = os.environ.get("HARNESS_DATA")
    if not named or not cifar10.present(Path(named)):
        pytest.skip("needs CIFAR-10 in the folder that HARNESS_DATA names")
    return Path(named)
