"""Widths in given proportions whose cost is nearest to a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.errors import StageFailure

Cost = Callable[[Mapping[str, int]], int]
"""{group: width} → count, which grows with every width; absent groups are whole."""


def projected(
    sizes: Mapping[str, int], ratios: Mapping[str, float], cost: Cost, target: int, multiple: int = 1
) -> dict[str, int]:
    """The widths on the ray of these ratios whose cost is nearest to the target.

    All ratios are multiplied by one factor; a group whose share would be above 1 stays whole.

    Args:
        sizes: {group: all its channels}.
        ratios: {group: above 0}, of every group; only their proportions count.
        target: the count to meet; the whole network is given for a target that is not below its cost.
        multiple: widths are multiples of it, or whole.

    Returns:
        {group: width}, each within one step of its share.

    Raises:
        StageFailure: "out of reach" if the smallest widths cost more than the target.
    """
    if cost(sizes) <= target:
        return dict(sizes)
    refuse_below(cost, {name: rounded_down(0, size, multiple) for name, size in sizes.items()}, target)

    def wanted(factor: float) -> dict[str, float]:
        return {name: factor * ratios[name] * size for name, size in sizes.items()}

    return scaled_widths(sizes, wanted, cost, target, largest=1.0 / min(ratios.values()), multiple=multiple)


def scaled_widths(
    sizes: Mapping[str, int],
    wanted: Callable[[float], Mapping[str, float]],
    cost: Cost,
    target: int,
    *,
    largest: float = 1.0,
    multiple: int = 1,
) -> dict[str, int]:
    """Widths to within one step of what some scale asks for, whose cost is nearest to the target.

    The scale is the largest at which all widths rounded down meet the target. What is left of the budget goes, a step
    a group, to the groups that rounding cost most, and one more step is taken if that lands nearer.

    Args:
        sizes: {group: all its channels}.
        wanted: {group: width, not rounded} at a scale from 0, where the target is met, to `largest`, where it is not;
            grows with the scale.
        multiple: widths are multiples of it, or whole.

    Returns:
        {group: width}, each from one step to the group's size.
    """

    def at(scale: float) -> dict[str, int]:
        # The small addend keeps a ratio of exactly k / size from falling to k - 1 in floating point.
        return {name: rounded_down(int(width + 1e-9), sizes[name], multiple) for name, width in wanted(scale).items()}

    low, high = 0.0, largest
    while high - low > 1e-12 * max(1.0, high):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(at(middle)) <= target else (low, middle)
    floors = widths = at(low)
    lost = {name: width - widths[name] for name, width in wanted(high).items()}
    # Only a group below the scale is raised, so that no group strays from it by more than one step.
    order = sorted(
        (name for name, size in sizes.items() if lost[name] > 1e-9 and widths[name] < size),
        key=lambda name: -lost[name],
    )
    for name in order:
        raised = widths | {name: rounded_up(widths[name] + 1, sizes[name], multiple)}
        if cost(raised) <= target:
            widths = raised
    over = [
        widths | {name: rounded_up(widths[name] + 1, sizes[name], multiple)}
        for name in order
        if widths[name] == floors[name]
    ]
    return min([widths, *over], key=lambda candidate: abs(cost(candidate) - target))


def rounded_down(width: int, size: int, multiple: int) -> int:
    """The largest width of a group that is at most `width`; its smallest one if there is none."""
    return size if width >= size else min(size, max(multiple, width // multiple * multiple))


def rounded_up(width: int, size: int, multiple: int) -> int:
    """The smallest width of a group that is at least `width`; all of it if there is none."""
    return min(size, -(-width // multiple) * multiple)


def refuse_below(cost: Cost, smallest: Mapping[str, int], target: int) -> None:
    """Raises StageFailure("out of reach") if even the smallest widths cost more than the target."""
    if (floor := cost(smallest)) > target:
        least = "one channel" if max(smallest.values()) <= 1 else "the fewest channels"
        raise StageFailure(
            "out of reach", f"with {least} in every group that may be cut the cost is {floor:,}; target {target:,}"
        )
