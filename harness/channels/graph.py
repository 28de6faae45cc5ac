"""Which channels of a network live or die together.

The coupling is found by Torch-Pruning's dependency graph on a skeleton of the plain, ungated network. What it finds
is turned into `ChannelGroup`s, each of which says everything that surgery, gates and costs need to know; what cannot
be said so is refused with the layer's name. A graph that was made has proved itself (see `proof`).
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from harness.channels.structure import (
    Layer,
    Norm,
    first_line,
    hollow_input,
    read_structure,
    refuse_unsupported,
    skeleton,
)
from harness.errors import StageFailure, UserError, unknown

KeptChannels = dict[str, tuple[int, ...]]
"""{group: ascending indices that stay}; a group that is absent is kept whole."""

Kind = Literal["inner", "stream", "depthwise", "branch", "fc"]


@dataclass(frozen=True)
class Consumer:
    """A layer that reads a group.

    Attributes:
        layer: module path.
        repeat: columns of its weight for each channel (more than 1 after a flatten).
    """

    layer: str
    repeat: int

    def __str__(self) -> str:
        return self.layer if self.repeat == 1 else f"{self.layer} ({self.repeat} columns a channel)"


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that must be cut together.

    Attributes:
        name: module path of the first producer.
        size: how many channels.
        kind: "inner" between two layers of a plain chain; "depthwise" if a depthwise convolution filters them;
            "stream" if several layers are added into them; "branch" at the end of a residual branch; "fc" if linear
            layers write them.
        producers: layers whose rows are the channels; a depthwise convolution is one.
        norms: batch norms of the channels.
        consumers: layers whose columns read the channels.
        gate_points: the last batch norms before the consumers: zero there is zero for every consumer. Empty if a
            consumer can be reached without passing one.
    """

    name: str
    size: int
    kind: Kind
    producers: tuple[str, ...]
    norms: tuple[str, ...]
    consumers: tuple[Consumer, ...]
    gate_points: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"written by {', '.join(self.producers)}"]
        if self.norms:
            parts.append(f"normalised by {', '.join(self.norms)}")
        parts.append(f"read by {', '.join(map(str, self.consumers)) or 'nobody'}")
        parts.append(f"gate at {', '.join(self.gate_points)}" if self.gate_points else "no gate")
        return f"{self.name}: {self.size} {self.kind} channels, {'; '.join(parts)}"


@dataclass(frozen=True)
class ChannelGraph:
    """All channel groups of one network.

    Attributes:
        groups: by name, in the order in which the network runs. What the network returns is no group.
        layers: every convolution and linear layer, in that order.
        norms: every batch norm, in that order.
        shape: of one image, [channels, height, width].
    """

    groups: dict[str, ChannelGroup]
    layers: tuple[Layer, ...]
    norms: tuple[Norm, ...]
    shape: tuple[int, ...]

    @classmethod
    def trace(cls, network: nn.Module, example: Tensor) -> Self:
        """The graph of a network, which is left exactly as it was.

        Args:
            network: without gates; on any device, in any mode.
            example: images [batch, channels, height, width]; only the shape matters.

        Raises:
            UserError: some layer's channels cannot be cut; the message names it.
        """
        from harness.channels.proof import prove

        refuse_unsupported(network)
        shape = tuple(example.shape[1:])
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
            hollow = skeleton(network)
            layers, norms = read_structure(hollow, shape)
            groups = _groups(hollow, shape, [layer.name for layer in layers] + [norm.name for norm in norms])
            graph = cls(groups, *_place(groups, layers, norms), shape)
            prove(network, hollow, graph)
        return graph

    @property
    def widths(self) -> dict[str, int]:
        """{group: all its channels}."""
        return {group.name: group.size for group in self.groups.values()}

    def cuttable(self, cuts: Sequence[str]) -> list[ChannelGroup]:
        """The groups of these kinds, in network order; "inner" includes "depthwise"."""
        known = ("inner", "depthwise", "branch", "stream", "fc")
        for cut in cuts:
            if cut not in known:
                raise UserError(unknown("kind of cut", cut, known))
        wanted = {*cuts, *(("depthwise",) if "inner" in cuts else ())}
        return [group for group in self.groups.values() if group.kind in wanted]

    def check(self, kept: Mapping[str, Sequence[int]]) -> None:
        """Raises StageFailure("invalid network") unless `kept` is a selection of this graph's channels."""
        for name, channels in kept.items():
            if name not in self.groups:
                raise StageFailure("invalid network", unknown("channel group", name, self.groups))
            size = self.groups[name].size
            if len(channels) == 0:
                raise StageFailure("invalid network", f"group {name!r} keeps no channel")
            if any(before >= after for before, after in itertools.pairwise(channels)):
                raise StageFailure("invalid network", f"kept channels of group {name!r} are not in ascending order")
            if channels[0] < 0 or channels[-1] >= size:
                raise StageFailure(
                    "invalid network",
                    f"kept channels of group {name!r} run from {channels[0]} to {channels[-1]}; it has 0 to {size - 1}",
                )

    def verify(self, network: nn.Module) -> None:
        """Raises StageFailure("invalid network") unless the network's layers have this graph's widths and no gates."""
        modules = dict(network.named_modules())
        for layer in self.layers:
            module = modules.get(layer.name)
            if isinstance(module, nn.Conv2d):
                found = (module.in_channels, module.out_channels)
            elif isinstance(module, nn.Linear):
                found = (module.in_features, module.out_features)
            else:
                raise StageFailure("invalid network", f"the network has no layer {layer.name!r}, the channel graph has")
            if found != (layer.in_channels, layer.out_channels):
                raise StageFailure(
                    "invalid network",
                    f"layer {layer.name!r} has {found[0]} inputs and {found[1]} outputs; the channel graph expects "
                    f"{layer.in_channels} and {layer.out_channels}",
                )
        for norm in self.norms:
            if hasattr(modules.get(norm.name), "gate_values"):
                raise StageFailure("invalid network", f"batch norm {norm.name!r} still carries a gate")

    def resized(self, widths: Mapping[str, int]) -> ChannelGraph:
        """The graph of the same network at other widths, such as after a cut; absent groups stay as they are."""
        groups = {name: replace(group, size=widths.get(name, group.size)) for name, group in self.groups.items()}

        def layer_of(layer: Layer) -> Layer:
            outputs = groups[layer.writes].size if layer.writes else layer.out_channels
            inputs = groups[layer.reads].size * layer.repeat if layer.reads else layer.in_channels
            return replace(
                layer,
                in_channels=outputs if layer.depthwise else inputs,
                out_channels=outputs,
                groups=outputs if layer.depthwise else 1,
            )

        norms = [replace(norm, channels=groups[norm.group].size) if norm.group else norm for norm in self.norms]
        return ChannelGraph(groups, tuple(map(layer_of, self.layers)), tuple(norms), self.shape)

    def __str__(self) -> str:
        return "\n".join(map(str, self.groups.values()))


