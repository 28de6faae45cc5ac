"""torchvision's classification networks, with as many classes as the data set has and random weights."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
import torchvision
from torch import nn
from torch.overrides import TorchFunctionMode
from torchvision.models import get_model, list_models

from harness.backbones.initialise import initialise
from harness.data.catalogue import DataSet
from harness.errors import UserError


def build(data_set: DataSet, name: str) -> nn.Module:
    """A network as torchvision initialises it; nothing is downloaded.

    It returns one tensor of logits in training mode too: auxiliary heads are left out.

    Args:
        data_set: gives the classes, and the image size to the networks that are built for one size.
        name: as torchvision spells it.

    Raises:
        UserError: the installed torchvision has no such network.
    """
    if name not in list_models(module=torchvision.models):
        version = torchvision.__version__
        raise UserError(f"backbone 'torchvision/{name}': the installed torchvision ({version}) has no such network")
    with _NumbersOnTheProcessor() if name.startswith("regnet") else nullcontext():
        network: nn.Module = get_model(name, weights=None, num_classes=data_set.classes, **_extras(name, data_set))
    return network


class _NumbersOnTheProcessor(TorchFunctionMode):
    """For RegNets, which work their widths out with tensors: on the "meta" device these would have no values.

    Calls that name a device, as layers do for their own tensors, are left alone.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func in (torch.arange, torch.tensor):
            named.setdefault("device", "cpu")
        return func(*args, **named)


def _extras(name: str, data_set: DataSet) -> dict[str, Any]:
    if name in {"googlenet", "inception_v3"}:
        # init_weights is stated because torchvision warns that its default is going to change.
        return {"aux_logits": False, "init_weights": True}
    if name.startswith("vit_"):
        return {"image_size": data_set.size}
    if name.startswith("maxvit"):
        return {"input_size": (data_set.size, data_set.size)}
    return {}


def reset(network: nn.Module) -> None:
    """Draws initial weights from torch's global generator, in place, by one rule for all networks.

    Convolutions N(0, √(2 / (kernel area · outputs))) with biases 0 (He et al. 2015, fan-out), batch norm 1 and 0,
    linear layers as torch makes them; any other layer by its own `reset_parameters`. This is the rule for networks
    whose layers were cut; a whole network starts as torchvision's builder leaves it.

    Raises:
        UserError: some layer has weights of its own and no rule.
    """
    ruled = nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d
    for name, module in network.named_modules():
        if isinstance(module, ruled) or not any(True for _ in module.parameters(recurse=False)):
            continue
        if not callable(getattr(module, "reset_parameters", None)):
            raise UserError(f"layer {name!r} ({type(module).__name__}): nobody here knows how its weights start")
        module.reset_parameters()
    initialise(network, linear="framework")
