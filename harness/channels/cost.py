"""What a network costs at any widths, without building it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from harness.channels.graph import ChannelGraph
from harness.channels.structure import Layer, read_structure, skeleton
from harness.errors import StageFailure, unknown

_ONE = ""  # stands for a width that no group decides; it is always 1


class CostModel:
    """Exact costs of one network, for one image, at any widths of its channel groups.

    Attributes:
        layers: one record a convolution or linear layer, in the order in which they run.
        dense_macs: multiply-adds of convolutions and linear layers of the whole network.
        dense_params: all parameters of the whole network.
    """

    def __init__(self, network: nn.Module, graph: ChannelGraph, example: Tensor) -> None:
        """Reads the network's layers once.

        Args:
            network: the network of `graph`, without gates; left as it is.
            example: images [batch, channels, height, width]; only the shape matters, and may differ from the graph's.

        Raises:
            StageFailure: "invalid network" if the network is not the graph's.
        """
        graph.verify(network)
        shape = tuple(example.shape[1:])
        self.layers = graph.layers if shape == graph.shape else _replaced(graph, network, shape)
        self._whole = graph.widths | {_ONE: 1}
        self._macs = _gathered(
            (layer.positions * factor, reads, writes)
            for layer in self.layers
            for factor, reads, writes in [_weights(layer)]
        )
        weights = [_weights(layer) for layer in self.layers]
        biases = [_rows(layer.out_channels, layer.writes) for layer in self.layers if layer.bias]
        norms = [_rows(2 * norm.channels, norm.group, 2) for norm in graph.norms if norm.affine]
        self._params = _gathered([*weights, *biases, *norms])
        others = sum(parameter.numel() for parameter in network.parameters()) - self._sum(self._params, {})
        self._params = _gathered([*self._params, (others, _ONE, _ONE)])
        self.dense_macs = self.macs({})
        self.dense_params = self.params({})

    def macs(self, widths: Mapping[str, int]) -> int:
        """Multiply-adds of convolutions and linear layers for one image.

        Args:
            widths: {group: channels, at least 1}; an absent group is whole.

        Raises:
            StageFailure: "invalid network" if there is no such group.
        """
        return self._sum(self._macs, widths)

    def params(self, widths: Mapping[str, int]) -> int:
        """All parameters: weights, biases, batch norm's weights and biases, and what no width changes.

        Arguments and errors as in `macs`.
        """
        return self._sum(self._params, widths)

    def _sum(self, terms: list[tuple[int, str, str]], widths: Mapping[str, int]) -> int:
        width = {**self._whole, **widths}
        if len(width) != len(self._whole):
            stranger = next(name for name in widths if name not in self._whole)
            raise StageFailure("invalid network", unknown("channel group", stranger, self._whole.keys() - {_ONE}))
        return sum([factor * width[reads] * width[writes] for factor, reads, writes in terms])


def _weights(layer: Layer) -> tuple[int, str, str]:
    """(factor, group, group): the layer's number of weights is their product."""
    if layer.depthwise:
        return _rows(layer.area * layer.out_channels, layer.writes, layer.area)
    factor = layer.area
    factor *= layer.repeat if layer.reads else layer.in_channels
    factor *= 1 if layer.writes else layer.out_channels
    return factor, layer.reads or _ONE, layer.writes or _ONE


def _rows(whole: int, group: str | None, each: int = 1) -> tuple[int, str, str]:
    """A number that is `each` for every channel of a group, or `whole` where there is no group."""
    return (each, group, _ONE) if group else (whole, _ONE, _ONE)


def _gathered(terms: Iterable[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """The same sum with one term for each pair of groups."""
    factors: dict[tuple[str, str], int] = {}
    for factor, reads, writes in terms:
        factors[reads, writes] = factors.get((reads, writes), 0) + factor
    return [(factor, *pair) for pair, factor in factors.items() if factor]


def _replaced(graph: ChannelGraph, network: nn.Module, shape: tuple[int, ...]) -> tuple[Layer, ...]:
    """The graph's layers with the positions that they have on images of another shape."""
    from dataclasses import replace

    found, _ = read_structure(skeleton(network), shape)
    positions = {layer.name: layer.positions for layer in found}
    return tuple(replace(layer, positions=positions[layer.name]) for layer in graph.layers)
