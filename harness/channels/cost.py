"""What a network costs at any widths, without building it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from harness.channels.graph import ChannelGraph
from harness.channels.groups import Branch
from harness.channels.structure import Layer, read_structure, skeleton
from harness.errors import StageFailure, unknown

_Term = tuple[int, str, str]  # a factor, and two groups by whose widths it is multiplied
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
        self._stream_of = [(group.name, group.stream) for group in graph.groups.values() if group.stream is not None]
        hangs_on = _removable_layers(graph)
        weights = [(layer, term) for layer in self.layers for term in _weights(layer)]
        macs = [(layer.name, (layer.positions * term[0], term[1], term[2])) for layer, term in weights]
        params = [(layer.name, term) for layer, term in weights]
        params += [
            (layer.name, _rows(layer.out_channels, layer.writes, layer.rows)) for layer in self.layers if layer.bias
        ]
        params += [
            (norm.name, _rows(2 * part.places, part.group, 2 * part.repeat))
            for norm in graph.norms
            if norm.affine
            for part in norm.parts
        ]
        self._macs = _Terms(macs, hangs_on)
        self._params = _Terms(params, hangs_on)
        others = sum(parameter.numel() for parameter in network.parameters()) - self._sum(self._params, {})
        self._params = _Terms([*params, ("", (others, _ONE, _ONE))], hangs_on)
        self.dense_macs = self.macs({})
        self.dense_params = self.params({})

    def macs(self, widths: Mapping[str, int]) -> int:
        """Multiply-adds of convolutions and linear layers for one image.

        Args:
            widths: {group: channels}; an absent group is whole, an absent branch as wide as its stream. Where
                branches are removed or streams drained, these are the widths of `ChannelGraph.settled`.

        Raises:
            StageFailure: "invalid network" if there is no such group.
        """
        return self._sum(self._macs, widths)

    def params(self, widths: Mapping[str, int]) -> int:
        """All parameters: weights, biases, batch norm's weights and biases, and what no width changes.

        Arguments and errors as in `macs`.
        """
        return self._sum(self._params, widths)

    def _sum(self, terms: _Terms, widths: Mapping[str, int]) -> int:
        width = {**self._whole, **widths}
        if len(width) != len(self._whole):
            stranger = next(name for name in widths if name not in self._whole)
            raise StageFailure("invalid network", unknown("channel group", stranger, self._whole.keys() - {_ONE}))
        for branch, stream in self._stream_of:
            width[branch] = min(width[branch], width[stream])
        whole = sum([factor * width[reads] * width[writes] for factor, reads, writes in terms.always])
        for branch, each in terms.removable.items():
            if width[branch]:
                whole += sum([factor * width[reads] * width[writes] for factor, reads, writes in each])
        return whole


class _Terms:
    """A sum of factors times the widths of two groups.

    Attributes:
        always: terms that count at any width.
        removable: terms that count while a branch is there, by branch.
    """

    def __init__(self, terms: Iterable[tuple[str, _Term]], hangs_on: Mapping[str, Branch]) -> None:
        """Takes (layer, term) and, for a layer that is removed with a branch, that branch."""
        always: list[_Term] = []
        removable: dict[str, list[_Term]] = {}
        for layer, term in terms:
            branch = hangs_on.get(layer)
            # The widths of a removed branch's own groups are 0: nothing else must be said of these.
            if branch is None or {branch.group, *branch.inside} & {*term[1:]}:
                always.append(term)
            else:
                removable.setdefault(branch.group, []).append(term)
        self.always = _gathered(always)
        self.removable = {branch: _gathered(each) for branch, each in removable.items()}


def _removable_layers(graph: ChannelGraph) -> dict[str, Branch]:
    """{layer: the branch that it is removed with}; of branches inside each other the inner one."""
    found: dict[str, Branch] = {}
    for branch in graph.branches.values():
        for layer in branch.layers if branch.sum is not None else ():
            if layer not in found or len(branch.layers) < len(found[layer].layers):
                found[layer] = branch
    return found


def _weights(layer: Layer) -> list[_Term]:
    """Terms (factor, group, group): the sum of their products is the layer's number of weights."""
    factor = layer.area * (layer.rows if layer.writes else layer.out_channels)
    writes = layer.writes or _ONE
    if layer.grouped:
        return [(factor * layer.in_channels // layer.groups, _ONE, writes)]
    return [
        (factor * (segment.repeat if segment.group else segment.places), segment.group or _ONE, writes)
        for segment in layer.reads
    ]


def _rows(whole: int, group: str | None, each: int = 1) -> _Term:
    """A number that is `each` for every channel of a group, or `whole` where there is no group."""
    return (each, group, _ONE) if group else (whole, _ONE, _ONE)


def _gathered(terms: Iterable[_Term]) -> list[_Term]:
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
