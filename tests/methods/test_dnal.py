"""DNAL's formulas, as the paper's code has them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from harness.method import Gates
from methods.dnal import Dnal, DnalParams, effective_steps


def task(**params: float) -> SimpleNamespace:
    return SimpleNamespace(params=DnalParams(**params), steps_per_epoch=782, epochs=20)


def test_every_gate_starts_at_one_half_whatever_delta_is() -> None:
    for delta in (1.0, 100.0, 1e4):
        assert torch.equal(Dnal().gate(torch.zeros(3), {"delta": delta}), torch.full((3,), 0.5))


def test_delta_grows_by_one_factor_an_epoch_and_ends_at_ten_thousand() -> None:
    ten = [Dnal().delta(DnalParams(), epoch, 10) for epoch in range(10)]
    assert ten == pytest.approx([2.512, 6.310, 15.85, 39.81, 100, 251.2, 631, 1585, 3981, 10000], rel=1e-3)


def test_a_channel_stays_if_its_gate_is_above_nine_tenths() -> None:
    border = 2.197224577e-4
    values = torch.tensor([border * 0.999, border * 1.001, 1.0, -1.0])
    assert Dnal().keeps(task(), values, {"delta": 1e4}).tolist() == [False, True, True, False]


def test_the_penalty_has_no_delta_unless_asked_for() -> None:
    gates = Gates({"one": torch.nn.Parameter(torch.tensor([0.1, -0.2]))}, {"delta": 100.0})
    plain = Dnal().penalty(task(lambda_a=0.5), gates)
    scaled = Dnal().penalty(task(lambda_a=0.5, delta_in_penalty=True), gates)
    assert plain.item() == pytest.approx(0.5 * (torch.sigmoid(torch.tensor([0.1, -0.2]))).sum().item())
    assert scaled.item() == pytest.approx(0.5 * (torch.sigmoid(torch.tensor([10.0, -20.0]))).sum().item())


def test_lambda_is_unscaled_under_the_papers_own_protocol() -> None:
    assert Dnal.strength_factor(DnalParams(), 782, 20) == pytest.approx(1.0)


def test_a_shorter_search_pushes_as_far() -> None:
    factor = Dnal.strength_factor(DnalParams(), 157, 5)
    here = 5 * effective_steps(157, 0.9, True)
    assert factor * here == pytest.approx(20 * effective_steps(782, 0.9, True))


def test_momentum_that_starts_at_zero_costs_drift() -> None:
    assert effective_steps(22, 0.9, True) / 22 == pytest.approx(0.63, abs=0.005)
    assert effective_steps(782, 0.9, True) / 782 == pytest.approx(0.988, abs=0.001)
    assert effective_steps(22, 0.9, False) == 22
