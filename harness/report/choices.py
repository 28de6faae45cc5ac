"""What a point kept of a supernet whose layers are sums of candidates: the derived network, candidate by candidate.

A supernet is known by the names of its channel groups: `mixed7.k5e6.expand` are the hidden channels of the candidate
with kernel 5 and expansion 6 in the seventh mixed layer, `mixed7.k5e6.project` its output channels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.report.blocks import Block, Line
from harness.report.entries import Entry
from harness.report.numbers import MISSING
from harness.store.rows import Row

_GROUP = re.compile(r"mixed(\d+)\.k(\d+)e(\d+)\.(\w+)")
_MOST_OTHERS = 12

Key = tuple[int, int, int]
"""(mixed layer, kernel, expansion)."""


@dataclass(frozen=True)
class Kept:
    """How much of one channel group stayed.

    Attributes:
        counts: channels kept, one a seed; 0 where the candidate was removed.
        size: how many there were.
    """

    counts: tuple[int, ...]
    size: int

    @property
    def mean(self) -> float:
        """Of the seeds."""
        return sum(self.counts) / len(self.counts)

    def __str__(self) -> str:
        text = f"{self.mean:.1f}"
        return f"{text.removesuffix('.0')}/{self.size}"


@dataclass(frozen=True)
class Candidate:
    """One branch of a mixed layer.

    Attributes:
        key: which.
        hidden: channels between expansion and projection; None if they could not be cut.
        output: channels that it writes; None if they could not be cut.
        removed: for each seed, whether nothing is left of it.
    """

    key: Key
    hidden: Kept | None
    output: Kept | None
    removed: tuple[bool, ...]

    def __str__(self) -> str:
        if all(self.removed):
            return "removed"
        text = " → ".join(str(kept) if kept is not None else "whole" for kept in (self.hidden, self.output))
        gone = sum(self.removed)
        return text + (f" in {len(self.removed) - gone} of {len(self.removed)}" if gone else "")


@dataclass(frozen=True)
class Choices:
    """What one point kept of a supernet.

    Attributes:
        entry: the point.
        title: what a table calls it.
    """

    entry: Entry
    title: str

    @cached_property
    def candidates(self) -> dict[Key, Candidate]:
        """By layer, kernel, expansion."""
        rows = self.entry.done
        names: dict[Key, dict[str, str]] = {}
        for name in rows[0].widths:
            if parts := parsed(name):
                key, is_output = parts
                names.setdefault(key, {})["output" if is_output else "hidden"] = name
        return {key: _candidate(key, names[key], rows) for key in sorted(names)}

    @cached_property
    def layers(self) -> list[int]:
        """Numbers of the mixed layers."""
        return sorted({layer for layer, _, _ in self.candidates})

    @cached_property
    def kinds(self) -> list[tuple[int, int]]:
        """(kernel, expansion) of the candidates."""
        return sorted({(kernel, expansion) for _, kernel, expansion in self.candidates})

    def of_layer(self, layer: int) -> list[Candidate]:
        """The candidates of a mixed layer."""
        return [candidate for (own, _, _), candidate in self.candidates.items() if own == layer]

    def width(self, layer: int) -> int | None:
        """How many channels a mixed layer writes in the whole supernet; None if they could not be cut."""
        return next((each.output.size for each in self.of_layer(layer) if each.output is not None), None)


def parsed(group: str) -> tuple[Key, bool] | None:
    """Which candidate a channel group belongs to, and whether it is the output; None for other groups."""
    found = _GROUP.fullmatch(group)
    if found is None:
        return None
    layer, kernel, expansion, module = found.groups()
    return (int(layer), int(kernel), int(expansion)), module == "project"


def choices(found: Sequence[Entry], marked_cuts: bool = False) -> Iterator[Choices]:
    """The points whose widths the method itself chose on a supernet.

    Args:
        found: the printed lines.
        marked_cuts: whether a title must say what may be cut, as the lines differ in it.
    """
    for entry in found:
        if entry.kind == "natural" and entry.done and not entry.is_whole and any(map(parsed, entry.done[0].widths)):
            yield Choices(entry, f"{entry.title} ({entry.cuts})" if marked_cuts else entry.title)


def choice_blocks(chosen: Sequence[Choices]) -> tuple[Block, ...]:
    """One block a point: a line for each mixed layer, a column for each candidate."""
    return tuple(map(_block, chosen))


def _candidate(key: Key, names: dict[str, str], rows: Sequence[Row]) -> Candidate:
    removed = tuple(any(row.widths[name][0] == 0 for name in names.values()) for row in rows)

    def kept(part: str) -> Kept | None:
        if part not in names:
            return None
        widths = [row.widths[names[part]] for row in rows]
        counts = (0 if gone else count for gone, (count, _) in zip(removed, widths, strict=True))
        return Kept(tuple(counts), widths[0][1])

    return Candidate(key, kept("hidden"), kept("output"), removed)


def _block(chosen: Choices) -> Block:
    lines = []
    for layer in chosen.layers:
        width = chosen.width(layer)
        candidates = chosen.of_layer(layer)
        texts = {candidate.key[1:]: str(candidate) for candidate in candidates}
        left = sum(not gone for candidate in candidates for gone in candidate.removed) / len(chosen.entry.done)
        label = f"{layer} ({width})" if width is not None else str(layer)
        cells = [texts.get(kind, MISSING) for kind in chosen.kinds]
        lines.append(Line((label, *cells, f"{left:.1f}".removesuffix(".0") + f" of {len(candidates)}")))
    seeds = len(chosen.entry.done)
    told = (
        "Layer: its number, and how many channels it writes. A cell is the candidate with kernel k and expansion e: "
        "hidden channels kept / of how many → output channels kept / of how many. Branches: how many are left."
    )
    if seeds > 1:
        told += f' Means over {seeds} seeds; "in 2 of 3" is in how many a candidate is left, the others count as 0.'
    notes = [told]
    others = _others(chosen.entry)
    if others:
        notes.append(f"Beside the candidates: {', '.join(others)}.")
    header = ("Layer", *(f"k{kernel} e{expansion}" for kernel, expansion in chosen.kinds), "Branches")
    return Block(f"What is left of the supernet: {chosen.title}", header, tuple(lines), tuple(notes))


def _others(entry: Entry) -> list[str]:
    """What was kept of the groups that belong to no candidate."""
    rows = entry.done
    names = [name for name in rows[0].widths if parsed(name) is None]
    told = [f"{name} {Kept(tuple(row.widths[name][0] for row in rows), rows[0].widths[name][1])}" for name in names]
    return told if len(told) <= _MOST_OTHERS else [*told[:_MOST_OTHERS], f"and {len(told) - _MOST_OTHERS} more"]
