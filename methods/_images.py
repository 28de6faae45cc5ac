"""Training images for scores that look at data, and what looking costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.channels.graph import ChannelGraph
    from harness.method import Task

CHUNK = 32
"""Images of one forward pass: the maps of all layers of so many are held at a time."""


def dense_macs(graph: ChannelGraph) -> int:
    """Multiply-adds of convolutions and linear layers of the whole network for one image."""
    return sum(
        layer.positions * layer.area * layer.out_channels * layer.in_channels // layer.groups for layer in graph.layers
    )


def images_of(task: Task, count: int) -> Iterator[Tensor]:
    """The first `count` augmented training images (fewer, if one pass has fewer), billed as forward passes.

    Yields:
        [at most CHUNK, channels, height, width] on the task's device.
    """
    import torch

    left = count
    for images, _ in task.training_batches():
        taken = images[:left]
        left -= len(taken)
        task.bill(dense_macs(task.graph) * len(taken))
        yield from torch.split(taken.to(task.device), CHUNK)
        if not left:
            return


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Batch norm and dropout as in use; afterwards every module is in the mode that it was in."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
