"""Filters near the geometric median of their layer go first (He et al., FPGM, CVPR 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.method import Paper, ScoreMethod, Scores, Task

if TYPE_CHECKING:
    from torch import Tensor


class Fpgm(ScoreMethod):
    """The importance of a channel is the sum of distances of its filters to the others of their layer.

    Where several layers write a channel, their sums are added. The paper prunes softly, an epoch at a time; this
    scores the dense network once.
    """

    name = "fpgm"
    title = "FPGM"
    paper = Paper(
        "He, Liu, Wang, Hu, Yang",
        "Filter Pruning via Geometric Median for Deep Convolutional Neural Networks Acceleration",
        "CVPR",
        2019,
    )

    def score(self, task: Task) -> Scores:
        """{group: sum of Euclidean distances}."""
        import torch

        weights = task.network.state_dict()
        scores = {}
        for group in task.groups:
            filters = [weights[f"{layer}.weight"].reshape(group.size, -1) for layer in group.producers]
            scores[group.name] = torch.stack([distances(each) for each in filters]).sum(dim=0).cpu()
        return scores


def distances(filters: Tensor) -> Tensor:
    """The sum of Euclidean distances of each filter [filters, weights] to all of them, in float64: [filters].

    By matrix products, since a hidden layer of VGG16 has 4,096 filters of 25,088 weights: each distance is exact to
    about 1e-8 of a filter's length.
    """
    import torch

    points = filters.double()
    return torch.cdist(points, points, compute_mode="use_mm_for_euclid_dist").sum(dim=1)