def _place(
    groups: dict[str, ChannelGroup], layers: tuple[Layer, ...], norms: tuple[Norm, ...]
) -> tuple[tuple[Layer, ...], tuple[Norm, ...]]:
    """The layers and norms with the groups that they write, read and normalise."""
    writes = {producer: group.name for group in groups.values() for producer in group.producers}
    reads = {reader.layer: (group.name, reader.repeat) for group in groups.values() for reader in group.consumers}
    normalises = {norm: group.name for group in groups.values() for norm in group.norms}
    placed = []
    for layer in layers:
        source, repeat = reads.get(layer.name, (None, 1))
        if layer.depthwise:
            source = writes.get(layer.name)
        placed.append(replace(layer, reads=source, repeat=repeat, writes=writes.get(layer.name)))
    return tuple(placed), tuple(replace(norm, group=normalises.get(norm.name)) for norm in norms)


def _groups(hollow: nn.Module, shape: tuple[int, ...], order: list[str]) -> dict[str, ChannelGroup]:
    """Torch-Pruning's groups as ours, without those that reach the network's output."""
    import torch_pruning

    names = {module: name for name, module in hollow.named_modules()}
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            coupling = torch_pruning.DependencyGraph()
            # A tuple: given a bare tensor, it would first try the images of the batch as separate arguments.
            coupling.build_dependency(hollow, (hollow_input(hollow, shape),), verbose=False)
            found = list(coupling.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]))
    except Exception as error:
        raise UserError(f"Torch-Pruning cannot trace the network: {first_line(error)}") from error
    finally:
        hollow.eval()
    place = {name: position for position, name in enumerate(order)}
    groups = [group for members in found if (group := _Reader(members, names, place).group()) is not None]
    groups.sort(key=lambda group: place[group.name])
    return {group.name: group for group in groups}


