"""How images are cut into batches."""

from __future__ import annotations


def batch_bounds(images: int, batch: int) -> list[tuple[int, int]]:
    """Where each batch of a pass starts and ends.

    The last batch may be smaller. If it would be a single image, it is joined to the one before, because batch norm
    cannot train on one image.

    Args:
        images: in a pass, at least 0.
        batch: images a batch, at least 1.
    """
    starts = list(range(0, images, batch))
    if batch > 1 and len(starts) > 1 and images - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], images], strict=True)) if starts else []


def steps_per_epoch(images: int, batch: int) -> int:
    """The number of batches in a pass."""
    return len(batch_bounds(images, batch))
