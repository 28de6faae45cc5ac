"""Counts by the DNAL code's rule, written down independently of the harness's own counters."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn

from harness.backbones import build
from harness.data.catalogue import data_set


def counted(backbone: str, data: str, without_norms_of: str = "") -> tuple[int, int]:
    """(multiply-adds, parameters) by the rule: convolutions, linear layers, biases and 2-d batch norms.

    A bias and a channel of a 2-d batch norm cost one operation each, whatever the resolution; 1-d batch norms cost
    nothing.

    Args:
        without_norms_of: batch norms whose name contains it are left out; "" leaves none out.
    """
    totals: Counter[str] = Counter()

    def note(name: str, module: nn.Module, output: Tensor) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            positions = output[0, 0].numel() if output.dim() == 4 else 1
            totals["macs"] += module.weight.numel() * positions
            totals["params"] += module.weight.numel()
            if module.bias is not None:
                totals["macs"] += module.bias.numel()
                totals["params"] += module.bias.numel()
        elif isinstance(module, nn.BatchNorm2d) and not (without_norms_of and without_norms_of in name):
            totals["macs"] += module.num_features
            totals["params"] += 2 * module.num_features

    declared = data_set(data)
    with torch.device("meta"):
        network = build(backbone, declared).eval()
        images = torch.empty(1, declared.channels, declared.size, declared.size)
    for name, module in network.named_modules():
        module.register_forward_hook(lambda module, inputs, output, name=name: note(name, module, output))
    network(images)
    return totals["macs"], totals["params"]
