"""Learning rates by epoch, and by step."""

from __future__ import annotations

import math
from typing import Any

from harness.suite.recipe import Recipe


def learning_rates(recipe: Recipe, length: int) -> list[float]:
    """The learning rate of each epoch of a schedule of `length` epochs.

    A step schedule changes at its milestones, fractions of the length, or one epoch later; the cosine falls to zero
    at the end.
    """
    if recipe.schedule == "constant":
        return [recipe.lr] * length
    if recipe.schedule == "cosine":
        return [0.5 * recipe.lr * (1 + math.cos(math.pi * epoch / length)) for epoch in range(length)]
    borders = [milestone * length for milestone in recipe.milestones]
    late = 1 if recipe.late_milestones else 0
    return [recipe.lr * recipe.gamma ** sum(epoch - late >= border for border in borders) for epoch in range(length)]


def rates(recipe: Recipe, length: int, start: int, end: int) -> list[float] | dict[str, Any]:
    """The learning rates of the epochs `start` to `end` of a schedule of `length` epochs, as a stage states them.

    Returns:
        One rate an epoch, or for a cosine that falls at every step `{"cosine": {"base", "horizon", "start"},
        "epochs"}`: base / 2 · (1 + cos(π · (start + t) / horizon)) after t epochs, `harness.train.rates.Cosine`.
    """
    end = min(end, length)
    if recipe.schedule == "cosine" and recipe.per_iteration and end > start:
        return {"cosine": {"base": recipe.lr, "horizon": length, "start": start}, "epochs": end - start}
    return learning_rates(recipe, length)[start:end]
