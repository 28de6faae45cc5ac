"""Which channels Torch-Pruning finds coupled, in plain terms: operations, and groups of rows, columns and norms."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from harness.channels.groups import Part
from harness.channels.structure import first_line, hollow_input
from harness.errors import UserError

Operation = Literal["conv", "linear", "norm", "add", "multiply", "other"]


@dataclass(eq=False, repr=False)
class Node:
    """One operation of the forward pass.

    Attributes:
        kind: a convolution or linear layer, a batch norm, or what it does with its inputs if it has several.
        name: module path of a layer, else "".
        depth: convolutions and linear layers on the longest way from the images to here, this one included.
    """

    kind: Operation
    name: str = ""
    inputs: list[Node] = field(default_factory=list)
    outputs: list[Node] = field(default_factory=list)
    depth: int = 0


@dataclass(eq=False, repr=False)
class Coupled:
    """Channels that Torch-Pruning cuts together.

    Attributes:
        size: how many.
        rows: {producer: rows a channel}.
        norms: batch norms.
        columns: readers.
        nodes: all operations that have the channels as outputs; a layer that only reads them has not.
    """

    size: int
    rows: dict[str, int]
    norms: list[Part]
    columns: list[Part]
    nodes: set[Node]


@dataclass(frozen=True)
class Coupling:
    """What was found in a network.

    Attributes:
        nodes: in an order in which every operation comes after its inputs.
        groups: in no order; without those that reach the network's output.
    """

    nodes: tuple[Node, ...]
    groups: tuple[Coupled, ...]


def read_coupling(hollow: nn.Module, shape: tuple[int, ...]) -> Coupling:
    """Traces a skeleton without shortcuts of its own kind.

    Raises:
        UserError: Torch-Pruning fails, or couples channels in a way that cannot be said as groups of whole layers.
    """
    import torch_pruning

    names = {module: name for name, module in hollow.named_modules()}
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            found = torch_pruning.DependencyGraph()
            # A tuple: given a bare tensor, it would first try the images of the batch as separate arguments.
            found.build_dependency(hollow, (hollow_input(hollow, shape),), verbose=False)
            members = list(found.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]))
    except Exception as error:
        raise UserError(f"Torch-Pruning cannot trace the network: {first_line(error)}") from error
    finally:
        hollow.eval()
    nodes = _nodes(found.module2node.values(), names)
    read = [group for each in members if (group := _Reader(each, names, nodes).group()) is not None]
    convolutions = {name: module for module, name in names.items() if isinstance(module, nn.Conv2d)}
    return Coupling(_ordered(nodes.values()), tuple(_by_convolution_groups(read, convolutions)))


def _nodes(found: Iterable[Any], names: dict[nn.Module, str]) -> dict[Any, Node]:
    from torch_pruning.ops import OPTYPE

    kinds: dict[Any, Operation] = {
        OPTYPE.CONV: "conv",
        OPTYPE.DEPTHWISE_CONV: "conv",
        OPTYPE.LINEAR: "linear",
        OPTYPE.BN: "norm",
    }
    nodes: dict[Any, Node] = {}
    for each in found:
        kind = kinds.get(each.type, "other")
        function = str(getattr(each.module, "_grad_fn", ""))
        if len(set(each.inputs)) > 1:  # with a number it is as good as an activation
            if function.startswith(("AddBackward", "SubBackward")):
                kind = "add"
            elif function.startswith("MulBackward"):
                kind = "multiply"
        nodes[each] = Node(kind, names.get(each.module, "") if kind in ("conv", "linear", "norm") else "")
    for each, node in nodes.items():
        node.inputs = [nodes[source] for source in dict.fromkeys(each.inputs)]
        node.outputs = [nodes[target] for target in dict.fromkeys(each.outputs)]
    return nodes


def _ordered(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes, inputs first; sets their depths."""
    order: dict[Node, None] = {}
    for last in nodes:
        stack = [last]
        while stack:
            node = stack[-1]
            if node in order:
                stack.pop()
                continue
            waiting = [source for source in node.inputs if source not in order]
            if waiting:
                stack.extend(waiting)
                continue
            node.depth = max((source.depth for source in node.inputs), default=0)
            node.depth += node.kind in ("conv", "linear")
            order[node] = None
            stack.pop()
    return tuple(order)


