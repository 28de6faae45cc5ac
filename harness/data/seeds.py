"""Seeds and orders that never change with the version of a library."""

from __future__ import annotations

import hashlib
import json


def derive(seed: int, purpose: str, *coordinates: int | str) -> int:
    """A seed for one purpose, independent of the seeds of all other purposes and coordinates.

    Args:
        seed: the cell's.
        purpose: such as "order" or "init".
        coordinates: such as the epoch.

    Returns:
        An integer in 0..2⁶³-1.
    """
    digest = hashlib.sha256(json.dumps([seed, purpose, *coordinates]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def fixed_permutation(count: int, name: str) -> list[int]:
    """The numbers 0..count-1 in an order that depends on nothing but `count` and `name`."""
    return sorted(range(count), key=lambda index: hashlib.sha256(f"{name} {index}".encode()).digest())
