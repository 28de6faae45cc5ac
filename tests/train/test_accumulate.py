"""A step in micro-batches: the gradient of the mean over all its images, batch norm on one micro-batch at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from harness.data.batches import Share, batch_bounds
from harness.data.catalogue import data_set
from harness.data.limited import LimitedLoader
from harness.data.loader import DeviceLoader
from harness.train.loop import Source
from harness.train.watch import Stopped, Watch
from tests.train.test_resume import StopAt
from tests.train.tiny import equal, network, saving, train, weights

RATES = (0.1, 0.05)
BATCH = 16


def source(accumulate: int, images: int = 48) -> Source:
    """Images that need not divide, augmented."""
    drawn = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 8, 8, 1), generator=drawn, dtype=torch.uint8)
    labels = torch.randint(0, 3, (images,), generator=drawn)
    return Source(DeviceLoader(pixels, labels, data_set("digits")), None, 7, BATCH, True, accumulate)


class _InDouble(nn.Module):
    """A network in double precision on images in single precision, without batch norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(36, 3)).double()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images.double())
        return logits


@pytest.mark.parametrize(("accumulate", "images"), [(2, 48), (2, 41), (3, 48), (4, 41), (5, 43)])
def test_without_batch_norm_micro_batches_change_nothing(accumulate: int, images: int) -> None:
    plain, parts = _InDouble(), _InDouble()
    assert batch_bounds(images, BATCH) == batch_bounds(images, BATCH, accumulate)
    one = train(plain, RATES, images=source(1, images))
    other = train(parts, RATES, images=source(accumulate, images))
    for name, tensor in weights(plain).items():
        torch.testing.assert_close(weights(parts)[name], tensor, rtol=1e-12, atol=1e-12)
    assert [point["train_top1"] for point in other.curve] == [point["train_top1"] for point in one.curve]
    assert [point["loss"] for point in other.curve] == pytest.approx([point["loss"] for point in one.curve], rel=1e-12)


@pytest.mark.parametrize("images", [48, 41])
def test_with_batch_norm_it_is_the_loop_written_by_hand(images: int) -> None:
    made, by_hand = network(), network()
    train(made, [0.1], images=source(3, images))
    optimiser = torch.optim.SGD(by_hand.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, fused=True)
    by_hand.train()
    for pixels, labels in source(1, images).train.epoch(7, 0, BATCH, True):
        optimiser.zero_grad()
        for start, end in {16: [(0, 5), (5, 10), (10, 16)], 9: [(0, 3), (3, 6), (6, 9)]}[len(labels)]:
            part, named = pixels[start:end].contiguous(memory_format=torch.channels_last), labels[start:end]
            (cross_entropy(by_hand(part), named) * (len(named) / len(labels))).backward()
        optimiser.step()
    assert equal(weights(made), weights(by_hand))


def test_batch_norm_sees_micro_batches() -> None:
    whole, parts = network(), network()
    train(whole, RATES, images=source(1))
    train(parts, RATES, images=source(2))
    assert not equal(weights(whole), weights(parts))
    assert [int(made[1].num_batches_tracked) for made in (whole, parts)] == [6, 12]  # type: ignore[arg-type]


def test_what_a_method_does_in_a_step_is_done_once_a_step() -> None:
    told: list[Any] = []
    made = network()
    train(
        made,
        [0.1],
        images=source(4),
        before_step=told.append,
        after_backward=lambda: told.append("gradients"),
        after_step=told.append,
    )
    assert told == [each for number in range(3) for each in (number, "gradients", 0.1)]


def test_a_penalty_is_added_once_a_step() -> None:
    def pulled(accumulate: int) -> dict[str, Tensor]:
        made = _InDouble()
        train(made, RATES, images=source(accumulate), penalty=lambda: sum(p.square().sum() for p in made.parameters()))
        return weights(made)

    for name, tensor in pulled(1).items():
        torch.testing.assert_close(pulled(4)[name], tensor, rtol=1e-12, atol=1e-12)


def test_gradients_are_whole_when_a_method_changes_them() -> None:
    def first_gradient(accumulate: int) -> Tensor:
        made, seen = _InDouble(), []

        def look() -> None:
            seen.append(torch.cat([each.grad.flatten() for each in made.parameters() if each.grad is not None]).clone())

        train(made, [0.1], images=source(accumulate), after_backward=look)
        return seen[0]

    torch.testing.assert_close(first_gradient(4), first_gradient(1), rtol=1e-12, atol=1e-12)


def test_an_interruption_does_not_show(tmp_path: Path) -> None:
    unbroken, broken, resumed = network(), network(), network()
    train(unbroken, RATES, images=source(2))
    watch = Watch(should_stop=StopAt(4), checkpoint_seconds=0.0)
    with pytest.raises(Stopped):
        train(broken, RATES, images=source(2), checkpoint=saving(tmp_path), watch=watch)
    train(resumed, RATES, images=source(2), checkpoint=saving(tmp_path))
    assert equal(weights(resumed), weights(unbroken))


def test_a_training_of_some_steps_ends_between_steps() -> None:
    made, images = network(), source(2)
    numbers: list[int] = []
    limited = LimitedLoader(images.train, BATCH, 2, parts=2)
    train(made, [0.1], images=replace(images, train=limited), before_step=numbers.append)
    assert numbers == [0, 1]
    assert len(list(limited.epoch(7, 0, BATCH, True, Share(2)))) == 4