class _Reader:
    """Reads one group of Torch-Pruning."""

    def __init__(self, members: Any, names: dict[nn.Module, str], nodes: dict[Any, Node]) -> None:
        from torch_pruning.ops import OPTYPE

        self.types = OPTYPE
        self.members = members
        self.names = names
        self.nodes = nodes
        self.root = members[0].dep.target.module

    def group(self) -> Coupled | None:
        """The group, or None if it reaches the network's output."""
        types = self.types
        if any(not member.dep.target.outputs and not self._reads(member) for member in self.members):
            return None
        size = len(self.members[0].idxs)
        rows: dict[str, int] = {}
        norms, columns = [], []
        for member in self.members:
            node = member.dep.target
            if node.type in (types.SPLIT, types.UNBIND, types.EXPAND, types.SLICE):
                raise self._refusal(f"pass through an operation of kind {node.type.name.lower()}")
            if node.type == types.BN:
                norms.append(self._part(member, size))
            elif node.type == types.DEPTHWISE_CONV:
                rows[self.names[node.module]] = self._whole(member, size, node.module.out_channels)
            elif node.type in (types.CONV, types.LINEAR):
                if self._reads(member):
                    columns.append(self._part(member, size))
                else:
                    linear = node.type == types.LINEAR
                    whole = node.module.out_features if linear else node.module.out_channels
                    rows[self.names[node.module]] = self._whole(member, size, whole)
            elif node.type not in (types.ELEMENTWISE, types.RESHAPE, types.PRELU, types.CONCAT):
                raise self._refusal(f"reach an operation of kind {node.type.name.lower()}")
        nodes = {self.nodes[member.dep.target] for member in self.members if not self._reads(member)}
        return Coupled(size, rows, norms, columns, nodes)

    def _reads(self, member: Any) -> bool:
        """Whether the member's columns are cut, not its rows."""
        weighted = member.dep.target.type in (self.types.CONV, self.types.LINEAR)
        return weighted and member.dep.handler.__name__ == "prune_in_channels"

    def _refusal(self, why: str) -> UserError:
        return UserError(f"the channels of layer {self.names[self.root]!r} {why}: that is not supported")

    def _part(self, member: Any, size: int) -> Part:
        """Where in a member the channels lie; a refusal unless they are neighbours and in order."""
        repeat = max(1, len(member.idxs) // size)
        start = min(member.idxs)
        together = sorted(member.idxs) == list(range(start, start + size * repeat))
        pairs = zip(member.idxs, member.root_idxs, strict=True)
        if not (together and all(root == (index - start) // repeat for index, root in pairs)):
            raise self._mixed(member)
        return Part(self.names[member.dep.target.module], repeat, start)

    def _whole(self, member: Any, size: int, rows: int) -> int:
        """Rows a channel of a producer; a refusal unless the channels are all its rows."""
        part = self._part(member, size)
        if part.start or part.repeat != 1 or rows != size:
            raise self._mixed(member)
        return 1

    def _mixed(self, member: Any) -> UserError:
        return self._refusal(f"are mixed with others in layer {self.names[member.dep.target.module]!r}")


def _by_convolution_groups(found: list[Coupled], convolutions: dict[str, nn.Conv2d]) -> list[Coupled]:
    """Joins what goes into a convolution with groups to what comes out: a channel is then a group of the convolution.

    Depthwise convolutions are joined by Torch-Pruning already.
    """
    for name, module in convolutions.items():
        if module.groups in (1, module.out_channels):
            continue
        written = next((group for group in found if name in group.rows), None)
        read = next((group for group in found for part in group.columns if part.layer == name), None)
        if written is None or read is None:
            raise UserError(f"layer {name!r} has groups, and the channels around it cannot be cut by whole groups")
        joined = _joined(name, module.groups, read, written)
        found = [group for group in found if group is not read and group is not written] + [joined]
    return found


def _joined(name: str, units: int, read: Coupled, written: Coupled) -> Coupled:
    rows: dict[str, int] = {}
    norms: list[Part] = []
    columns: list[Part] = []
    for group in dict.fromkeys((read, written)):
        if group.size % units:
            raise UserError(f"layer {name!r} has {units} groups, another layer of its channels cuts them elsewhere")
        each = group.size // units
        rows |= {layer: each * count for layer, count in group.rows.items()}
        norms += [Part(part.layer, each * part.repeat, part.start) for part in group.norms]
        columns += [Part(p.layer, each * p.repeat, p.start) for p in group.columns if p.layer != name]
    if len(set(rows.values())) > 1:
        raise UserError(f"layer {name!r} has groups of other sizes than the layers around it: that is not supported")
    return Coupled(units, rows, norms, columns, read.nodes | written.nodes)
