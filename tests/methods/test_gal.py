"""GAL: FISTA on the masks, a discriminator and a teacher in place of labels."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from harness.channels.gates import insert_gates
from harness.channels.surgery import cut
from harness.execute.task import HarnessTask
from harness.method import Gates, Scores, Task
from methods.gal import Discriminator, Gal, GalParams, MaskSteps, mask_interval
from tests.methods.gate_tasks import EPOCHS, task

rates, strengths = st.floats(0.001, 1), st.floats(0, 2)


def vector(low: float = -2, high: float = 2) -> st.SearchStrategy[Tensor]:
    return st.lists(st.floats(low, high), min_size=4, max_size=4).map(
        lambda values: torch.tensor(values, dtype=torch.float64)
    )


def soft(values: Tensor, by: float) -> Tensor:
    return values.sign() * (values.abs() - by).clamp(min=0)


@settings(deadline=None, max_examples=40)
@given(mask=vector(0), gradient=vector(), rate=rates, strength=strengths)
def test_the_first_step_of_the_masks_is_that_of_ista(
    mask: Tensor, gradient: Tensor, rate: float, strength: float
) -> None:
    expected = soft(mask - rate * gradient, rate * strength).clamp(min=0)
    MaskSteps({"one": mask}, strength).step({"one": gradient}, rate)
    assert torch.allclose(mask, expected, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(mask=vector(0), gradients=st.lists(vector(), min_size=1, max_size=5), strength=strengths)
def test_a_step_at_a_new_learning_rate_begins_again_without_momentum(
    mask: Tensor, gradients: list[Tensor], strength: float
) -> None:
    steps = MaskSteps({"one": mask}, strength)
    for gradient in gradients:
        steps.step({"one": gradient}, 0.1)
    expected = soft(mask - 0.01 * gradients[0], 0.01 * strength).clamp(min=0)
    steps.step({"one": gradients[0]}, 0.01)
    assert torch.allclose(mask, expected, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(mask=vector(0), gradients=st.lists(vector(), min_size=1, max_size=5), rate=rates, strength=strengths)
def test_steps_at_one_learning_rate_are_those_of_fista(
    mask: Tensor, gradients: list[Tensor], rate: float, strength: float
) -> None:
    m, before, a = mask.clone(), mask.clone(), 1.0
    steps = MaskSteps({"one": mask}, strength)
    for gradient in gradients:
        steps.step({"one": gradient}, rate)
        following = (1 + math.sqrt(1 + 4 * a**2)) / 2
        y = m + (a - 1) / following * (m - before)
        m, before, a = soft(y - rate * gradient, rate * strength).clamp(min=0), m, following
        assert torch.allclose(mask, m, rtol=0, atol=1e-12)
        assert bool((mask >= 0).all())


def test_the_penalty_shrinks_a_mask_once_a_step() -> None:
    mask = torch.ones(3, dtype=torch.float64)
    MaskSteps({"one": mask}, 0.5).step({"one": torch.zeros(3, dtype=torch.float64)}, 0.1)
    assert mask.tolist() == pytest.approx([0.95] * 3)


def test_the_masks_step_every_two_hundredth_step_under_the_papers_protocol() -> None:
    assert mask_interval(GalParams(), 100 * 391) in {200, 201}
    assert mask_interval(GalParams(), 20) == 1
    assert mask_interval(GalParams(interval=7), 100 * 391) == 7


@pytest.fixture
def discriminator() -> Discriminator:
    return Discriminator(10, torch.Generator().manual_seed(3), torch.device("cpu"), GalParams(weight_decay=0.0))


def logits(seed: int) -> Tensor:
    return torch.randn(6, 10, generator=torch.Generator().manual_seed(seed))


def test_the_student_is_told_minus_the_log_of_being_taken_for_the_teacher(discriminator: Discriminator) -> None:
    answers = discriminator.network(logits(0))
    assert torch.allclose(discriminator.fooled(logits(0)), softplus(-answers).mean(), atol=1e-6)


def test_fooling_leaves_no_gradient_on_the_discriminator(discriminator: Discriminator) -> None:
    student = logits(0).requires_grad_(True)
    discriminator.fooled(student).backward()
    assert student.grad is not None
    assert bool(student.grad.abs().sum() > 0)
    assert all(weight.grad is None for weight in discriminator.network.parameters())


def test_the_discriminator_steps_down_its_three_terms(discriminator: Discriminator) -> None:
    other = copy.deepcopy(discriminator.network)
    teacher, student = other(logits(1)), other(logits(2))
    loss = -logsigmoid(teacher).mean() - logsigmoid(-student).mean() - logsigmoid(student).mean()
    gradients = torch.autograd.grad(loss, list(other.parameters()))
    discriminator.step(logits(1), logits(2), 0.1)
    for weight, before, gradient in zip(discriminator.network.parameters(), other.parameters(), gradients, strict=True):
        assert torch.allclose(weight, before - 0.1 * gradient, atol=1e-6)


def test_the_discriminator_learns_who_is_the_teacher(discriminator: Discriminator) -> None:
    for _ in range(200):
        discriminator.step(logits(1) + 2, logits(2) - 2, 0.01)
    taught, learned = discriminator.network(logits(1) + 2), discriminator.network(logits(2) - 2)
    assert bool(taught.min() > learned.max())


def test_the_discriminator_is_drawn_from_the_given_generator_alone() -> None:
    def drawn(seed: int) -> Tensor:
        torch.rand(3)
        made = Discriminator(10, torch.Generator().manual_seed(seed), torch.device("cpu"), GalParams())
        return made.network[0].weight.detach()

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_a_student_with_masks_of_one_computes_what_the_teacher_does(tmp_path: Path) -> None:
    student = task("gal", tmp_path)
    teacher = copy.deepcopy(student.network).eval()
    insert_gates(student.network, student.groups, lambda values: Gal().gate(values, {}), 1.0)
    images = next(iter(student.training_batches(1)))[0]
    assert torch.equal(student.network.eval()(images), teacher(images))


class Watched(Gal):
    """Remembers the masks, and what the network with them computes, after the search."""

    def scores(self, task: Task, gates: Gates) -> Scores:
        task.network.eval()
        self.images = next(iter(task.training_batches(1)))[0]
        with torch.no_grad():
            self.logits = task.network(self.images)
        return super().scores(task, gates)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[HarnessTask, Watched, Any, dict[str, Tensor]]:
    given_task, method = task("gal", tmp_path_factory.mktemp("gal")), Watched()
    before = {name: tensor.clone() for name, tensor in given_task.network.state_dict().items()}
    return given_task, method, method.compress(given_task), before


def test_the_teacher_is_left_as_it_was_statistics_included(searched: Any) -> None:
    _, method, _, before = searched
    after = method.teacher.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_masks_are_at_least_zero_and_those_at_zero_go(searched: Any) -> None:
    _, _, decided, _ = searched
    for name, masks in decided.scores.items():
        assert bool((masks >= 0).all())
        assert decided.kept[name] == tuple(torch.nonzero(masks).flatten().tolist())
    assert any(len(decided.kept[name]) < len(masks) for name, masks in decided.scores.items())


def test_the_cut_network_computes_what_the_network_with_masks_did(searched: Any) -> None:
    given_task, method, decided, _ = searched
    narrow = cut(given_task.network, given_task.graph, decided.kept).eval()
    with torch.no_grad():
        difference = (narrow(method.images) - method.logits).abs().max()
    assert difference <= 1e-5 * method.logits.abs().max()


def test_the_teacher_the_discriminator_and_the_statistics_are_billed(searched: Any) -> None:
    given_task = searched[0]
    dense = given_task.model.dense_macs
    discriminator = Discriminator(10, torch.Generator(), torch.device("cpu"), GalParams()).macs
    assert discriminator == 10 * 128 + 128 * 256 + 256 * 128 + 128
    search = EPOCHS * 128 * (3 * dense + dense + 8 * discriminator)
    assert given_task.training_macs == search + dense + 128 * dense


def test_statistics_are_those_of_the_network_with_its_last_masks(searched: Any) -> None:
    given_task, _, decided, _ = searched
    narrow = cut(given_task.network, given_task.graph, decided.kept)
    norms = [module for module in narrow.modules() if isinstance(module, nn.BatchNorm2d)]
    found = [norm.running_mean.clone() for norm in norms]
    torch.optim.swa_utils.update_bn([images for images, _ in given_task.training_batches()], narrow)
    for before, norm in zip(found, norms, strict=True):
        assert torch.allclose(before, norm.running_mean, rtol=1e-3, atol=1e-4)


def test_labels_are_not_used(tmp_path: Path, searched: Any) -> None:
    given_task = task("gal", tmp_path)
    train: Callable[..., None] = given_task.train

    def without_labels(network: nn.Module, *, loss: Any, **options: Any) -> None:
        train(network, loss=lambda student, images, labels: loss(student, images, torch.zeros_like(labels)), **options)

    given_task.train = without_labels  # type: ignore[method-assign, assignment]
    decided = Gal().compress(given_task)
    assert decided.scores is not None
    assert all(torch.equal(masks, searched[2].scores[name]) for name, masks in decided.scores.items())


def test_masks_may_start_at_one(tmp_path: Path) -> None:
    decided = Gal().compress(task("gal", tmp_path, initial="one", lambda_m=0.0))
    assert decided.scores is not None
    assert all(bool(((masks - 1).abs() < 0.1).all()) for masks in decided.scores.values())
