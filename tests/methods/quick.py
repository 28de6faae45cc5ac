"""Parameters with which a method is tried out in a test: few trials, few iterations."""

from __future__ import annotations

from harness.registry import method

QUICK = {"trials": 4, "iterations": 2}


def quick(name: str) -> dict[str, int]:
    """Those of `QUICK` that the method has."""
    fields = method(name).Params.model_fields
    return {field: value for field, value in QUICK.items() if field in fields}
