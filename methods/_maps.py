"""What the channels of every group look like behind their activation, for all groups in one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from methods._images import evaluating

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.channels.graph import ChannelGroup
    from harness.channels.groups import Part

ACTIVATIONS = frozenset(
    (
        *("relu", "relu_", "relu6", "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "prelu", "elu", "elu_"),
        *("celu", "selu", "gelu", "silu", "mish", "hardswish"),
    )
)
SUMS = frozenset(("add", "add_", "__add__", "__iadd__", "__radd__"))
POOLS = frozenset(("max_pool2d", "max_pool2d_with_indices"))


def mean_over_images(
    network: nn.Module,
    groups: Sequence[ChannelGroup],
    images: Iterable[Tensor],
    measure: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    """A measure of each channel's maps, averaged over images and over the places where a group is seen.

    A group is seen behind its last batch norm and the activation that follows. What is added into a residual stream is
    seen behind the sum, its activation and its max-pooling, if an activation follows the sum, and else behind its
    batch norm. A stream is seen wherever it is written; layers that write one sum together are seen once.

    Args:
        images: batches [images, channels, height, width].
        measure: maps [images, channels, height, width] to one number for each channel of each image.

    Returns:
        {group: [channels]}, float64, on the CPU.

    Raises:
        StageFailure: "diverged" if a map is not finite.
    """
    import torch

    from harness.errors import StageFailure

    totals: dict[str, Tensor] = {}
    seen = 0
    with evaluating(network), torch.no_grad():
        for batch in images:
            maps = _maps(network, groups, batch)
            for group in groups:
                if not all(bool(each.isfinite().all()) for each in maps[group.name]):
                    raise StageFailure("diverged", f"feature maps of group {group.name!r} are not numbers")
                members = [measure(each).double().sum(dim=0).cpu() for each in maps[group.name]]
                total = torch.stack(members).mean(dim=0).view(group.size, -1).mean(dim=1)
                totals[group.name] = totals.get(group.name, torch.zeros_like(total)) + total
            seen += len(batch)
    return {name: total / seen for name, total in totals.items()}


def _maps(network: nn.Module, groups: Sequence[ChannelGroup], images: Tensor) -> dict[str, list[Tensor]]:
    """{group: its different maps [images, places, height, width]}; a channel has the same number of places in each."""
    modules = dict(network.named_modules())
    points = {group.name: weighted_points(modules, group) for group in groups}
    joins = {part.layer for group in groups if group.kind in ("branch", "stream") for part in points[group.name]}
    layers = {part.layer for parts in points.values() for part in parts}
    behind = _behind({name: modules[name] for name in sorted(layers)}, joins, lambda: network(images))
    found: dict[str, list[Tensor]] = {}
    for group in groups:
        different: dict[tuple[int, int], Tensor] = {}
        for part in points[group.name]:
            whole = behind[part.layer]
            places = whole[:, part.start : part.start + group.size * part.repeat]
            different[id(whole), part.start] = places.reshape(*places.shape[:2], *(places.shape[2:] or (1, 1)))
        found[group.name] = list(different.values())
    return found


def weighted_points(modules: dict[str, nn.Module], group: ChannelGroup) -> list[Part]:
    """The group's gate points that are layers with weights, not shortcuts."""
    return [part for part in group.gate_points if not hasattr(modules[part.layer], "channel_targets")]


def _behind(layers: dict[str, nn.Module], joins: set[str], forward: Callable[[], object]) -> dict[str, Tensor]:
    """{layer: what becomes of its output behind the activation that follows it}.

    Functions are watched, not modules, because most networks call their activations as functions.

    Args:
        joins: layers whose output is followed through a sum, and through the max-pooling behind its activation.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    found: dict[str, Tensor] = {}
    # Tensors are held, not only their ids, so that no id is given to another one meanwhile.
    fresh: dict[int, tuple[Tensor, set[str]]] = {}  # no activation yet
    active: dict[int, tuple[Tensor, set[str]]] = {}  # an activation was applied

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = getattr(func, "__name__", "")
            read = [argument for argument in args if isinstance(argument, torch.Tensor)]
            before = {layer for each in read for layer in fresh.get(id(each), (None, set()))[1]}
            behind = {layer for each in read for layer in active.get(id(each), (None, set()))[1]}
            result = func(*args, **(kwargs or {}))
            if not isinstance(result, torch.Tensor):
                return result
            if name in ACTIVATIONS and before:
                fresh.pop(id(result), None)
                active[id(result)] = (result, before)
                found.update(dict.fromkeys(before, result))
            elif name in SUMS and before & joins:
                fresh[id(result)] = (result, before & joins)
                active.pop(id(result), None)
            elif name in POOLS and behind & joins:
                active[id(result)] = (result, behind & joins)
                found.update(dict.fromkeys(behind & joins, result))
            return result

    def written(layer: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            del module, inputs
            found[layer] = output
            fresh[id(output)] = (output, {layer})

        return hook

    handles = [module.register_forward_hook(written(layer)) for layer, module in layers.items()]
    try:
        with Watch():
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return found
