"""Sparse Structure Selection: the accelerated proximal step, and what the search leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.channels.surgery import cut
from harness.method import Gates, Scores, Task
from methods._gate_search import GateGradients
from methods.sss import Sss, accelerated_proximal_step
from tests.methods.gate_tasks import EPOCHS, STEPS, gates_in, task

SIZE = 5


def vector(low: float = -2, high: float = 2) -> st.SearchStrategy[Tensor]:
    return st.lists(st.floats(low, high), min_size=SIZE, max_size=SIZE).map(
        lambda values: torch.tensor(values, dtype=torch.float64)
    )


def soft(values: Tensor, by: float) -> Tensor:
    return values.sign() * (values.abs() - by).clamp(min=0)


rates, strengths, momenta = st.floats(0.001, 1), st.floats(0, 2), st.floats(0, 0.99)


@settings(deadline=None, max_examples=50)
@given(factors=vector(0), velocity=vector(), gradient=vector(), rate=rates, gamma=strengths)
def test_without_momentum_a_step_is_that_of_ista(
    factors: Tensor, velocity: Tensor, gradient: Tensor, rate: float, gamma: float
) -> None:
    expected = soft(factors - rate * gradient, rate * gamma).clamp(min=0)
    accelerated_proximal_step(factors, velocity, gradient, rate, gamma, momentum=0.0)
    assert torch.allclose(factors, expected, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(gradients=st.lists(vector(), min_size=1, max_size=6), rate=rates, momentum=st.floats(0.01, 0.99))
def test_without_a_penalty_steps_are_nesterovs_as_long_as_no_factor_reaches_zero(
    gradients: list[Tensor], rate: float, momentum: float
) -> None:
    factors = torch.full((SIZE,), 1e6, dtype=torch.float64)  # out of reach of zero
    velocity = torch.zeros_like(factors)
    other = torch.nn.Parameter(factors.clone())
    optimiser = torch.optim.SGD([other], lr=rate, momentum=momentum, nesterov=True)
    for gradient in gradients:
        accelerated_proximal_step(factors, velocity, gradient, rate, 0.0, momentum)
        other.grad = gradient.clone()
        optimiser.step()
    assert torch.allclose(factors - 1e6, other.detach() - 1e6, rtol=0, atol=1e-7)


@settings(deadline=None, max_examples=50)
@given(factors=vector(0), velocity=vector(), gradient=vector(), rate=rates, gamma=strengths, momentum=momenta)
def test_a_factor_is_never_negative(
    factors: Tensor, velocity: Tensor, gradient: Tensor, rate: float, gamma: float, momentum: float
) -> None:
    accelerated_proximal_step(factors, velocity, gradient, rate, gamma, momentum)
    assert bool((factors >= 0).all())


@settings(deadline=None, max_examples=50)
@given(share=vector(-1, 1), rate=rates, gamma=strengths, momentum=momenta)
def test_a_factor_at_rest_at_zero_stays_while_the_gradient_is_no_larger_than_the_penalty(
    share: Tensor, rate: float, gamma: float, momentum: float
) -> None:
    factors, velocity = torch.zeros(SIZE, dtype=torch.float64), torch.zeros(SIZE, dtype=torch.float64)
    accelerated_proximal_step(factors, velocity, 0.999 * gamma * share, rate, gamma, momentum)
    assert torch.equal(factors, torch.zeros_like(factors))
    assert torch.equal(velocity, torch.zeros_like(velocity))


def test_steps_lead_to_the_minimum_of_a_quadratic_with_the_penalty() -> None:
    best = torch.tensor([2.0, 0.8, 0.3, -1.0], dtype=torch.float64)  # without the penalty
    factors, velocity = torch.ones(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    for _ in range(400):
        accelerated_proximal_step(factors, velocity, factors - best, 0.1, 0.5, 0.9)
    assert torch.allclose(factors, torch.tensor([1.5, 0.3, 0.0, 0.0], dtype=torch.float64), atol=1e-9)
    assert factors[2:].tolist() == [0.0, 0.0]


def test_the_optimiser_of_the_weights_sees_no_gate() -> None:
    gate = torch.nn.Parameter(torch.ones(3))
    gradients = GateGradients(Gates({"one": gate}))
    gate.grad = torch.full((3,), 0.5)
    gradients.take()
    torch.optim.SGD([gate], lr=1.0, momentum=0.9, weight_decay=0.1).step()
    assert torch.equal(gate.detach(), torch.ones(3))
    assert gradients.of["one"].tolist() == [0.5] * 3
    gradients.take()
    assert gradients.of == {}, "a gradient of an earlier step is not used again"


class Watched(Sss):
    """Remembers what the network with its gates computes after the search."""

    def scores(self, task: Task, gates: Gates) -> Scores:
        task.network.eval()
        self.images = next(iter(task.training_batches(1)))[0]
        with torch.no_grad():
            self.logits = task.network(self.images)
        self.factors = {name: values.detach().clone() for name, values in gates.values.items()}
        return super().scores(task, gates)


def test_the_cut_network_computes_what_the_network_with_gates_did(tmp_path: Path) -> None:
    given_task, method = task("sss", tmp_path, gamma=0.45), Watched()
    decided = method.compress(given_task)
    closed = sum(int((factors == 0).sum()) for factors in method.factors.values())
    total = sum(len(factors) for factors in method.factors.values())
    assert 0 < closed < total
    assert decided.notes == (), "no layer may be rescued for this comparison"
    assert all(decided.kept[name] == tuple(torch.nonzero(f).flatten().tolist()) for name, f in method.factors.items())
    narrow = cut(given_task.network, given_task.graph, decided.kept).eval()
    with torch.no_grad():
        difference = (narrow(method.images) - method.logits).abs().max()
    assert difference <= 1e-5 * method.logits.abs().max()


def test_the_search_leaves_no_gates_behind(tmp_path: Path) -> None:
    given_task = task("sss", tmp_path)
    names = list(given_task.network.state_dict())
    Sss().compress(given_task)
    assert gates_in(given_task.network) == []
    assert list(given_task.network.state_dict()) == names


def test_a_stronger_penalty_closes_more_gates(tmp_path: Path) -> None:
    def left(gamma: float) -> int:
        decided = Sss().compress(task("sss", tmp_path / str(gamma), gamma=gamma))
        return sum(len(kept) for kept in decided.kept.values())

    whole = sum(group.size for group in task("sss", tmp_path).groups)
    assert left(0.0) == whole
    assert whole > left(0.45) > left(5.0)


def test_what_is_trained_is_billed_with_its_weights(tmp_path: Path) -> None:
    given_task = task("sss", tmp_path)
    Sss().compress(given_task)
    assert given_task.billed.epochs == EPOCHS
    assert given_task.training_macs == EPOCHS * 128 * 3 * given_task.model.dense_macs
    assert given_task.steps_per_epoch == STEPS


@pytest.mark.parametrize(("milestones", "expected"), [((), [1, 1, 1, 1]), ((0.5, 0.75), [1, 1, 0.1, 0.01])])
def test_the_learning_rate_falls_at_fractions_of_the_search(
    milestones: tuple[float, ...], expected: list[float]
) -> None:
    params = Sss.Params(milestones=milestones, learning_rate=1.0)
    assert Sss.learning_rates(params, 4) == pytest.approx(expected)
