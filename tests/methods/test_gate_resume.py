"""A search with gates that was killed at any step decides and leaves the bits of one that was not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from harness.method import Compressed
from harness.registry import method
from harness.train.watch import Stopped, Watch
from tests.methods.gate_tasks import EPOCHS, STEPS, task
from tests.train.test_resume import StopAt

SEARCHES: dict[str, dict[str, object]] = {
    "sss": {"gamma": 0.45},
    "network_slimming": {"sparsity": 0.01},
    # A mask moves at every second step; the learning rate falls, and FISTA begins again, in the last epoch.
    "gal": {"lambda_m": 1.0, "interval": 2, "milestones": [0.6]},
}


def left(name: str, results: Path, watch: Watch | None = None) -> tuple[Compressed, dict[str, Tensor]]:
    given_task = task(name, results, watch, **SEARCHES[name])
    decided = method(name)().compress(given_task)
    assert given_task.billed.epochs == EPOCHS
    return decided, given_task.network.state_dict()


@pytest.fixture(scope="module", params=SEARCHES)
def unbroken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, object]:
    return request.param, left(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("question", range(1, EPOCHS * STEPS, 2))
def test_it_goes_on_bit_for_bit(
    question: int, unbroken: tuple[str, tuple[Compressed, dict[str, Tensor]]], tmp_path: Path
) -> None:
    name, (expected, weights) = unbroken
    with pytest.raises(Stopped):
        left(name, tmp_path, Watch(should_stop=StopAt(question), checkpoint_seconds=0.0))
    decided, resumed = left(name, tmp_path)
    assert decided.kept == expected.kept
    assert decided.scores is not None
    assert expected.scores is not None
    assert all(torch.equal(scores, decided.scores[group]) for group, scores in expected.scores.items())
    assert all(torch.equal(tensor, resumed[tensor_name]) for tensor_name, tensor in weights.items())
