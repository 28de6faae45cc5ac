"""What a method's decision must hold before a stage is filed; a broken invariant is named with both numbers."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.channels.graph import ChannelGraph, KeptChannels
from harness.channels.surgery import cut, mask
from harness.errors import StageFailure, unknown
from harness.execute.network import fresh_network

FARTHEST_FROM_BUDGET = 0.1
"""Relative miss of a budget above which a decision of the method's own fails; smaller ones are a footnote."""
LARGEST_DISAGREEMENT = 1e-3
"""Of the largest logit, in float32: above it the masked and the cut network are not one network."""


def checked_kept(graph: ChannelGraph, kept: Mapping[str, Sequence[int]]) -> KeptChannels:
    """The kept channels as plain integers.

    Raises:
        StageFailure: "invalid network": a group that is not there, a channel out of range, twice or out of order, a
            group left empty that cannot go.
    """
    found: KeptChannels = {}
    for name, channels in kept.items():
        if name not in graph.groups:
            raise StageFailure("invalid network", unknown("channel group", name, graph.groups))
        size = graph.groups[name].size
        listed = tuple(int(channel) for channel in channels)
        outside = [channel for channel in listed if not 0 <= channel < size]
        if outside:
            raise StageFailure(
                "invalid network", f"group {name!r} keeps channel {outside[0]}, and its channels are 0 to {size - 1}"
            )
        channel, times = Counter(listed).most_common(1)[0] if listed else (0, 0)
        if times > 1:
            raise StageFailure("invalid network", f"group {name!r} keeps channel {channel} {times} times")
        for before, after in itertools.pairwise(listed):
            if before > after:
                raise StageFailure(
                    "invalid network",
                    f"kept channels of group {name!r} must be in ascending order, and {before} stands before {after}",
                )
        if not listed and not graph.may_empty(name):
            raise StageFailure(
                "invalid network", f"group {name!r} keeps 0 of {size} channels; no branch can go with it, so it keeps 1"
            )
        found[name] = listed
    return found


def check_budget(reached: int, target: int | None, metric: str, granted: bool) -> None:
    """Raises StageFailure("crashed") if a method's own decision is far from the budget.

    Args:
        granted: the widths are those that the harness allocated: then it is the network that is too coarse.
    """
    if target is None or granted or abs(reached - target) <= FARTHEST_FROM_BUDGET * target:
        return
    raise StageFailure(
        "crashed",
        f"it misses its budget by {reached / target - 1:+.1%}: {reached:,} {metric}, and {target:,} asked for",
    )


def check_epochs(trained: int, declared: int) -> None:
    """Raises StageFailure("crashed") unless a search trained as long as it declares, so that totals are equal."""
    if trained != declared:
        raise StageFailure(
            "crashed", f"`compress` trained for {trained} epochs, and `search_epochs` declares {declared}"
        )


def check_weights(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
    """Raises StageFailure unless the network that goes on has the tensors that were given, all of them finite."""
    strange = sorted(before.keys() ^ after.keys())
    if strange:
        which = "has none" if strange[0] in before else "has one more"
        raise StageFailure(
            "invalid network",
            f"the network must go on with the {len(before)} tensors it was given, and has {len(after)}: of "
            f"{strange[0]!r} it {which}",
        )
    for name, tensor in after.items():
        if tensor.shape != before[name].shape:
            raise StageFailure(
                "invalid network",
                f"{name!r} has shape {tuple(tensor.shape)} and was given with {tuple(before[name].shape)}: cutting is "
                "the harness's business",
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise StageFailure("diverged", f"{name!r} holds numbers that are not finite")


def disagreement(
    network: nn.Module, config: Mapping[str, Any], graph: ChannelGraph, kept: KeptChannels, dtype: torch.dtype
) -> float:
    """How far the network that the method leaves, masked, is from its weights in the plain network, cut.

    Hooks, replaced layers and gates that are not in the weights show here.

    Returns:
        The largest difference of two logits, as a share of the largest logit; over two images of noise.
    """
    plain = fresh_network(config)
    plain.load_state_dict(network.state_dict())
    images = torch.randn(2, *graph.shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    with torch.inference_mode():
        masked = mask(network, graph, kept).cpu().to(dtype).eval()(images)
        narrow = cut(plain.to(dtype), graph, kept, in_place=True).eval()(images)
    largest = float(masked.abs().max())
    return float((masked - narrow).abs().max()) / largest if largest else float(narrow.abs().max())


def check_agreement(network: nn.Module, config: Mapping[str, Any], graph: ChannelGraph, kept: KeptChannels) -> None:
    """Raises StageFailure("invalid network") if masked and cut network disagree by more than rounding."""
    found = disagreement(network, config, graph, kept, torch.float32)
    if found > LARGEST_DISAGREEMENT:
        raise StageFailure(
            "invalid network",
            f"the masked and the cut network disagree by {found:.1e} of the largest logit ({LARGEST_DISAGREEMENT:.0e} "
            "is rounding): what the method changed beside the weights, a hook or a layer, is lost in the cut",
        )
