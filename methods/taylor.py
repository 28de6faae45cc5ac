"""Channels without which the loss would change least, by first-order Taylor expansion, go first.

`of: filter` is the saliency of Lin et al., Accelerating Convolutional Networks via Global & Dynamic Filter Pruning
(IJCAI 2018), scored once; `of: gate` is Taylor-FO-BN of Molchanov et al. (CVPR 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from harness.method import Paper, Params, ScoreMethod, Scores, Task
from methods._images import dense_macs, evaluating
from methods._maps import weighted_points

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.channels.graph import ChannelGroup
    from harness.channels.groups import Part

Gradients = dict[str, "Tensor"]


class TaylorParams(Params):
    """Parameters of `taylor`."""

    of: Literal["filter", "gate"] = "filter"
    """`filter`: |Σ ∂L/∂w · w| over a filter and its bias; `gate`: (∂L/∂g)² of a factor g = 1 behind its batch norm."""
    batches: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Training batches that the saliency is averaged over."""


class Taylor(ScoreMethod):
    """The importance of a channel is how much the loss would change without it, averaged over batches.

    Batch norm uses its running statistics: with those of the batch the loss does not depend on the scale of a filter,
    and every sum would be zero. Where several layers write a channel their saliencies are added; those of a residual
    stream are divided by the number of layers that write it, or streams would outweigh all other groups.
    """

    name = "taylor"
    title = "Taylor-FO"
    Params = TaylorParams
    paper = Paper(
        "Molchanov, Mallya, Tyree, Frosio, Kautz", "Importance Estimation for Neural Network Pruning", "CVPR", 2019
    )

    def score(self, task: Task) -> Scores:
        """{group: mean saliency}, from 0 up."""
        import torch
        from torch.nn import functional

        network = task.network
        modules = dict(network.named_modules())
        saliency = _Filters(modules) if task.params.of == "filter" else _Gates(modules)
        wanted = {
            f"{layer}.{name}": parameter
            for layer in dict.fromkeys(layer for group in task.groups for layer in saliency.layers(group))
            for name, parameter in modules[layer].named_parameters(recurse=False)
        }
        totals = {group.name: torch.zeros(group.size, dtype=torch.float64) for group in task.groups}
        with evaluating(network):
            for images, labels in _batches(task, task.params.batches):
                loss = functional.cross_entropy(network(images), labels)
                gradients = dict(zip(wanted, torch.autograd.grad(loss, list(wanted.values())), strict=True))
                products = {name: (wanted[name] * gradients[name]).detach().double().cpu() for name in wanted}
                for group in task.groups:
                    totals[group.name] += saliency.of(group, products)
        return {name: total / task.params.batches for name, total in totals.items()}


class _Filters:
    """|Σ ∂L/∂w · w|, the absolute value of the sum over each filter and its bias."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        del modules

    def layers(self, group: ChannelGroup) -> list[str]:
        return list(group.producers)

    def of(self, group: ChannelGroup, products: Gradients) -> Tensor:
        import torch

        sums = [_rows(layer, products).view(group.size, group.rows).sum(dim=1).abs() for layer in group.producers]
        return _joined(group, torch.stack(sums))


class _Gates:
    """(∂L/∂g)² of a factor g = 1 on γ and β of the last batch norm, or on the filter and its bias where none is."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        self._modules = modules

    def layers(self, group: ChannelGroup) -> list[str]:
        return [part.layer for part in self._points(group)] or list(group.producers)

    def _points(self, group: ChannelGroup) -> list[Part]:
        points = weighted_points(self._modules, group)
        return [part for part in points if next(self._modules[part.layer].parameters(recurse=False), None) is not None]

    def of(self, group: ChannelGroup, products: Gradients) -> Tensor:
        import torch

        points = [(part.layer, part.start, part.repeat) for part in self._points(group)]
        # Without a layer that has weights behind them (batch norms without γ and β), the filters have the factor.
        points = points or [(layer, 0, group.rows) for layer in group.producers]
        slopes = [
            _rows(layer, products)[start : start + group.size * repeat].view(group.size, repeat).sum(dim=1)
            for layer, start, repeat in points
        ]
        return _joined(group, torch.stack(slopes).square())


def _rows(layer: str, products: Gradients) -> Tensor:
    """For each row of a layer the sum of its weights' and its bias's products."""
    weights = products[f"{layer}.weight"]
    total = weights.flatten(1).sum(dim=1) if weights.dim() > 1 else weights
    return total + products[f"{layer}.bias"] if f"{layer}.bias" in products else total


def _joined(group: ChannelGroup, members: Tensor) -> Tensor:
    """The saliencies [members, channels] of one group's layers as one: [channels]."""
    return members.mean(dim=0) if group.kind == "stream" else members.sum(dim=0)


def _batches(task: Task, wanted: int) -> Iterator[tuple[Tensor, Tensor]]:
    """So many augmented training batches, over as many passes as that takes, billed as training steps."""
    given = 0
    for epoch in count():
        for images, labels in task.training_batches(wanted - given, epoch=epoch):
            task.bill(3 * dense_macs(task.graph) * len(images))
            yield images.to(task.device), labels.to(task.device)
            given += 1
        if given == wanted:
            return
