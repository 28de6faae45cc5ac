"""Puts what was found of a network together: groups with their layers, layers with their groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from harness.channels.coupling import Coupled, Coupling, Node, read_coupling
from harness.channels.groups import Branch, ChannelGroup, Kind, Part, Shortcut, Stream, Sum
from harness.channels.streams import FoundStream, FoundSum, branches_of, find_stream, is_stream
from harness.channels.structure import Layer, Norm, Segment, is_shortcut, skeleton, with_stand_ins
from harness.errors import UserError, unknown


@dataclass(frozen=True)
class Assembled:
    """The parts of a `ChannelGraph`; attributes as there."""

    groups: dict[str, ChannelGroup]
    layers: tuple[Layer, ...]
    norms: tuple[Norm, ...]
    streams: dict[str, Stream]
    branches: dict[str, Branch]
    sums: tuple[Sum, ...]


def assemble(
    hollow: nn.Module, shape: tuple[int, ...], layers: tuple[Layer, ...], norms: tuple[Norm, ...]
) -> Assembled:
    """Finds the groups of a network of these layers and norms.

    Args:
        hollow: a skeleton; left as it is.

    Raises:
        UserError: some channels' coupling cannot be said as groups.
    """
    shortcuts = {name: module for name, module in hollow.named_modules() if is_shortcut(module)}
    coupling = read_coupling(with_stand_ins(skeleton(hollow)), shape)
    kept_whole = getattr(hollow, "kept_whole", ())
    return _Assembly(coupling, shortcuts, layers, norms, kept_whole).result()


class _Assembly:
    def __init__(
        self,
        coupling: Coupling,
        shortcuts: Mapping[str, Any],
        layers: tuple[Layer, ...],
        norms: tuple[Norm, ...],
        kept_whole: tuple[str, ...],
    ) -> None:
        self.coupling = coupling
        self.shortcuts = shortcuts
        self.layers = layers
        self.norms = norms
        order = [layer.name for layer in layers] + [norm.name for norm in norms]
        self.place = {name: position for position, name in enumerate(order)}
        self.nodes = {node.name: node for node in coupling.nodes if node.name}
        self.kinds = {layer.name: layer for layer in layers}
        for name in kept_whole:
            if name not in self.kinds:
                raise UserError(unknown("layer to keep whole", name, self.kinds))
        cuttable = [coupled for coupled in coupling.groups if coupled.rows.keys().isdisjoint(kept_whole)]
        self.streams: dict[Coupled, FoundStream] = {}
        self.sums: list[FoundSum] = []
        for coupled in cuttable:
            if is_stream(coupled):
                self.streams[coupled], sums = find_stream(coupled, shortcuts)
                self.sums += sums
        self.sums.sort(key=lambda each: coupling.nodes.index(each.node))
        self.names = {coupled: self._name(coupled) for coupled in cuttable if self._producers(coupled)}

    def result(self) -> Assembled:
        removable = {layer.name for layer in self.layers if layer.kind == "conv"}
        removable |= {norm.name for norm in self.norms if norm.kind == "conv"}
        branches, sums = branches_of(self.coupling, list(self.streams.values()), self.sums, self.names, removable)
        sums = tuple(replace(each, branches=self._ordered(each.branches)) for each in sums)
        found = [self._group(coupled, name) for coupled, name in self.names.items()]
        for coupled, stream in self.streams.items():
            found += [self._branch(coupled, layer, stream) for layer in stream.writers]
        found.sort(key=lambda group: (self.place[group.producers[0]], group.kind != "stream"))
        groups = {group.name: group for group in found}
        by_name = {self.names[coupled]: coupled for coupled in self.streams}
        streams = {
            name: self._stream(by_name[name], self.streams[by_name[name]], groups) for name in groups if name in by_name
        }
        ordered = {name: branches[name] for name in groups if name in branches}
        return Assembled(groups, self._layers(groups), self._norms(groups), streams, ordered, sums)

    def _producers(self, coupled: Coupled) -> tuple[str, ...]:
        return self._ordered(set(coupled.rows) - set(self.shortcuts))

    def _ordered(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(names, key=self.place.__getitem__))

    def _parts(self, parts: Iterable[Part]) -> tuple[Part, ...]:
        return tuple(sorted(parts, key=lambda part: (self.place.get(part.layer, -1), part.start)))

    def _name(self, coupled: Coupled) -> str:
        first = self._producers(coupled)[0]
        return f"stream:{first}" if coupled in self.streams else first

    def _group(self, coupled: Coupled, name: str) -> ChannelGroup:
        producers = self._producers(coupled)
        kind: Kind = "inner"
        if coupled in self.streams:
            kind = "stream"
        elif any(self.kinds[layer].grouped for layer in producers):
            kind = "depthwise"
        elif all(self.kinds[layer].kind == "linear" for layer in producers):
            kind = "fc"
        return ChannelGroup(
            name=name,
            size=coupled.size,
            kind=kind,
            producers=producers,
            norms=self._parts(coupled.norms),
            consumers=self._parts(part for part in coupled.columns if part.layer not in self.shortcuts),
            gate_points=self._gate_points(coupled),
            rows=coupled.rows[producers[0]],
        )

    def _branch(self, coupled: Coupled, layer: str, stream: FoundStream) -> ChannelGroup:
        writer = stream.writers[layer]
        repeat = coupled.rows[layer]
        return ChannelGroup(
            name=layer,
            size=coupled.size,
            kind="branch",
            producers=(layer,),
            norms=tuple(Part(norm, repeat) for norm in writer.norms),
            consumers=(),
            gate_points=(Part(writer.end, repeat),),
            rows=repeat,
            stream=self.names[coupled],
        )

    def _stream(self, coupled: Coupled, found: FoundStream, groups: Mapping[str, ChannelGroup]) -> Stream:
        name = self.names[coupled]
        source = {part.layer: self.names[each] for each in self.names for part in each.columns}
        shortcuts = []
        for layer in coupled.rows:
            if layer in self.shortcuts:
                if layer not in source:
                    raise UserError(f"shortcut {layer!r} reads channels that cannot be cut: that is not supported")
                shortcuts.append(Shortcut(layer, source[layer], tuple(self.shortcuts[layer].channel_targets())))
        writers = self._ordered(found.writers)
        ends = {part.layer for writer in writers for part in groups[writer].gate_points}
        ends |= set(found.projection_norms) | set(found.projections) | {each.layer for each in shortcuts}
        drains = bool(writers) and {part.layer for part in groups[name].gate_points} <= ends
        return Stream(name, writers, bool(found.projections), tuple(shortcuts), drains)

    def _gate_points(self, coupled: Coupled) -> tuple[Part, ...]:
        """Walks back from the readers to the first batch norms or, where there is none, to the producers."""
        parts = {part.layer: part for part in coupled.norms}
        parts |= {layer: Part(layer, repeat) for layer, repeat in coupled.rows.items()}
        seen: dict[Node, set[str]] = {}

        def behind(node: Node) -> set[str]:
            if node not in seen:
                seen[node] = look(node)
            return seen[node]

        def look(node: Node) -> set[str]:
            if node.kind in ("norm", "conv", "linear"):
                return {node.name}
            found = [behind(source) for source in node.inputs if source in coupled.nodes]
            if node.kind == "multiply" and found:
                # One factor that is zero makes the product zero: the one whose gates cost nothing.
                return min(
                    found, key=lambda points: (not all(self.nodes[each].kind == "norm" for each in points), len(points))
                )
            return set().union(*found)

        points: set[str] = set()
        for part in coupled.columns:
            for source in self.nodes[part.layer].inputs:
                if source in coupled.nodes:
                    points |= behind(source)
        return self._parts(parts[name] for name in points)

    def _layers(self, groups: Mapping[str, ChannelGroup]) -> tuple[Layer, ...]:
        writes = _finest(groups, lambda group: group.producers)
        reads: dict[str, list[tuple[int, Segment]]] = {}
        for group in groups.values():
            for part in group.consumers:
                segment = Segment(group.name, group.size, part.repeat)
                reads.setdefault(part.layer, []).append((part.start, segment))
        projections = {name for found in self.streams.values() for name in found.projections}
        placed = []
        for layer in self.layers:
            owner = writes.get(layer.name)
            segments = () if layer.grouped else _filled(reads.get(layer.name, []), layer.in_channels)
            if layer.grouped and owner is None:
                raise UserError(
                    f"layer {layer.name!r} has groups, and its channels reach the output or are kept whole: "
                    "that is not supported"
                )
            placed.append(
                replace(
                    layer,
                    reads=segments,
                    writes=owner.name if owner else None,
                    rows=owner.rows if owner else 1,
                    after=self._after(layer.name),
                    projection=layer.name in projections,
                )
            )
        return tuple(placed)

    def _after(self, layer: str) -> tuple[str, ...]:
        """The branches whose sum a layer reads, if it reads a stream."""
        ends = {each.node: tuple(each.branches) for each in self.sums}
        for found in self.streams.values():
            node = next((source for source in self.nodes[layer].inputs if source in found.coupled.nodes), None)
            while node is not None:
                if node in ends:
                    return self._ordered(ends[node])
                if node.name in found.writers:
                    return (node.name,)
                inner = [source for source in node.inputs if source in found.coupled.nodes]
                node = inner[0] if len(inner) == 1 and node.kind in ("norm", "other") else None
        return ()

    def _norms(self, groups: Mapping[str, ChannelGroup]) -> tuple[Norm, ...]:
        finest = _finest(groups, lambda group: [part.layer for part in group.norms])
        parts: dict[str, list[tuple[int, Segment]]] = {}
        for group in groups.values():
            for part in group.norms:
                if group.kind != "stream" or finest[part.layer].stream is None:
                    segment = Segment(group.name, group.size, part.repeat)
                    parts.setdefault(part.layer, []).append((part.start, segment))
        projections = {name for found in self.streams.values() for name in found.projection_norms}
        return tuple(
            replace(norm, parts=_filled(parts.get(norm.name, []), norm.channels), projection=norm.name in projections)
            for norm in self.norms
        )


def _finest(groups: Mapping[str, ChannelGroup], layers_of: Any) -> dict[str, ChannelGroup]:
    """{layer: the group that decides it}: a branch before its stream."""
    found: dict[str, ChannelGroup] = {}
    for group in groups.values():
        for layer in layers_of(group):
            if layer not in found or group.kind == "branch":
                found[layer] = group
    return found


def _filled(segments: list[tuple[int, Segment]], places: int) -> tuple[Segment, ...]:
    """The segments in order, with the places between them as segments without a group."""
    filled: list[Segment] = []
    position = 0
    for start, segment in sorted(segments, key=lambda each: each[0]):
        if start > position:
            filled.append(Segment(None, start - position))
        filled.append(segment)
        position = start + segment.places
    if places > position:
        filled.append(Segment(None, places - position))
    return tuple(filled)
