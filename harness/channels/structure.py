"""What a network is made of, read from one forward pass that computes nothing.

A skeleton is a copy of a network whose tensors have shapes but no memory (torch's "meta" device): tracing it leaves
the network's weights, statistics, mode, gradients and random numbers alone, and costs milliseconds at any width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from harness.errors import UserError


@dataclass(frozen=True)
class Segment:
    """Neighbouring places (columns of a weight, channels of a batch norm) that belong to one group.

    Attributes:
        group: the channel group that decides them, or None where they cannot be cut.
        channels: of the group.
        repeat: places for each channel.
    """

    group: str | None
    channels: int
    repeat: int = 1

    @property
    def places(self) -> int:
        """How many."""
        return self.channels * self.repeat


@dataclass(frozen=True)
class Layer:
    """A convolution or a linear layer of the whole network.

    Attributes:
        name: module path.
        kind: what it is.
        in_channels: columns of its weight, all convolution groups together.
        out_channels: rows of its weight.
        groups: of the convolution; each is cut or kept whole, with the rows and columns that belong to it.
        area: weights of one kernel (height x width); 1 for a linear layer.
        positions: how often the kernel is applied to one image.
        bias: whether each row has one.
        reads: who decides its columns, in order; empty for a convolution with groups, where `writes` does.
        writes: the channel group of its rows (of a residual branch: the branch's), or None where they cannot be cut.
        rows: rows for each channel of `writes`.
        after: the branches whose sum it reads a stream behind, or the one that begins the stream.
        projection: whether it is the shortcut of a sum.
    """

    name: str
    kind: Literal["conv", "linear"]
    in_channels: int
    out_channels: int
    groups: int
    area: int
    positions: int
    bias: bool
    reads: tuple[Segment, ...] = ()
    writes: str | None = None
    rows: int = 1
    after: tuple[str, ...] = ()
    projection: bool = False

    @property
    def grouped(self) -> bool:
        """Whether it filters groups of channels apart from each other (depthwise, if each is one channel)."""
        return self.groups > 1


@dataclass(frozen=True)
class Norm:
    """A batch norm of the whole network.

    Attributes:
        name: module path.
        channels: how many it normalises.
        kind: "conv" for `BatchNorm2d`, "linear" for `BatchNorm1d`.
        affine: whether it has weight and bias.
        parts: who decides its channels, in order.
        projection: whether it normalises what a shortcut's projection writes.
    """

    name: str
    channels: int
    kind: Literal["conv", "linear"]
    affine: bool
    parts: tuple[Segment, ...] = ()
    projection: bool = False


_REFUSED = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.MultiheadAttention,
    nn.RNNBase,
    nn.Embedding,
    nn.ChannelShuffle,
    nn.PixelShuffle,
)


def skeleton(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode with shapes but no values; shares nothing that a forward pass changes."""
    hollow: dict[int, Any] = {}
    for parameter in network.parameters():
        hollow[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"))
    for buffer in network.buffers():
        hollow[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(network, hollow).eval()


def hollow_input(network: nn.Module, shape: tuple[int, ...], batch: int = 1) -> Tensor:
    """Images [batch, *shape] without values, of the network's floating type."""
    kinds = (parameter.dtype for parameter in network.parameters() if parameter.is_floating_point())
    return torch.empty(batch, *shape, dtype=next(kinds, torch.float32), device="meta")


def first_line(error: BaseException) -> str:
    """One line that names the error and says what it says."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__


def is_shortcut(module: nn.Module) -> bool:
    """Whether a layer without weights says which channel it writes where (the option-A shortcut of ResNets)."""
    return hasattr(module, "channel_targets")


def with_stand_ins(hollow: nn.Module) -> nn.Module:
    """The skeleton with a 1 x 1 convolution for each such shortcut: its inputs and outputs are groups of their own."""
    for name, module in list(hollow.named_modules()):
        if is_shortcut(module):
            stand_in = nn.Conv2d(
                int(module.in_channels),
                int(module.out_channels),
                1,
                int(module.stride),
                bias=False,
                device="meta",
            )
            hollow.set_submodule(name, stand_in)
    return hollow


def refuse_unsupported(network: nn.Module) -> None:
    """Raises UserError naming the first layer whose channels nobody here knows how to cut."""
    own_weights = []
    for name, module in network.named_modules():
        what = type(module).__name__
        where = f"layer {name or 'network'!r} ({what})"
        if hasattr(module, "gate_values"):
            raise UserError(f"{where} carries a gate: the channel graph is made of the network without gates")
        if isinstance(module, _REFUSED):
            raise UserError(f"{where}: cutting channels is not supported for {what}")
        if isinstance(module, nn.Conv2d) and not isinstance(module, nn.LazyConv2d):
            if module.groups > 1 and module.in_channels != module.out_channels:
                raise UserError(
                    f"{where} has {module.groups} groups for {module.in_channels} inputs and {module.out_channels} "
                    "outputs: convolutions with groups are supported only with as many outputs as inputs"
                )
        elif isinstance(module, nn.PReLU):
            if module.num_parameters > 1:
                raise UserError(f"{where} has a slope for each channel: only one slope for all is supported")
        elif not isinstance(module, nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d) and any(
            True for _ in module.parameters(recurse=False)
        ):
            own_weights.append(f"{where} has weights of its own: cutting channels is not supported for {what}")
    if own_weights:
        raise UserError(own_weights[0])
    owners: dict[nn.Parameter, str] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        if parameter in owners:
            raise UserError(f"{name!r} and {owners[parameter]!r} are one tensor: shared weights are not supported")
        owners[parameter] = name


class _Rearrangements(torch.overrides.TorchFunctionMode):
    """Notes in which layer channels are split or shuffled by reshaping, which a graph of groups cannot say."""

    def __init__(self, running: list[str]) -> None:
        super().__init__()
        self.running = running
        self.found: tuple[str, str] | None = None

    def __torch_function__(
        self, function: Any, types: Any, arguments: tuple[Any, ...] = (), options: dict[str, Any] | None = None
    ) -> Any:
        options = options or {}
        name = getattr(function, "__name__", "")
        tensor = arguments[0] if arguments and isinstance(arguments[0], Tensor) else None
        if tensor is not None and self.found is None and self.running:
            splits = name in {"chunk", "split", "tensor_split"} and tensor.dim() == 4
            dimension = options.get("dim", arguments[2] if len(arguments) > 2 else 0)
            if splits and dimension in (1, -3):
                self.found = (self.running[-1], "splits its channels")
            elif name in {"transpose", "permute", "movedim"} and tensor.dim() == 5:
                self.found = (self.running[-1], "shuffles its channels")
        return function(*arguments, **options)


def read_structure(hollow: nn.Module, shape: tuple[int, ...]) -> tuple[tuple[Layer, ...], tuple[Norm, ...]]:
    """Layers and batch norms in the order in which they run.

    Args:
        hollow: a skeleton.
        shape: of one image, [channels, height, width].

    Raises:
        UserError: the network does not run on such images, or a layer runs more than once.
    """
    layers: dict[str, Layer] = {}
    norms: dict[str, Norm] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            del inputs
            if name in layers or name in norms:
                raise UserError(f"layer {name!r} runs more than once in a forward pass: that is not supported")
            if isinstance(module, nn.Conv2d):
                layers[name] = Layer(
                    name,
                    "conv",
                    module.in_channels,
                    module.out_channels,
                    module.groups,
                    area=module.kernel_size[0] * module.kernel_size[1],
                    positions=output[0, 0].numel(),
                    bias=module.bias is not None,
                )
            elif isinstance(module, nn.Linear):
                positions = output[0].numel() // module.out_features
                layers[name] = Layer(
                    name, "linear", module.in_features, module.out_features, 1, 1, positions, module.bias is not None
                )
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                kind: Literal["conv", "linear"] = "conv" if isinstance(module, nn.BatchNorm2d) else "linear"
                norms[name] = Norm(name, module.num_features, kind, module.affine)

        return note

    hooks = [
        module.register_forward_hook(watch(name))
        for name, module in hollow.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    running: list[str] = []
    inner = [(name, module) for name, module in hollow.named_modules() if name]
    hooks += [module.register_forward_pre_hook(lambda *_, name=name: running.append(name)) for name, module in inner]
    hooks += [module.register_forward_hook(lambda *_: running.pop() and None) for _, module in inner]
    rearrangements = _Rearrangements(running)
    try:
        with torch.no_grad(), rearrangements:
            logits = hollow(hollow_input(hollow, shape))
            if not isinstance(logits, Tensor) or logits.dim() != 2:
                raise UserError("the network must return one tensor of logits [images, classes]")
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"the network does not run on images {list(shape)}: {first_line(error)}") from error
    finally:
        for hook in hooks:
            hook.remove()
    if rearrangements.found is not None:
        name, what = rearrangements.found
        kind = type(hollow.get_submodule(name)).__name__
        raise UserError(f"layer {name!r} ({kind}) {what}: cutting channels is not supported there")
    return tuple(layers.values()), tuple(norms.values())
