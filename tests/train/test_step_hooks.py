"""What a method may do within a step, and that an interruption does not show in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from harness.train.watch import Stopped, Watch
from tests.train.test_resume import StopAt
from tests.train.tiny import RATES, STEPS, equal, network, saving, train, weights


def test_a_loss_of_ones_own_replaces_cross_entropy() -> None:
    def twice(made: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = made(images)
        return logits, 2 * cross_entropy(logits, labels)

    doubled, faster = network(), network()
    train(doubled, [0.1], weight_decay=0.0, loss=twice)
    train(faster, [0.2], weight_decay=0.0)
    for name, tensor in weights(faster).items():
        torch.testing.assert_close(weights(doubled)[name], tensor)


def test_steps_are_numbered_from_nought_through_all_epochs_of_a_call() -> None:
    numbers: list[int] = []
    train(network(), before_step=numbers.append)
    assert numbers == list(range(len(RATES) * STEPS))


def test_gradients_may_be_changed_before_they_are_used() -> None:
    made = network()
    before = {name: tensor.clone() for name, tensor in made.named_parameters()}

    def stop() -> None:
        for parameter in made.parameters():
            assert parameter.grad is not None
            parameter.grad.zero_()

    train(made, weight_decay=0.0, after_backward=stop)
    assert equal(dict(made.named_parameters()), before)


def test_what_follows_a_step_is_told_its_learning_rate() -> None:
    rates: list[float] = []
    train(network(), after_step=rates.append)
    assert rates == [rate for rate in RATES for _ in range(STEPS)]


def _keeping(made: nn.Module) -> dict[str, Any]:
    """A training whose steps depend on a tensor that the steps before changed."""
    memory = torch.zeros(())
    parameter = next(made.parameters())

    def after(rate: float) -> None:
        with torch.no_grad():
            memory.add_(parameter.mean()).mul_(0.9)
            parameter.add_(memory, alpha=rate)

    return {"after_step": after, "state": {"memory": memory}}


@pytest.mark.parametrize("question", [STEPS + 1, 2 * STEPS, 3 * STEPS + 1])
def test_tensors_that_steps_keep_are_as_they_were_when_a_training_goes_on(question: int, tmp_path: Path) -> None:
    unbroken, broken, resumed = network(), network(), network()
    expected = _keeping(unbroken)
    train(unbroken, **expected)
    watch = Watch(should_stop=StopAt(question), checkpoint_seconds=0.0)
    with pytest.raises(Stopped):
        train(broken, checkpoint=saving(tmp_path), watch=watch, **_keeping(broken))
    again = _keeping(resumed)
    train(resumed, checkpoint=saving(tmp_path), **again)
    assert torch.equal(again["state"]["memory"], expected["state"]["memory"])
    assert equal(weights(resumed), weights(unbroken))
