"""Parameters with which a method is tried out in a test: few images to look at, few trials, few iterations."""

from __future__ import annotations

from typing import Any

from harness.registry import method

QUICK = {"images": 64, "batches": 4, "trials": 4, "iterations": 2}
"""By the name of the parameter: what holds for every method does not depend on how many there are."""


def quick(name: str, **params: Any) -> dict[str, Any]:
    """A method's parameters: those of `QUICK` that it has, and the given ones."""
    fields = method(name).Params.model_fields
    return {**{field: value for field, value in QUICK.items() if field in fields}, **params}
