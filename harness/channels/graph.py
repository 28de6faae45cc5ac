"""Which channels of a network live or die together.

The coupling is found by Torch-Pruning's dependency graph on a skeleton of the plain, ungated network. What it finds
is turned into `ChannelGroup`s, each of which says everything that surgery, gates and costs need to know; what cannot
be said so is refused with the layer's name. A graph that was made has proved itself (see `proof`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from harness.channels import settle
from harness.channels.assemble import assemble
from harness.channels.groups import Branch, ChannelGroup, KeptChannels, Part, Stream, Sum
from harness.channels.structure import (
    Layer,
    Norm,
    Segment,
    read_structure,
    refuse_unsupported,
    skeleton,
)
from harness.errors import StageFailure, UserError, unknown

__all__ = ["ChannelGraph", "ChannelGroup", "KeptChannels"]


@dataclass(frozen=True)
class ChannelGraph:
    """All channel groups of one network.

    Attributes:
        groups: by name, in the order in which the network runs. What the network returns is no group.
        layers: every convolution and linear layer, in that order.
        norms: every batch norm, in that order.
        shape: of one image, [channels, height, width].
        streams: by group.
        branches: by group.
        sums: the additions into streams; a branch names its own by number.
    """

    groups: dict[str, ChannelGroup]
    layers: tuple[Layer, ...]
    norms: tuple[Norm, ...]
    shape: tuple[int, ...]
    streams: dict[str, Stream]
    branches: dict[str, Branch]
    sums: tuple[Sum, ...]

    @classmethod
    def trace(cls, network: nn.Module, example: Tensor) -> Self:
        """The graph of a network, which is left exactly as it was.

        Args:
            network: without gates; on any device, in any mode. Layers named in its `kept_whole`, if it has that
                attribute, are in no group, nor is a stream that they write.
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
            found = assemble(hollow, shape, layers, norms)
            graph = cls(found.groups, found.layers, found.norms, shape, found.streams, found.branches, found.sums)
            removal_works = prove(network, hollow, graph)
        return graph if removal_works else graph.without_removal()

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

    def may_empty(self, group: str) -> bool:
        """Whether a group may lose its last channel, because a branch goes with it."""
        return any(
            branch.sum is not None and (group == branch.group or group in branch.inside)
            for branch in self.branches.values()
        )

    def removable(self, groups: Sequence[ChannelGroup]) -> list[ChannelGroup]:
        """Those that are residual branches which can go as a whole, because a shortcut stays beside them.

        Raises:
            StageFailure: "invalid network" if there is none.
        """
        found = []
        for group in groups:
            branch = self.branches.get(group.name)
            if branch is not None and branch.sum is not None and self.sums[branch.sum].shortcut:
                found.append(group)
        if not found:
            raise StageFailure("invalid network", "one gate a branch was asked for, and no residual branch may be cut")
        return found

    def check(self, kept: Mapping[str, Sequence[int]]) -> None:
        """Raises StageFailure("invalid network") unless `kept` is a selection of this graph's channels."""
        for name, channels in kept.items():
            if name not in self.groups:
                raise StageFailure("invalid network", unknown("channel group", name, self.groups))
            size = self.groups[name].size
            if len(channels) == 0:
                if not self.may_empty(name):
                    raise StageFailure("invalid network", f"group {name!r} keeps no channel")
                continue
            if any(before >= after for before, after in itertools.pairwise(channels)):
                raise StageFailure("invalid network", f"kept channels of group {name!r} are not in ascending order")
            if channels[0] < 0 or channels[-1] >= size:
                raise StageFailure(
                    "invalid network",
                    f"kept channels of group {name!r} run from {channels[0]} to {channels[-1]}; it has 0 to {size - 1}",
                )

    def settled(self, kept: Mapping[str, Sequence[int]]) -> KeptChannels:
        """What follows from a selection, so that widths say exactly what is left.

        A branch that lost a whole group is removed: all its groups are empty. A branch keeps nothing that its stream
        has not. A stream's channel that nobody writes goes, where that changes nothing.

        Returns:
            The groups of `kept`, and all others that are not whole.

        Raises:
            StageFailure: "invalid network" if `kept` is no selection, or leaves no way through the network.
        """
        self.check(kept)
        state = settle.settled(self, kept)
        return {
            name: channels for name, channels in state.items() if name in kept or len(channels) < self.groups[name].size
        }

    def complete(self, kept: Mapping[str, Sequence[int]]) -> KeptChannels:
        """As `settled`, with every group."""
        self.check(kept)
        return settle.settled(self, kept)

    def removed(self, kept: Mapping[str, Sequence[int]]) -> list[str]:
        """The branches that a selection removes."""
        state = self.complete(kept)
        return [name for name, branch in self.branches.items() if branch.sum is not None and not state[name]]

    def without_removal(self) -> Self:
        """The same graph in which every branch keeps a channel."""
        branches = {name: replace(branch, sum=None) for name, branch in self.branches.items()}
        return replace(self, branches=branches)

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
            found_channels = getattr(modules.get(norm.name), "num_features", None)
            if found_channels != norm.channels:
                raise StageFailure(
                    "invalid network",
                    f"batch norm {norm.name!r} has {found_channels or 'no'} channels; the channel graph expects "
                    f"{norm.channels}",
                )
        for name, module in modules.items():
            if hasattr(module, "gate_values"):
                raise StageFailure("invalid network", f"layer {name!r} still carries a gate")

    def resized(self, kept: KeptChannels) -> Self:
        """The graph of the network in which these channels are left, none of its branches removed or scattered.

        Args:
            kept: of every group; a branch has what its stream has.
        """
        groups = {name: replace(group, size=len(kept[name])) for name, group in self.groups.items()}

        def segments(before: tuple[Segment, ...]) -> tuple[Segment, ...]:
            return tuple(replace(each, channels=len(kept[each.group])) if each.group else each for each in before)

        def layer_of(layer: Layer) -> Layer:
            outputs = layer.rows * groups[layer.writes].size if layer.writes else layer.out_channels
            reads = segments(layer.reads)
            inputs = outputs if layer.grouped else sum(segment.places for segment in reads)
            units = groups[layer.writes].size if layer.grouped and layer.writes else layer.groups
            return replace(layer, in_channels=inputs, out_channels=outputs, groups=units, reads=reads)

        def norm_of(norm: Norm) -> Norm:
            parts = segments(norm.parts)
            return replace(norm, channels=sum(part.places for part in parts), parts=parts)

        layers, norms = tuple(map(layer_of, self.layers)), tuple(map(norm_of, self.norms))
        places = {layer.name: layer.reads for layer in layers} | {norm.name: norm.parts for norm in norms}

        def moved(parts: tuple[Part, ...], name: str) -> tuple[Part, ...]:
            return tuple(replace(part, start=_start(places.get(part.layer, ()), name)) for part in parts)

        groups = {
            name: replace(
                group,
                norms=moved(group.norms, name),
                consumers=moved(group.consumers, name),
                gate_points=moved(group.gate_points, name),
            )
            for name, group in groups.items()
        }
        streams = {
            name: replace(stream, shortcuts=tuple(settle.narrowed(each, kept, name) for each in stream.shortcuts))
            for name, stream in self.streams.items()
        }
        return replace(self, groups=groups, layers=layers, norms=norms, streams=streams)

    def __str__(self) -> str:
        return "\n".join(map(str, self.groups.values()))


def _start(segments: tuple[Segment, ...], group: str) -> int:
    """The first place of a group among segments; 0 if it is not there (it is all of the layer's rows then)."""
    places = 0
    for segment in segments:
        if segment.group == group:
            return places
        places += segment.places
    return 0
