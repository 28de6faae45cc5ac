"""Which learning rate each step has."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from harness.train.rates import Cosine, in_epoch, rates_of
from harness.train.watch import Stopped, Watch
from tests.train.tiny import BATCH, STEPS, equal, network, saving, source, train, weights


def test_rates_that_are_listed_are_constant_within_an_epoch() -> None:
    rates = rates_of([0.3, 0.2])
    assert [in_epoch(rates, epoch)(done) for epoch in (0, 1) for done in (0.0, 0.99)] == [0.3, 0.3, 0.2, 0.2]


@given(horizon=st.integers(1, 200), start=st.integers(0, 100), steps=st.integers(1, 50), epoch=st.integers(0, 50))
def test_the_cosine_is_the_papers_formula_in_steps(horizon: int, start: int, steps: int, epoch: int) -> None:
    rates = rates_of({"cosine": {"base": 0.1, "horizon": horizon, "start": start}, "epochs": 60})
    assert len(rates) == 60
    for step in range(steps):
        iteration = epoch * steps + step
        expected = 0.5 * 0.1 * (1 + math.cos(math.pi * (iteration + start * steps) / (horizon * steps)))
        assert in_epoch(rates, epoch)(step / steps) == pytest.approx(expected, abs=1e-12)


def test_each_step_is_made_with_its_own_rate() -> None:
    made, by_hand = network(), network()
    rates = Cosine(base=0.2, horizon=3, start=1, epochs=2)
    train(made, rates, momentum=0.0, weight_decay=0.0)
    by_hand.train()
    falling = []
    for epoch in range(2):
        for step, (images, labels) in enumerate(source().train.epoch(7, epoch, BATCH, True)):
            by_hand.zero_grad()
            cross_entropy(by_hand(images), labels).backward()
            falling.append(rates.at(epoch + step / STEPS))
            with torch.no_grad():
                for parameter in by_hand.parameters():
                    assert parameter.grad is not None
                    parameter.sub_(falling[-1] * parameter.grad)
    assert all(later < earlier for earlier, later in pairwise(falling))
    for name, tensor in weights(by_hand).items():
        torch.testing.assert_close(weights(made)[name], tensor)


@pytest.mark.parametrize("rebuild_momentum", [True, False])
def test_a_cosine_goes_on_bit_for_bit_after_an_interruption(rebuild_momentum: bool, tmp_path: Path) -> None:
    rates, options = Cosine(0.1, 4, 0, 4), {"rebuild_momentum": rebuild_momentum}
    unbroken, broken, resumed = network(), network(), network()
    train(unbroken, rates, **options)
    left = iter([False] * (2 * STEPS + 1) + [True])
    watch = Watch(should_stop=lambda: next(left), checkpoint_seconds=0.0)
    with pytest.raises(Stopped):
        train(broken, rates, checkpoint=saving(tmp_path), watch=watch, **options)
    train(resumed, rates, checkpoint=saving(tmp_path), **options)
    assert equal(weights(resumed), weights(unbroken))
