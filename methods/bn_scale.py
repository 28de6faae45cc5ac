"""Channels that batch norm scales down go first (Liu et al., Network Slimming, ICCV 2017, without its sparse training)."""

from __future__ import annotations

from harness.errors import StageFailure
from harness.method import Paper, ScoreMethod, Scores, Task


class BnScale(ScoreMethod):
    """The importance of a channel is |γ| of the last batch norm before its readers; the mean, if there are several."""

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
            norms = {norm.layer for norm in group.norms}
            scales = [
                weights[f"{part.layer}.weight"][part.start : part.start + group.size * part.repeat]
                .abs()
                .view(group.size, part.repeat)
                .mean(dim=1)
                for part in group.gate_points
                if part.layer in norms and f"{part.layer}.weight" in weights
            ]
            if not scales:
                raise StageFailure("invalid network", f"no batch norm scales the channels of group {group.name!r}")
            scores[group.name] = torch.stack(scales).mean(dim=0).cpu()
        return scores
