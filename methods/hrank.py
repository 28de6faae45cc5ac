"""Channels whose feature maps have low rank go first (Lin et al., HRank, CVPR 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from harness.method import Paper, Params, ScoreMethod, Scores, Task
from methods._images import images_of
from methods._maps import mean_over_images

if TYPE_CHECKING:
    from torch import Tensor


class HRankParams(Params):
    """Parameters of `hrank`."""

    images: Annotated[int, Field(ge=1, le=1_000_000)] = 640
    """Training images that ranks are averaged over (five batches of 128 in the paper's code)."""
    ties: Literal["index", "l1"] = "index"
    """Which of equal ranks goes first: the higher index, or the smaller filter."""


class HRank(ScoreMethod):
    """The importance of a channel is the mean rank of its feature map behind the activation.

    All layers are ranked in one pass over the images of the dense network. The paper prunes and fine-tunes layer by
    layer; its successor HRankPlus, like this, once. A residual stream is ranked where each block writes it, and has
    the mean; HRankPlus ranks every block's output apart and so keeps channels that do not line up.
    """

    name = "hrank"
    title = "HRank"
    Params = HRankParams
    paper = Paper(
        "Lin, Ji, Wang, Zhang, Zhang, Tian, Shao", "HRank: Filter Pruning using High-Rank Feature Map", "CVPR", 2020
    )

    def score(self, task: Task) -> Scores:
        """{group: mean rank}, from 0 to the smaller side of the maps."""
        params = task.params
        ranks = mean_over_images(task.network, task.groups, images_of(task, params.images), ranks_of)
        if params.ties == "l1":
            return {group.name: _ordered(ranks[group.name], _l1(task, group.producers)) for group in task.groups}
        return ranks


def ranks_of(maps: Tensor) -> Tensor:
    """Numerical ranks of matrices [..., height, width]: singular values above largest · max(height, width) · ε."""
    import torch

    ranks: Tensor = torch.linalg.matrix_rank(maps)
    return ranks


def _ordered(ranks: Tensor, sizes: Tensor) -> Tensor:
    """The ranks, of which equal ones are told apart by sizes: less than the smallest difference between ranks."""
    import torch

    levels, places = torch.unique(ranks, return_inverse=True)
    step = float(levels.diff().min()) if len(levels) > 1 else 1.0
    largest = float(sizes.max())
    ordered: Tensor = levels[places] + (sizes / largest * step / 2 if largest > 0 else 0.0)
    return ordered


def _l1(task: Task, producers: tuple[str, ...]) -> Tensor:
    import torch

    weights = task.network.state_dict()
    rows = [weights[f"{layer}.weight"].detach().double().abs().flatten(1).sum(dim=1).cpu() for layer in producers]
    return torch.stack(rows).sum(dim=0)
