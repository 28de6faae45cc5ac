"""Channels chosen by lot: the control that every importance must beat."""

from __future__ import annotations

from harness.method import ScoreMethod, Scores, Task


class Random(ScoreMethod):
    """The importance of a channel is a uniform random number of the cell's own seed."""

    name = "random"
    title = "Random"

    def score(self, task: Task) -> Scores:
        """{group: uniform numbers in 0..1}."""
        import torch

        return {group.name: torch.rand(group.size, generator=task.generator) for group in task.groups}
