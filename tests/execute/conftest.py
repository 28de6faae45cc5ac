from __future__ import annotations

import pytest

from harness import registry
from harness.execute import job
from tests.execute.small import fake_stage, with_made_up_methods


@pytest.fixture
def made_up_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """The methods of `tests.execute.small` are registered beside the shipped ones."""
    found = with_made_up_methods()
    monkeypatch.setattr(registry, "_found", lambda: found)


@pytest.fixture
def fake_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages do not train: they only say that they did."""
    monkeypatch.setattr(job, "run_stage", fake_stage)
