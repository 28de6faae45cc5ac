"""The weights of a cut network, written to the places of the whole one that they were cut from."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from harness.channels.graph import ChannelGraph
from harness.channels.surgery import cut


def put_back(narrow: nn.Module, whole: nn.Module, graph: ChannelGraph, kept: Mapping[str, Sequence[int]]) -> None:
    """Makes `cut(whole, graph, kept)` give `narrow` again, and leaves all other weights of `whole` as they are.

    Where each weight came from is read off a copy whose weights are their own numbers and which is cut in the same way.

    Args:
        narrow: what `cut(whole, graph, kept)` gave, with other weights now.
        whole: the network of `graph`; changed in place.
        kept: as `cut` was given it.

    Raises:
        StageFailure: as `cut` does.
    """
    numbered = copy.deepcopy(whole).cpu().double()  # exact up to 2⁵³ weights a tensor
    own = numbered.state_dict()
    with torch.no_grad():
        for values in own.values():
            if values.is_floating_point():
                values.copy_(torch.arange(values.numel(), dtype=torch.float64).view(values.shape))
    sources = cut(numbered, graph, kept).state_dict()
    target = whole.state_dict()
    with torch.no_grad():
        for name, values in narrow.state_dict().items():
            if not values.is_floating_point():
                target[name].copy_(values)
                continue
            flat: Tensor = target[name].detach().reshape(-1).clone()
            flat[sources[name].reshape(-1).long().to(flat.device)] = values.reshape(-1)
            target[name].copy_(flat.view(target[name].shape))
