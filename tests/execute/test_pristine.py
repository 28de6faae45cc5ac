"""A stage finds the process as a fresh one would be, whatever ran in it before."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.execute.pristine import pristine, still_answers

KEY = "0123456789abcdef" * 4

LEAKS: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "default dtype": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "default device": (lambda: torch.set_default_device("meta"), lambda: torch.ones(1).device),
    "gradient mode": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "anomaly detection": (lambda: torch.autograd.set_detect_anomaly(True), torch.is_anomaly_enabled),
    "autocast": (lambda: torch.set_autocast_enabled("cpu", True), lambda: torch.is_autocast_enabled("cpu")),
    "threads": (lambda: torch.set_num_threads(torch.get_num_threads() + 1), torch.get_num_threads),
    "deterministic algorithms": (
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
        torch.are_deterministic_algorithms_enabled,
    ),
    "matrix precision": (
        lambda: torch.set_float32_matmul_precision("medium"),
        torch.get_float32_matmul_precision,
    ),
    "cudnn.benchmark": (
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
        lambda: torch.backends.cudnn.benchmark,
    ),
    "cudnn.deterministic": (
        lambda: setattr(torch.backends.cudnn, "deterministic", True),
        lambda: torch.backends.cudnn.deterministic,
    ),
    "mkldnn.enabled": (
        lambda: setattr(torch.backends.mkldnn, "enabled", False),
        lambda: torch.backends.mkldnn.enabled,
    ),
    "current folder": (lambda: os.chdir("/"), Path.cwd),
    "environment": (lambda: os.environ.update(LEFT_BEHIND="1"), lambda: os.environ.get("LEFT_BEHIND")),
    "search path": (lambda: sys.path.insert(0, "/left/behind"), lambda: sys.path[0]),
}


@pytest.mark.parametrize("name", LEAKS)
@pytest.mark.parametrize("raises", [False, True])
def test_a_setting_that_a_stage_changes_is_put_back_and_named(name: str, raises: bool) -> None:
    change, look = LEAKS[name]
    before = look()
    put_back: list[str] = []
    try:
        with pristine(KEY) as put_back:
            change()
            assert look() != before
            if raises:
                raise ValueError
    except ValueError:
        pass
    assert look() == before
    assert name in put_back


def test_a_stage_that_changes_nothing_has_nothing_put_back() -> None:
    with pristine(KEY) as put_back:
        torch.rand(3)
    assert put_back == []


def test_a_variable_that_a_stage_removes_is_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAS_THERE", "1")
    with pristine(KEY):
        del os.environ["WAS_THERE"]
    assert os.environ["WAS_THERE"] == "1"


def test_filters_of_warnings_are_put_back() -> None:
    before = list(warnings.filters)
    with pristine(KEY):
        warnings.simplefilter("ignore")
    assert list(warnings.filters) == before


def draws() -> list[float]:
    return [torch.rand(1).item(), np.random.rand(), random.random()]


def test_global_generators_draw_the_same_whatever_was_drawn_before() -> None:
    with pristine(KEY):
        first = draws()
    draws()
    with pristine(KEY):
        assert draws() == first
    with pristine(KEY[::-1]):
        assert all(one != other for one, other in zip(draws(), first, strict=True))


def test_a_stage_leaves_the_generators_of_its_process_alone() -> None:
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    expected = draws()
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    with pristine(KEY):
        draws()
    assert draws() == expected


def test_the_processor_always_answers() -> None:
    assert still_answers("cpu")
