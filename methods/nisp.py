"""Channels that matter little to the final response go first (Yu et al., NISP, CVPR 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field

from harness.method import Paper, Params, ScoreMethod, Scores, Task
from methods._images import evaluating, images_of
from methods._maps import ACTIVATIONS, weighted_points

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from harness.channels.graph import ChannelGraph, ChannelGroup
    from harness.channels.groups import Part
    from harness.channels.structure import Layer, Norm, Segment

_PASSED = ACTIVATIONS | {
    *("max_pool2d", "max_pool2d_with_indices", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
    *("dropout", "dropout_", "dropout2d", "sigmoid", "sigmoid_", "hardsigmoid", "hardsigmoid_"),
}
_PRODUCTS = frozenset(("mul", "mul_", "__mul__", "__imul__", "__rmul__"))


class NispParams(Params):
    """Parameters of `nisp`."""

    images: Annotated[int, Field(ge=2, le=1_000_000)] = 2000
    """Training images whose final responses are ranked."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Weight of the spread of two responses against their lack of correlation."""
    batch_norm: Literal["identity", "scale"] = "identity"
    """What batch norm does to importance: nothing, as in the paper, or the factor |γ| / √(variance + ε)."""


class Nisp(ScoreMethod):
    """The importance of a channel is its share in that of the final response layer, propagated back through |weights|.

    A residual sum hands its importance to all that is added. A stream is scored where each layer writes it, and has
    the sum. Each group's mean is 1, which makes no difference within a group.
    """

    name = "nisp"
    title = "NISP"
    Params = NispParams
    paper = Paper(
        "Yu, Li, Chen, Lai, Morariu, Han, Gao, Lin, Davis",
        "NISP: Pruning Networks using Neuron Importance Score Propagation",
        "CVPR",
        2018,
    )

    def score(self, task: Task) -> Scores:
        """{group: importance}, from 0 up, of mean 1."""
        import torch

        params = task.params
        classifier = task.graph.layers[-1].name
        with evaluating(task.network), torch.no_grad():
            batches = images_of(task, params.images)
            responses = torch.cat([_input_of(task.network, classifier, images) for images in batches])
        final = infinite_selection(responses.double().cpu(), params.alpha)
        found = propagated(task.network, task.graph, task.groups, final, scaled=params.batch_norm == "scale")
        return {name: values / values.mean() if values.any() else values for name, values in found.items()}


def infinite_selection(responses: Tensor, alpha: float) -> Tensor:
    """The importance of each unit by infinite feature selection (Roffo et al., ICCV 2015).

    Units are the nodes of a graph, two of which are joined by α · the larger of their standard deviations (scaled to
    0..1) and 1 - α of their lack of rank correlation; importance is the sum over paths of every length. A unit that
    never changes is taken as correlated with all.

    Args:
        responses: [images, units].

    Returns:
        [units], positive.
    """
    import numpy
    import torch
    from scipy.stats import rankdata

    spread = responses.std(dim=0)
    lowest, highest = spread.min(), spread.max()
    spread = (spread - lowest) / (highest - lowest) if highest > lowest else torch.zeros_like(spread)
    with numpy.errstate(invalid="ignore", divide="ignore"):
        correlation = torch.from_numpy(numpy.atleast_2d(numpy.corrcoef(rankdata(responses.numpy(), axis=0).T)))
    lack = 1 - correlation.nan_to_num(nan=1.0).abs().clamp(max=1)
    edges = alpha * torch.maximum(spread[:, None], spread[None, :]) + (1 - alpha) * lack
    radius = float(torch.linalg.eigvalsh(edges).abs().max())
    one = torch.ones(len(edges), dtype=edges.dtype)
    if radius == 0:  # units that cannot be told apart
        return one
    identity = torch.eye(len(edges), dtype=edges.dtype)
    paths: Tensor = torch.linalg.solve(identity - 0.9 / radius * edges, one)
    return paths - one


def propagated(
    network: nn.Module, graph: ChannelGraph, groups: list[ChannelGroup], final: Tensor, *, scaled: bool = False
) -> dict[str, Tensor]:
    """Importances s = |W|ᵀ s' of channels, given those of the units that the classifier reads.

    Weights of one kernel are summed. The sums over layers are gradients: of a copy of the network with absolute
    weights and one pixel, in which activations, pooling and batch norm pass what they are given.

    Args:
        final: [units].
        scaled: whether batch norm multiplies by |γ| / √(variance + ε).

    Returns:
        {group: [channels]}, float64.
    """
    import copy

    import torch

    copied = copy.deepcopy(network).double().cpu().eval().requires_grad_(False)
    for layer in graph.layers:
        copied.set_submodule(layer.name, _absolute(copied.get_submodule(layer.name), layer, graph))
    for norm in graph.norms:
        module = copied.get_submodule(norm.name)
        copied.set_submodule(norm.name, _scale(module, norm, graph) if scaled else torch.nn.Identity())
    modules = dict(copied.named_modules())
    places = {
        group.name: [(part.layer, *_place(part, group, graph)) for part in weighted_points(modules, group)]
        for group in groups
    }
    outputs: dict[str, Tensor] = {}

    def written(layer: str) -> Callable[[Any, Any, Tensor], None]:
        def hook(module: Any, inputs: Any, output: Tensor) -> None:
            del module, inputs
            outputs[layer] = output

        return hook

    ends = list(dict.fromkeys(layer for parts in places.values() for layer, _, _ in parts))
    for end in ends:
        modules[end].register_forward_hook(written(end))
    image = torch.zeros(1, graph.shape[0], 1, 1, dtype=torch.float64, requires_grad=True)
    classifier = graph.layers[-1]
    with torch.enable_grad(), _passing():
        read = _input_of(copied, classifier.name, image)
    importance = _one_pixel(final.double().cpu(), classifier.reads, graph).view_as(read)
    found = torch.autograd.grad(read, [outputs[end] for end in ends], importance, allow_unused=True)
    zero = {end: torch.zeros_like(outputs[end]) for end in ends}
    gradients = {end: (zero[end] if each is None else each).flatten() for end, each in zip(ends, found, strict=True)}
    scores = {}
    for group in groups:
        members = [
            gradients[layer][start : start + group.size * rows].view(group.size, rows).sum(dim=1)
            for layer, start, rows in places[group.name]
        ]
        scores[group.name] = torch.stack(members).sum(dim=0)
    return scores


