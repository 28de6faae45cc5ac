"""Multiply-adds of a built network, counted by two libraries that know nothing of ours.

Convolutions and linear layers only; pooling, batch norm and activations count for nothing. A multiply-add is one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def count_macs(network: nn.Module, example: Tensor) -> int:
    """Multiply-adds for one image, by fvcore's count of convolution and linear operators.

    Args:
        network: left as it is.
        example: images [batch, channels, height, width] on the network's device.
    """
    with _evaluating(network), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore rests on torch.jit, which is deprecated
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(network, example)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        by_operator = analysis.by_operator()
    counted = sum(by_operator[name] for name in ("conv", "linear", "addmm", "matmul", "bmm"))
    return int(counted) // example.shape[0]


def count_macs_torch(network: nn.Module, example: Tensor) -> int:
    """The same by `torch.utils.flop_counter`, which counts two for a multiply-add."""
    from torch.utils.flop_counter import FlopCounterMode

    with _evaluating(network), FlopCounterMode(display=False) as counter:
        network(example)
    return int(counter.get_total_flops()) // 2 // example.shape[0]


def count_params(network: nn.Module) -> int:
    """All parameters, trainable or not."""
    return sum(parameter.numel() for parameter in network.parameters())


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
