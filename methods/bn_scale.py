"""Channels that batch norm scales down go first: the criterion of Network Slimming without its sparse training."""

from __future__ import annotations

from harness.errors import StageFailure
from harness.method import Paper, ScoreMethod, Scores, Task


class BnScale(ScoreMethod):
    """The importance of a channel is |γ| of the last batch norm before its readers; the mean, if there are several.

    A channel that is batch-normalised only further back has that batch norm's.
    """

    name = "bn_scale"
    title = "BN scale"
    paper = Paper(
        "Liu, Li, Shen, Huang, Yan, Zhang",
        "Learning Efficient Convolutional Networks through Network Slimming",
        "ICCV",
        2017,
    )

    def score(self, task: Task) -> Scores:
        """{group: mean of |γ|}.

        Raises:
            StageFailure: "invalid network" if a group has no batch norm with a scale.
        """
        import torch

        weights = task.network.state_dict()
        scores = {}
        for group in task.groups:
            last = {part.layer for part in group.gate_points}
            scaling = [part for part in group.norms if f"{part.layer}.weight" in weights]
            scales = [
                weights[f"{part.layer}.weight"][part.start : part.start + group.size * part.repeat]
                .abs()
                .view(group.size, part.repeat)
                .mean(dim=1)
                for part in [part for part in scaling if part.layer in last] or scaling
            ]
            if not scales:
                raise StageFailure("invalid network", f"no batch norm scales the channels of group {group.name!r}")
            scores[group.name] = torch.stack(scales).mean(dim=0).cpu()
        return scores