def _input_of(network: nn.Module, layer: str, images: Tensor) -> Tensor:
    """What a layer reads: [images, units], with the mean over positions where it reads maps of several pixels."""
    read: list[Tensor] = []
    handle = network.get_submodule(layer).register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    try:
        network(images)
    finally:
        handle.remove()
    return read[0].flatten(2).mean(dim=2) if read[0].dim() > 2 else read[0]


def _passing() -> Any:
    """A mode in which activations, pooling and dropout give back their input, and products are sums.

    So a factor, such as that of squeeze-and-excitation, is as important as what it multiplies.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class Passing(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = getattr(func, "__name__", "")
            if name in _PASSED:
                return args[0]
            if name in _PRODUCTS and all(isinstance(factor, torch.Tensor) for factor in args[:2]):
                return args[0] + args[1]
            if name == "linear" and args[0].shape[-1] != args[1].shape[-1]:  # it reads the pixels of the images
                channels = args[0].shape[-1]
                return func(args[0], args[1].reshape(len(args[1]), channels, -1).sum(dim=2))
            return func(*args, **(kwargs or {}))

    return Passing()


def _absolute(module: nn.Module, layer: Layer, graph: ChannelGraph) -> nn.Module:
    """The layer with absolute weights, those of one kernel summed, for maps of one pixel."""
    import torch
    from torch import nn

    weight = cast("Tensor", module.weight).detach().abs()
    made: nn.Conv2d | nn.Linear
    if layer.kind == "conv":
        made = nn.Conv2d(layer.in_channels, layer.out_channels, 1, groups=layer.groups, bias=False)
        summed = weight.sum(dim=(2, 3), keepdim=True)
    else:
        summed = _one_pixel(weight, layer.reads, graph)
        made = nn.Linear(summed.shape[1], layer.out_channels, bias=False)
    made.weight = nn.Parameter(summed.to(torch.float64), requires_grad=False)
    return made


def _scale(module: nn.Module, norm: Norm, graph: ChannelGraph) -> nn.Module:
    """Multiplication by batch norm's |γ| / √(variance + ε), as a 1 x 1 convolution or a linear layer."""
    import torch
    from torch import nn

    assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    assert module.running_var is not None
    factor = 1 / (module.running_var + module.eps).sqrt()
    if module.weight is not None:
        factor = factor * module.weight.detach().abs()
    factor = _one_pixel(factor, norm.parts, graph, mean=True)
    made: nn.Conv2d | nn.Linear
    if norm.kind == "conv":
        made = nn.Conv2d(len(factor), len(factor), 1, groups=len(factor), bias=False)
        made.weight = nn.Parameter(factor.view(-1, 1, 1, 1), requires_grad=False)
    else:
        made = nn.Linear(len(factor), len(factor), bias=False)
        made.weight = nn.Parameter(torch.diag(factor), requires_grad=False)
    return made


def _one_pixel(values: Tensor, segments: Sequence[Segment], graph: ChannelGraph, *, mean: bool = False) -> Tensor:
    """Values [..., places] summed (or averaged) over the pixels of one channel's row: [..., rows of all channels]."""
    import torch

    if not segments:
        return values
    parts = torch.split(values, [segment.places for segment in segments], dim=-1)
    summed = []
    for part, segment in zip(parts, segments, strict=True):
        pixels = segment.repeat // graph.groups[segment.group].rows if segment.group else segment.repeat
        by_pixel = part.reshape(*part.shape[:-1], -1, pixels)
        summed.append(by_pixel.mean(dim=-1) if mean else by_pixel.sum(dim=-1))
    return torch.cat(summed, dim=-1)


def _place(part: Part, group: ChannelGroup, graph: ChannelGraph) -> tuple[int, int]:
    """The first place of a group in a layer of one pixel, and places for each of its channels."""
    start = 0
    for norm in graph.norms:
        for segment in norm.parts if norm.name == part.layer else ():
            rows = graph.groups[segment.group].rows if segment.group else 1
            if segment.group == group.name:
                return start, rows
            start += segment.channels * rows
    return 0, group.rows
