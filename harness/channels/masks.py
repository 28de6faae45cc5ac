"""Channels that are gone while their network still has its full size: zero, and zero they stay under training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from harness.channels.gates import insert_gates, remove_gates
from harness.channels.graph import ChannelGraph
from harness.channels.groups import ChannelGroup


class Gone:
    """The channels of one network that were given up, until it is cut.

    Rows of weights, biases, and weight and bias of batch norms are set to zero. Gates of constant zero keep them there:
    behind a gate every gradient is exactly zero, so momentum and weight decay have nothing to act on. No activation is
    multiplied but that of shortcuts without weights.
    """

    def __init__(self, network: nn.Module, graph: ChannelGraph) -> None:
        """Takes the network of `graph`, which is changed in place from the first `hold` on."""
        self._network, self._graph = network, graph
        self._gated = False

    def hold(self, kept: Mapping[str, Sequence[int]]) -> None:
        """Gives up every channel that is not kept, and what goes with these (see `ChannelGraph.settled`).

        Args:
            kept: {group: ascending indices that stay}; a group that is absent is whole. Must name all that is gone.

        Raises:
            StageFailure: "invalid network" if `kept` is no selection, or leaves no way through the network.
            UserError: something else has put gates on a layer that is concerned.
        """
        lost = {
            name: sorted(set(range(self._graph.groups[name].size)) - set(channels))
            for name, channels in self._graph.settled(kept).items()
            if len(channels) < self._graph.groups[name].size
        }
        self.release()
        if not lost:
            return
        groups = [self._graph.groups[name] for name in lost]
        values = insert_gates(self._network, groups, _constant, 1.0)
        self._gated = True
        with torch.no_grad():
            for group in groups:
                values[group.name][lost[group.name]] = 0.0
                _zero(self._network, group, lost[group.name])

    def release(self) -> None:
        """Makes the layers plain again; what was set to zero is zero still."""
        if self._gated:
            remove_gates(self._network)
        self._gated = False


def _constant(values: Tensor) -> Tensor:
    return values.detach()


def _zero(network: nn.Module, group: ChannelGroup, lost: Sequence[int]) -> None:
    """Sets to zero all parameters that write these channels."""
    shares = [(layer, 0, group.rows) for layer in group.producers]
    shares += [(part.layer, part.start, part.repeat) for part in group.norms]
    for layer, start, repeat in shares:
        module = network.get_submodule(layer)
        places = [start + channel * repeat + offset for channel in lost for offset in range(repeat)]
        for name in ("weight", "bias"):
            parameter = getattr(module, name, None)
            if isinstance(parameter, Tensor):
                parameter[places] = 0.0
