"""Filters with small weights go first (Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017)."""

from __future__ import annotations

from harness.method import Paper, ScoreMethod, Scores, Task


class L1Norm(ScoreMethod):
    """The importance of a channel is the sum of absolute weights of the filters that write it."""

    name = "l1_norm"
    title = "L1-norm"
    paper = Paper("Li, Kadav, Durdanovic, Samet, Graf", "Pruning Filters for Efficient ConvNets", "ICLR", 2017)

    def score(self, task: Task) -> Scores:
        """{group: sum of |weight| over each channel's filters}."""
        import torch

        weights = task.network.state_dict()
        scores = {}
        for group in task.groups:
            filters = [weights[f"{layer}.weight"].abs().flatten(1).sum(dim=1) for layer in group.producers]
            scores[group.name] = torch.stack(filters).sum(dim=0).cpu()
        return scores
