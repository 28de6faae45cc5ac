"""Two ranks on GPUs, or on one GPU that they share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.execute.place import Place
from harness.train.ranks import Ranks
from tests.execute.test_spread import digits, tensors, trained

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def test_two_ranks_end_as_one_process_that_takes_the_same_micro_batches(tmp_path: Path) -> None:
    alone, shared = (trained(digits(2), Place(tmp_path / str(n), tmp_path, "cuda", ranks=Ranks(0, n))) for n in (1, 2))
    for name, tensor in tensors(alone).items():
        torch.testing.assert_close(tensors(shared)[name], tensor, rtol=1e-2, atol=1e-3)


def test_synchronised_batch_norm_sees_the_whole_batch(tmp_path: Path) -> None:
    places = [Place(tmp_path / str(n), tmp_path, "cuda", ranks=Ranks(0, n, True)) for n in (1, 2)]
    alone, shared = (tensors(trained(digits(1), place)) for place in places)
    assert alone.keys() == shared.keys()
    for name, tensor in alone.items():
        torch.testing.assert_close(shared[name], tensor, rtol=1e-2, atol=1e-3)
