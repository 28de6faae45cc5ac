"""Two networks on the same test images: McNemar's test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hits = NDArray[np.bool_]


@dataclass(frozen=True)
class McNemar:
    """How two networks differ on the same images.

    Attributes:
        only_a: images that only the first network classifies right.
        only_b: images that only the second one does.
        p: two-sided and exact, of "both err equally often", given how many images they differ on.
    """

    only_a: int
    only_b: int
    p: float


def unpacked(stored: bytes) -> dict[str, Hits]:
    """One bool an image for each tensor of a safetensors file (one bit an image, first in the highest bit).

    Up to seven images are made up at the end, classified wrong, where the number of images is no multiple of eight.

    Raises:
        ValueError: the content is no safetensors file.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return {name: np.unpackbits(bits).astype(bool) for name, bits in load(stored).items()}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a file of hits: {error}") from None


def packed_hits(hits: Hits) -> NDArray[np.uint8]:
    """One bit an image, as `unpacked` reads it."""
    import numpy as np

    return np.packbits(hits)


def mcnemar(a: Hits, b: Hits) -> McNemar:
    """The exact test of two *networks* on one test split (McNemar, Psychometrika 12, 1947).

    It says nothing of two methods: another seed gives other networks.

    Args:
        a: [images] whether the first network is right.
        b: [images] whether the second one is.

    Raises:
        ValueError: the networks saw different numbers of images.
    """
    if a.shape != b.shape:
        raise ValueError(f"hits of {a.size} and of {b.size} images cannot be compared")
    from statsmodels.stats.contingency_tables import mcnemar as tested

    both, only_a, only_b = int((a & b).sum()), int((a & ~b).sum()), int((b & ~a).sum())
    neither = int(a.size) - both - only_a - only_b
    if only_a + only_b == 0:
        return McNemar(0, 0, 1.0)
    return McNemar(only_a, only_b, float(tested([[both, only_a], [only_b, neither]], exact=True).pvalue))
