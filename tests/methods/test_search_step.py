"""What a step of DNAL's search computes, and what it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from harness.registry import method
from tests.methods.gate_tasks import EPOCHS, STEPS, task

CONVOLUTIONS, NORMS = 6, 7
"""Of the network; one batch norm follows a linear layer."""


class Heard(TorchDispatchMode):
    """Keeps the operators that are called, with their arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls.append((func.overloadpacket.__name__, args))
        return func(*args, **(kwargs or {}))

    def called(self, *names: str) -> list[tuple[Any, ...]]:
        return [args for name, args in self.calls if name in names]


def search(batch: int, there: Path) -> Heard:
    """All operators of a search with so many images a step."""
    searching = task("dnal", there, batch=batch)
    kinds = (nn.Conv2d, nn.modules.batchnorm._BatchNorm)
    counts = [sum(isinstance(module, kind) for module in searching.network.modules()) for kind in kinds]
    assert counts == [CONVOLUTIONS, NORMS]
    with Heard() as heard:
        method("dnal")().compress(searching)
    return heard


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    return search(64, tmp_path_factory.mktemp("search"))


def test_no_convolution_has_its_weights_gradient_computed_nor_the_first_one_its_images(heard: Heard) -> None:
    asked_for = [tuple(args[-1]) for args in heard.called("convolution_backward")]
    assert asked_for == [(True, False, False)] * ((CONVOLUTIONS - 1) * EPOCHS * STEPS)


def test_the_first_batch_norm_has_no_gradient_of_its_input_computed(heard: Heard) -> None:
    masks = [tuple(args[-1]) for args in heard.called("native_batch_norm_backward")]
    of_a_step = [(True, True, True)] * (NORMS - 1) + [(False, True, True)]
    assert masks == of_a_step * (EPOCHS * STEPS)


def test_no_gate_multiplies_activations(heard: Heard) -> None:
    products = heard.called("mul", "mul_")
    assert products
    assert not [args for args in products if any(isinstance(each, torch.Tensor) and each.dim() > 2 for each in args)]


def test_the_penalty_of_all_groups_is_one_operation(heard: Heard) -> None:
    gates = sum(values.numel() for values in _gates_of_the_search(heard))
    whole = [args for args in heard.called("sigmoid") if args[0].numel() == gates]
    assert len(whole) >= EPOCHS * STEPS


def _gates_of_the_search(heard: Heard) -> list[torch.Tensor]:
    """What the penalty joins: the longest list that is ever concatenated along one dimension."""
    joined = [args[0] for args in heard.called("cat") if all(each.dim() == 1 for each in args[0])]
    return list(max(joined, key=len))


def test_no_step_waits_for_a_number_from_the_device(heard: Heard, tmp_path: Path) -> None:
    shorter_steps = search(32, tmp_path)
    waited = [len(each.called("_local_scalar_dense")) for each in (heard, shorter_steps)]
    stepped = [len(each.called("_fused_sgd_")) for each in (heard, shorter_steps)]
    assert stepped == [EPOCHS * STEPS, 2 * EPOCHS * STEPS]
    assert waited[0] == waited[1] > 0
