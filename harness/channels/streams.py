"""Residual streams: which layers write them, where a branch ends, and what is removed with it.

The inputs of an addition are told apart by depth: those with the most convolutions behind them are branches, the
others are shortcuts. The layer that begins a stream is cut alone like a branch, but cannot be removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.channels.coupling import Coupled, Coupling, Node
from harness.channels.groups import Branch, Sum


@dataclass(eq=False)
class Writer:
    """A layer that writes a stream, with what follows it up to where its output is added or read.

    Attributes:
        layer: the convolution.
        norms: batch norms on the way.
        end: the last of them, or the convolution itself.
    """

    layer: str
    norms: tuple[str, ...]
    end: str


@dataclass(eq=False)
class FoundStream:
    """A stream as found.

    Attributes:
        coupled: all that is coupled by its additions.
        writers: that may be cut alone, {the convolution: writer}.
        projections: layers that write it as a shortcut, with the batch norms after them.
        sums: numbers of its additions, in order.
    """

    coupled: Coupled
    writers: dict[str, Writer] = field(default_factory=dict)
    projections: tuple[str, ...] = ()
    projection_norms: tuple[str, ...] = ()


@dataclass(eq=False)
class FoundSum:
    """An addition of more than one term.

    Attributes:
        node: the last operation of it.
        terms: what is added.
        branches: those terms that are branches, by the convolution that writes them.
    """

    node: Node
    terms: tuple[Node, ...]
    branches: dict[str, Node] = field(default_factory=dict)


def is_stream(coupled: Coupled) -> bool:
    """Whether several of the group's operations are added to each other."""
    return any(_adds(node, coupled.nodes) for node in coupled.nodes)


def _adds(node: Node, inside: set[Node]) -> bool:
    return node.kind == "add" and sum(source in inside for source in node.inputs) > 1


def find_stream(coupled: Coupled, shortcuts: Iterable[str]) -> tuple[FoundStream, list[FoundSum]]:
    """Writers, projections and sums of a stream.

    Without writers, if some layer's share in it is not clear: then the stream can be cut as a whole only.

    Args:
        shortcuts: layers without weights, which are neither writers nor projections.
    """
    stream = FoundStream(coupled)
    sums = _sums(coupled)
    term_of = {term: each for each in sums for term in each.terms}
    free = set(shortcuts)
    reads = {part.layer for part in coupled.columns}
    projections: list[str] = []
    projection_norms: list[str] = []
    for node in coupled.nodes:
        if node.kind not in ("conv", "linear") or node.name not in coupled.rows or node.name in free:
            continue
        if node.name not in reads and any(source in coupled.nodes for source in node.inputs):
            continue  # a depthwise convolution filters what others write
        chain = _chain(node)
        last = chain[-1]
        norms = tuple(each.name for each in chain if each.kind == "norm")
        writer = Writer(node.name, norms, norms[-1] if norms else node.name)
        if last not in term_of or len(last.outputs) > 1:
            if any(after.kind == "multiply" for after in last.outputs):
                continue  # a factor, such as squeeze-and-excitation's
            stream.writers[node.name] = writer
        elif last.depth < max(term.depth for term in term_of[last].terms):
            projections.append(node.name)
            projection_norms += norms
        else:
            stream.writers[node.name] = writer
            term_of[last].branches[node.name] = last
    deepest = [
        term
        for each in sums
        for term in each.terms
        if term.depth == max(other.depth for other in each.terms) and term not in each.branches.values()
    ]
    if deepest:
        return FoundStream(coupled), []
    stream.projections, stream.projection_norms = tuple(projections), tuple(projection_norms)
    return stream, sums


def _sums(coupled: Coupled) -> list[FoundSum]:
    """Additions, with those whose result only goes into another one as part of that."""
    adds = {node for node in coupled.nodes if _adds(node, coupled.nodes)}

    def partial(node: Node) -> bool:
        return node in adds and len(node.outputs) == 1 and node.outputs[0] in adds

    found = []
    for node in adds:
        if partial(node):
            continue
        terms: list[Node] = []
        waiting = list(node.inputs)
        while waiting:
            term = waiting.pop(0)
            if partial(term):
                waiting = term.inputs + waiting
            else:
                terms.append(term)
        found.append(FoundSum(node, tuple(terms)))
    return found


def _chain(node: Node) -> list[Node]:
    """The layer and the operations after it, each of which alone reads the one before and reads nothing else."""
    chain = [node]
    while len(chain[-1].outputs) == 1:
        after = chain[-1].outputs[0]
        if len(after.inputs) > 1 or after.kind not in ("norm", "other"):
            break
        chain.append(after)
    return chain


def branches_of(
    coupling: Coupling,
    streams: Sequence[FoundStream],
    sums: Sequence[FoundSum],
    names: Mapping[Coupled, str],
    removable_layers: set[str],
) -> tuple[dict[str, Branch], tuple[Sum, ...]]:
    """What hangs on each branch's end, and which branches are added together.

    Args:
        names: of all groups that are no branches.
        removable_layers: convolutions and batch norms.

    Returns:
        Branches by group, those that begin a stream included; sums in the order of `sums`. What is inside a branch
        within a branch is inside the inner one alone.
    """
    behind = _ancestors(coupling.nodes)
    added = {layer for each in sums for layer in each.branches}
    branches: dict[str, Branch] = {}
    numbered = []
    for number, each in enumerate(sums):
        for layer, term in each.branches.items():
            others = set().union(*(behind[other] | {other} for other in each.terms if other is not term))
            interior = _read_inside(coupling.nodes, (behind[term] | {term}) - others, term)
            layers = {node.name for node in interior if node.name}
            inner = [other for other in branches.values() if other.sum is not None and layers.issuperset(other.layers)]
            inners = {name for other in inner for name in other.inside}
            inside = [
                name
                for group, name in names.items()
                if layer not in group.rows and group.rows and layers.issuperset(group.rows) and name not in inners
            ]
            own = [stream.writers for stream in streams if names.get(stream.coupled) in inside]
            inside += [first for writers in own for first in writers if first not in added]
            writer = next(stream.writers[layer] for stream in streams if layer in stream.writers)
            removable = layers <= removable_layers
            order = tuple(node.name for node in coupling.nodes if node in interior and node.name)
            branches[layer] = Branch(layer, writer.end, tuple(inside), order, number if removable else None)
        shortcut = len(each.branches) < len(each.terms)
        numbered.append(Sum(tuple(each.branches), shortcut))
    for stream in streams:
        for layer, writer in stream.writers.items():
            if layer not in branches:
                branches[layer] = Branch(layer, writer.end, (), (), None)
    return branches, tuple(numbered)


def _read_inside(nodes: Sequence[Node], found: set[Node], last: Node) -> set[Node]:
    """What is left of `found` without the operations that something outside reads too; `last` is left in any case."""
    left = set(found)
    for node in reversed(nodes):
        if node in left and node is not last and not left.issuperset(node.outputs):
            left.remove(node)
    return left


def _ancestors(nodes: Sequence[Node]) -> dict[Node, set[Node]]:
    """For each operation all that it depends on."""
    behind: dict[Node, set[Node]] = {}
    for node in nodes:
        behind[node] = set().union(*(behind[source] | {source} for source in node.inputs))
    return behind
