"""What a channel graph is made of: groups of channels, and where they are written, normalised, gated and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KeptChannels = dict[str, tuple[int, ...]]
"""{group: ascending indices that stay}; a group that is absent is kept whole."""

Kind = Literal["inner", "stream", "depthwise", "branch", "fc"]


@dataclass(frozen=True)
class Part:
    """The share that a group has in a layer: channel c of the group owns `repeat` places from start + c · repeat on.

    Attributes:
        layer: module path.
        repeat: places for each channel (more than 1 after a flatten, or where convolution groups are cut whole).
        start: the first place (not 0 after a concatenation).
    """

    layer: str
    repeat: int = 1
    start: int = 0

    def __str__(self) -> str:
        notes = [f"{self.repeat} places a channel"] if self.repeat > 1 else []
        notes += [f"from place {self.start} on"] if self.start else []
        return f"{self.layer} ({', '.join(notes)})" if notes else self.layer


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that must be cut together.

    Attributes:
        name: module path of the first producer; for a stream `stream:` and that.
        size: how many channels. Where a convolution has groups, each of these is one channel.
        kind: "inner" between two layers of a plain chain; "depthwise" if a convolution with groups filters them;
            "branch" for what one layer writes into a residual stream; "stream" for the stream itself, cut in all
            layers that write it; "fc" if linear layers write them.
        producers: layers whose rows are the channels; a depthwise convolution is one.
        rows: rows of a producer for each channel.
        norms: batch norms of the channels.
        consumers: layers whose columns read the channels. A branch has none: it is read through its stream.
        gate_points: the last batch norms before the consumers, and producers (or shortcuts without weights) that
            none follows: zero there is zero for every consumer.
        stream: the stream that a branch writes into; None for other kinds.
    """

    name: str
    size: int
    kind: Kind
    producers: tuple[str, ...]
    norms: tuple[Part, ...]
    consumers: tuple[Part, ...]
    gate_points: tuple[Part, ...]
    rows: int = 1
    stream: str | None = None

    def __str__(self) -> str:
        parts = [f"written by {', '.join(self.producers)}"]
        if self.norms:
            parts.append(f"normalised by {', '.join(map(str, self.norms))}")
        if self.stream is not None:
            parts.append(f"added into {self.stream}")
        else:
            parts.append(f"read by {', '.join(map(str, self.consumers)) or 'nobody'}")
        parts.append(f"gate at {', '.join(map(str, self.gate_points))}")
        return f"{self.name}: {self.size} {self.kind} channels, {'; '.join(parts)}"


@dataclass(frozen=True)
class Shortcut:
    """A layer without weights that writes the channels of one stream into another (`channel_targets` of the module).

    Attributes:
        layer: module path.
        source: the stream (or other group) that it reads.
        targets: for each channel of the source the channel of the stream that it is written to; -1: to none.
    """

    layer: str
    source: str
    targets: tuple[int, ...]


@dataclass(frozen=True)
class Stream:
    """Who writes into a stream.

    Attributes:
        group: the stream's group.
        writers: the branches that write into it, each of which may be cut alone.
        fixed: whether a layer that is no branch (a projection) writes all its channels.
        shortcuts: layers without weights that write into it.
        drains: whether a channel that nobody writes is zero for every reader, so that cutting it changes nothing.
    """

    group: str
    writers: tuple[str, ...]
    fixed: bool
    shortcuts: tuple[Shortcut, ...]
    drains: bool


@dataclass(frozen=True)
class Branch:
    """The end of a residual branch, and what hangs on it.

    Attributes:
        group: the branch's group.
        end: the layer after which its channels are written into the stream.
        inside: the groups whose channels nobody but this branch reads, without those inside a branch within it.
        layers: its convolutions and batch norms, the end included; they are removed with it.
        sum: number of the addition that it ends in; None if it cannot be removed, such as the layer that begins a
            stream.
    """

    group: str
    end: str
    inside: tuple[str, ...]
    layers: tuple[str, ...]
    sum: int | None


@dataclass(frozen=True)
class Sum:
    """An addition into a stream.

    Attributes:
        branches: the groups of the branches that it adds.
        shortcut: whether it also adds something that is no branch: an identity or a projection.
    """

    branches: tuple[str, ...]
    shortcut: bool
