"""Channels that the others of their layer can replace go first (Sui et al., CHIP, NeurIPS 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.method import Paper, Params, ScoreMethod, Scores, Task
from methods._images import images_of
from methods._maps import mean_over_images

if TYPE_CHECKING:
    from torch import Tensor

_NUMBERS = 2**22
"""Of the matrices that are decomposed at once."""


class ChipParams(Params):
    """Parameters of `chip`."""

    images: Annotated[int, Field(ge=1, le=1_000_000)] = 640
    """Training images that independence is averaged over (five batches of 128 in the paper's code)."""


class Chip(ScoreMethod):
    """The importance of a channel is its independence: the nuclear norm that a layer's maps lose without it."""

    name = "chip"
    title = "CHIP"
    Params = ChipParams
    paper = Paper(
        "Sui, Yin, Xie, Phan, Zonouz, Yuan",
        "CHIP: CHannel Independence-based Pruning for Compact Neural Networks",
        "NeurIPS",
        2021,
    )

    def score(self, task: Task) -> Scores:
        """{group: mean independence}, from 0 up."""
        return mean_over_images(task.network, task.groups, images_of(task, task.params.images), independence)


def independence(maps: Tensor) -> Tensor:
    """For each channel c of each image ‖A‖∗ - ‖A with row c zeroed‖∗, where A holds a channel's map in each row.

    Singular values come from the smaller Gram matrix in float64, from which a row goes as a rank-one difference: exact
    to about 1e-8 of the largest.

    Args:
        maps: [images, channels, height, width].

    Returns:
        [images, channels], float64.
    """
    import torch

    rows = maps.double().flatten(2)
    images, channels, pixels = rows.shape
    found = rows.new_empty(images, channels)
    at_once = max(1, _NUMBERS // min(channels, pixels) ** 2)
    for image in range(images):
        matrix = rows[image]
        gram = matrix.T @ matrix if pixels <= channels else matrix @ matrix.T
        whole = _nuclear_norm(gram)
        for start in range(0, channels, at_once):
            some = torch.arange(start, min(start + at_once, channels), device=rows.device)
            if pixels <= channels:
                without = gram - matrix[some, :, None] * matrix[some, None, :]
            else:
                without = gram.repeat(len(some), 1, 1)
                place = torch.arange(len(some), device=rows.device)
                without[place, some, :] = 0.0
                without[place, :, some] = 0.0
            found[image, some] = whole - _nuclear_norm(without)
    return found


def _nuclear_norm(gram: Tensor) -> Tensor:
    """The sum of singular values of M, given MᵀM or MMᵀ [..., n, n]."""
    import torch

    squares: Tensor = torch.linalg.eigvalsh(gram)
    return squares.clamp(min=0).sqrt().sum(dim=-1)
