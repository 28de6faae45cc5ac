"""What a recipe says of itself."""

from __future__ import annotations

import pytest

from harness.suite.recipe import RECIPES

SHORT = RECIPES["short_digits"]


@pytest.mark.parametrize(
    ("switches", "said"),
    [
        ({}, "float32"),
        ({"precision": "bfloat16"}, "bfloat16"),
        ({"compile": True}, "float32, compiled"),
        ({"cuda_graphs": True, "deterministic": True}, "float32, CUDA graphs, deterministic"),
    ],
)
def test_what_weights_are_trained_in_is_said_with_all_that_is_switched_on(
    switches: dict[str, object], said: str
) -> None:
    assert SHORT.model_copy(update=switches).arithmetic == said


def test_switches_that_are_off_are_not_written_down() -> None:
    assert not {"compile", "cuda_graphs", "deterministic"} & SHORT.model_dump().keys()
    assert SHORT.model_copy(update={"compile": True}).model_dump()["compile"] is True
