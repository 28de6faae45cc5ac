"""Learning rates by epoch."""

from __future__ import annotations

import math

from harness.suite.recipe import Recipe


def learning_rates(recipe: Recipe, length: int) -> list[float]:
    """The learning rate of each epoch of a schedule of `length` epochs.

    A step schedule changes at its milestones, fractions of the length; the cosine falls to zero at the end.
    """
    if recipe.schedule == "constant":
        return [recipe.lr] * length
    if recipe.schedule == "cosine":
        return [0.5 * recipe.lr * (1 + math.cos(math.pi * epoch / length)) for epoch in range(length)]
    borders = [milestone * length for milestone in recipe.milestones]
    return [recipe.lr * recipe.gamma ** sum(epoch >= border for border in borders) for epoch in range(length)]
