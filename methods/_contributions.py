"""What each channel adds to the outputs of the layers that read it, at sampled places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import StageFailure
from methods._images import evaluating

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from harness.channels.graph import ChannelGraph, ChannelGroup


def grams(
    network: nn.Module,
    graph: ChannelGraph,
    groups: Sequence[ChannelGroup],
    batches: Iterable[Tensor],
    places: int,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """XᵀX of each group, where X[i, c] is what channel c adds to the i-th sampled output of a layer that reads it.

    A group that several layers read has the samples of all. The end of a residual branch is read by an addition, to
    whose channel c its channel c alone adds something: XᵀX is diagonal, with the channels' energies.

    Args:
        network: evaluated, and left in the mode that it is in.
        batches: images [B, C, H, W] on the network's device.
        places: sampled outputs (channel, row and column) of each layer, an image.
        generator: draws them; on the CPU.

    Returns:
        {group: float64 [channels, channels]}, on the CPU.

    Raises:
        StageFailure: "invalid network" if nothing reads a group's channels, or a layer's inputs cannot be sampled.
    """
    import torch

    found = {group.name: torch.zeros(group.size, group.size, dtype=torch.float64) for group in groups}
    readers: dict[str, list[tuple[ChannelGroup, int, int]]] = {}
    handles = []
    for group in groups:
        if group.name in graph.branches:
            module = network.get_submodule(graph.branches[group.name].end)
            handles.append(module.register_forward_hook(_energy(group, found[group.name])))
        elif not group.consumers:
            raise StageFailure("invalid network", f"nothing reads group {group.name!r}: there is no output to rebuild")
        for part in group.consumers:
            readers.setdefault(part.layer, []).append((group, part.start, part.repeat))

    def sampling(shares: list[tuple[ChannelGroup, int, int]]) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            every = contributions(module, inputs[0], places, generator)[0]
            for group, start, repeat in shares:
                own = every[:, start : start + group.size * repeat].view(-1, group.size, repeat).sum(dim=2)
                found[group.name] += (own.T @ own).cpu()

        return hook

    for layer, shares in readers.items():
        handles.append(network.get_submodule(layer).register_forward_pre_hook(sampling(shares)))
    try:
        with evaluating(network), torch.no_grad():
            for images in batches:
                network(images)
    finally:
        for handle in handles:
            handle.remove()
    return found


def contributions(
    module: nn.Module, inputs: Tensor, places: int, generator: torch.Generator
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What each input place of a layer adds to outputs drawn at random.

    Args:
        module: a convolution without groups, or a linear layer.
        inputs: as the layer reads them: [B, channels, height, width], or [B, ..., features].
        places: outputs for each image.

    Returns:
        float64 [B · places, channels], whose row sums are the outputs without the layer's bias; and where these are in
        the layer's output, as indices (image, channel, row, column), or (row, feature) for a linear layer.

    Raises:
        StageFailure: "invalid network" for another layer.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    count = len(inputs) * places

    def drawn(below: int) -> Tensor:
        return torch.randint(below, (count,), generator=generator).to(inputs.device)

    if isinstance(module, nn.Linear):
        flat = inputs.flatten(0, -2)
        rows, features = drawn(len(flat)), drawn(module.out_features)
        return (module.weight[features] * flat[rows]).double(), (rows, features)
    if not isinstance(module, nn.Conv2d) or module.groups > 1:
        raise StageFailure("invalid network", f"the inputs of {type(module).__name__} are no plain sum over channels")
    mode: Any = "constant" if module.padding_mode == "zeros" else module.padding_mode
    padded = functional.pad(inputs, module._reversed_padding_repeated_twice, mode=mode)
    kernel, stride, dilation = module.kernel_size, module.stride, module.dilation
    heights = [
        (length - dilation[axis] * (kernel[axis] - 1) - 1) // stride[axis] + 1
        for axis, length in enumerate(padded.shape[2:])
    ]
    image = torch.arange(len(inputs), device=inputs.device).repeat_interleave(places)
    feature, row, column = drawn(module.out_channels), drawn(heights[0]), drawn(heights[1])
    taps = [torch.arange(kernel[axis], device=inputs.device) * dilation[axis] for axis in (0, 1)]
    rows = (row * stride[0])[:, None, None] + taps[0][None, :, None]
    columns = (column * stride[1])[:, None, None] + taps[1][None, None, :]
    patches = padded[image[:, None, None], :, rows, columns]  # [samples, kernel height, kernel width, channels]
    filters = module.weight[feature].permute(0, 2, 3, 1)
    return (patches.double() * filters.double()).sum(dim=(1, 2)), (image, feature, row, column)


def _energy(group: ChannelGroup, total: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    """A hook that adds the energy of each channel to the diagonal of `total`."""

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        del module, inputs
        sums = output.double().square().transpose(0, 1).flatten(1).sum(dim=1)
        total.diagonal().add_(sums.view(group.size, group.rows).sum(dim=1).cpu())

    return hook