class _Reader:
    """Reads one group of Torch-Pruning."""

    def __init__(self, members: Any, names: dict[nn.Module, str], place: dict[str, int]) -> None:
        from torch_pruning.ops import OPTYPE

        self.types = OPTYPE
        self.members = members
        self.nodes = {dependency.target for dependency, _ in members}
        self.names = names
        self.place = place
        self.root = members[0].dep.target.module

    def group(self) -> ChannelGroup | None:
        """The group, or None if it reaches the network's output."""
        types = self.types
        if any(not member.dep.target.outputs and not self._reads(member) for member in self.members):
            return None
        size = len(self.members[0].idxs)
        producers, norms, consumers, readers = set(), set(), {}, []
        for member in self.members:
            node = member.dep.target
            if node.type in (types.CONCAT, types.SPLIT, types.UNBIND, types.EXPAND, types.SLICE):
                raise self._refusal(f"pass through an operation of kind {node.type.name.lower()}")
            if node.type == types.BN:
                self._repeat(member, size, node.module.num_features, 1)
                norms.add(self.names[node.module])
            elif node.type == types.DEPTHWISE_CONV:
                self._repeat(member, size, node.module.out_channels, 1)
                producers.add(self.names[node.module])
            elif node.type in (types.CONV, types.LINEAR):
                linear = node.type == types.LINEAR
                if not self._reads(member):
                    rows = node.module.out_features if linear else node.module.out_channels
                    self._repeat(member, size, rows, 1)
                    producers.add(self.names[node.module])
                else:
                    columns = node.module.in_features if linear else node.module.in_channels
                    repeat = self._repeat(member, size, columns, None if linear else 1)
                    consumers[self.names[node.module]] = repeat
                    readers.append(node)
            elif node.type not in (types.ELEMENTWISE, types.RESHAPE, types.PRELU):
                raise self._refusal(f"reach an operation of kind {node.type.name.lower()}")
        ordered = self._ordered(producers)
        return ChannelGroup(
            name=ordered[0],
            size=size,
            kind=self._kind(ordered),
            producers=ordered,
            norms=self._ordered(norms),
            consumers=tuple(Consumer(layer, consumers[layer]) for layer in self._ordered(set(consumers))),
            gate_points=self._gate_points(readers),
        )

    def _reads(self, member: Any) -> bool:
        """Whether the member's columns are cut, not its rows."""
        weighted = member.dep.target.type in (self.types.CONV, self.types.LINEAR)
        return weighted and member.dep.handler.__name__ == "prune_in_channels"

    def _ordered(self, names: set[str]) -> tuple[str, ...]:
        return tuple(sorted(names, key=self.place.__getitem__))

    def _refusal(self, why: str) -> UserError:
        return UserError(f"the channels of layer {self.names[self.root]!r} {why}: that is not supported")

    def _repeat(self, member: Any, size: int, channels: int, allowed: int | None) -> int:
        """How many indices of a member belong to one channel; a refusal unless they are the member's all, in order."""
        repeat = max(1, len(member.idxs) // size)
        whole = sorted(member.idxs) == list(range(size * repeat)) and channels == size * repeat
        in_order = all(root == index // repeat for index, root in zip(member.idxs, member.root_idxs, strict=True))
        if not (whole and in_order and allowed in (None, repeat)):
            raise self._refusal(f"are mixed with others in layer {self.names[member.dep.target.module]!r}")
        return repeat

    def _kind(self, producers: tuple[str, ...]) -> Kind:
        inputs_of_sums = [node.inputs for node in self.nodes if self._does(node, "Add", "Sub")]
        if any(len({id(source) for source in inputs if source in self.nodes}) > 1 for inputs in inputs_of_sums):
            return "stream"
        if any(node.type == self.types.DEPTHWISE_CONV for node in self.nodes):
            return "depthwise"
        modules = {name: module for module, name in self.names.items()}
        return "fc" if all(isinstance(modules[name], nn.Linear) for name in producers) else "inner"

    def _does(self, node: Any, *operations: str) -> bool:
        name = str(getattr(node.module, "_grad_fn", ""))
        return any(name.startswith(f"{operation}Backward") for operation in operations)

    def _gate_points(self, readers: list[Any]) -> tuple[str, ...]:
        """Walks back from the readers to the first batch norms; empty if one walk meets a producer instead."""
        seen: dict[int, set[str] | None] = {}

        def behind(node: Any) -> set[str] | None:
            if id(node) not in seen:
                seen[id(node)] = look(node)
            return seen[id(node)]

        def look(node: Any) -> set[str] | None:
            types = self.types
            if node.type == types.BN:
                return {self.names[node.module]}
            if node.type in (types.CONV, types.LINEAR, types.DEPTHWISE_CONV):
                return None
            found = [behind(source) for source in node.inputs if source in self.nodes]
            gated = [points for points in found if points is not None]
            if self._does(node, "Mul") and any(gated):
                return next(filter(None, gated))  # one factor that is zero makes the product zero
            # A node without inputs is a weight on its way into a linear layer, not channels.
            return set().union(*gated) if len(gated) == len(found) else None

        points: set[str] = set()
        for reader in readers:
            for source in reader.inputs:
                if source in self.nodes:
                    if (found := behind(source)) is None:
                        return ()
                    points |= found
        return self._ordered(points)
