"""Accuracy on the test split: the only place that reads it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.data.interface import Loader, scoring_batch


@dataclass(frozen=True)
class TestAccuracy:
    """What one pass over the test split gives.

    Attributes:
        top1: share of images classified right, 0..1.
        top5: share of images whose class is among the five likeliest, 0..1.
        hits: one bit an image in the split's order, packed eight to a byte (uint8): 1 where top-1 is right.
    """

    top1: float
    top5: float
    hits: Tensor


def measure_accuracy(network: nn.Module, loader: Loader, batch: int | None = None) -> TestAccuracy:
    """Scores the network in evaluation mode.

    Args:
        batch: images of a forward pass; None is 250, or fewer where images are so large that those would not fit.
    """
    batch = min(250, scoring_batch(loader)) if batch is None else batch
    network.eval()
    first, fifth = [], []
    with torch.inference_mode():
        for images, labels in loader.plain(batch):
            ranked = _ranked(network(images))
            right = ranked == labels[:, None]
            first.append(right[:, 0])
            fifth.append(right.any(dim=1))
    top1, top5 = torch.cat(first).cpu(), torch.cat(fifth).cpu()
    return TestAccuracy(int(top1.sum()) / len(top1), int(top5.sum()) / len(top5), pack_bits(top1))


def pack_bits(bits: Tensor) -> Tensor:
    """Booleans [N] as bytes [ceil(N / 8)], first image in the highest bit."""
    padded = torch.zeros(-(-len(bits) // 8) * 8, dtype=torch.uint8)
    padded[: len(bits)] = bits.to(torch.uint8)
    weights = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8)
    return (padded.view(-1, 8) * weights).sum(dim=1).to(torch.uint8)


def unpack_bits(packed: Tensor, count: int) -> Tensor:
    """The first `count` booleans of `pack_bits`."""
    shifts = torch.arange(7, -1, -1, dtype=torch.uint8)
    return ((packed[:, None] >> shifts) & 1).flatten()[:count].bool()


def _ranked(logits: Tensor) -> Tensor:
    """The five likeliest classes of each image, likeliest first."""
    return logits.topk(min(5, logits.shape[1]), dim=1).indices
