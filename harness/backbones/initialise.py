"""Fresh weights, drawn from torch's global generator, also for networks whose layers were cut or taken out."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

LinearRule = Literal["normal", "framework", "fan_in"]
"""How linear layers start: N(0, 0.01) and bias 0; as torch makes them; U(±1 / √inputs) and bias 0."""


def initialise(network: nn.Module, linear: LinearRule = "normal") -> None:
    """Fresh weights as in DNAL's code.

    Convolutions N(0, √(2 / (kernel area · outputs))), counting all outputs even of a depthwise convolution; their
    biases 0; batch norm 1 and 0. Other layers and the statistics of batch norm are left as they are.

    Args:
        linear: how linear layers start.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            area = module.kernel_size[0] * module.kernel_size[1]
            nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / max(1, area * module.out_channels)))
        elif isinstance(module, nn.Linear):
            _initialise_linear(module, linear)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.affine:
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _initialise_linear(layer: nn.Linear, rule: LinearRule) -> None:
    bound = 1.0 / math.sqrt(max(1, layer.in_features))
    if rule == "normal":
        nn.init.normal_(layer.weight, 0.0, 0.01)
    else:
        nn.init.uniform_(layer.weight, -bound, bound)
    if layer.bias is not None and rule == "framework":
        nn.init.uniform_(layer.bias, -bound, bound)
    elif layer.bias is not None:
        nn.init.zeros_(layer.bias)
