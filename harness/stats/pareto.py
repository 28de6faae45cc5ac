"""Which of several networks no other one beats."""

from __future__ import annotations

from collections.abc import Sequence


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of the points that no other point dominates, by rising cost.

    A point is dominated if another one costs no more and is at least as good, and better in one of the two. Of equal
    points the first stays.

    Args:
        points: (cost, quality): less cost is better, more quality is better.
    """
    best = float("-inf")
    chosen = []
    for position in sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1], index)):
        if points[position][1] > best:
            best = points[position][1]
            chosen.append(position)
    return chosen
