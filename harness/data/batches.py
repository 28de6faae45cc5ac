"""How images are cut into batches, batches into micro-batches, and these shared out among processes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """What of each batch a process takes.

    Attributes:
        parts: micro-batches that each batch is cut into; their sizes differ by one image at most.
        rank: of this process, from 0.
        ranks: processes that share the micro-batches, a divisor of `parts`. Each takes every so-many-th of a batch:
            `rank`, `rank + ranks`, …
    """

    parts: int = 1
    rank: int = 0
    ranks: int = 1

    @property
    def own(self) -> int:
        """Micro-batches of a batch that this process takes."""
        return self.parts // self.ranks


WHOLE = Share()
"""All of each batch, in one piece."""


def batch_bounds(images: int, batch: int, parts: int = 1) -> list[tuple[int, int]]:
    """Where each batch of a pass starts and ends.

    The last batch may be smaller. If it would have fewer than two images a micro-batch, it is joined to the one
    before, because batch norm cannot train on one image.

    Args:
        images: in a pass, at least 0.
        batch: images a batch, at least 1.
        parts: micro-batches that each batch is cut into.
    """
    starts = list(range(0, images, batch))
    if batch > 1 and len(starts) > 1 and images - starts[-1] < 2 * parts:
        starts.pop()
    return list(zip(starts, [*starts[1:], images], strict=True)) if starts else []


def shared_bounds(images: int, batch: int, share: Share) -> list[tuple[int, int]]:
    """Where each micro-batch of a pass starts and ends that one process takes: `share.own` of each batch.

    Raises:
        ValueError: the whole pass has fewer than two images a micro-batch.
    """
    if share.parts > 1 and images < 2 * share.parts:
        raise ValueError(f"{images} images are too few for {share.parts} micro-batches of two")
    found = []
    for start, end in batch_bounds(images, batch, share.parts):
        edges = [start + part * (end - start) // share.parts for part in range(share.parts + 1)]
        found += [(edges[part], edges[part + 1]) for part in range(share.rank, share.parts, share.ranks)]
    return found


def steps_per_epoch(images: int, batch: int, parts: int = 1) -> int:
    """The number of batches in a pass."""
    return len(batch_bounds(images, batch, parts))
