"""The same share of every layer, trained from scratch: the control that every search must beat."""

from __future__ import annotations

from harness.method import BuildMethod, Task


class Uniform(BuildMethod):
    """A width multiplier that meets the budget; new weights, the baseline's schedule stretched to the same total."""

    name = "uniform"
    title = "Uniform width"
    title_with_widths = "From scratch"

    def widths(self, task: Task) -> dict[str, int]:
        """{group: the multiplier's share of its channels}."""
        import torch

        kept = task.allocate({group.name: torch.zeros(group.size) for group in task.groups})
        return {group: len(channels) for group, channels in kept.items()}
