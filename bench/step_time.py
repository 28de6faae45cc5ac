"""How much time fewer MACs save: one training step of a whole network against uniform width at a quarter of its MACs.

    python bench/step_time.py

One thread, CPU, channels last, medians over pairs of steps taken in turn; prints the table of docs/footguns.md.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from harness.backbones.catalogue import build
from harness.channels.allocate import best_channels, uniform_widths
from harness.channels.cost import CostModel
from harness.channels.graph import ChannelGraph
from harness.channels.surgery import cut
from harness.data.catalogue import data_set

CASES = (("vgg_digits", "digits", 64, 60), ("vgg16_eighth", "cifar10", 64, 30), ("vgg16", "cifar10", 16, 6))


def quarter(backbone: str, data: str) -> tuple[nn.Module, nn.Module, float]:
    """The whole network, the network at a quarter of its MACs, and how many times fewer MACs it has."""
    declared = data_set(data)
    whole = build(backbone, declared, seed=0)
    example = torch.zeros(1, declared.channels, declared.size, declared.size)
    graph = ChannelGraph.trace(whole, example)
    groups = graph.cuttable(["inner"])
    model = CostModel(whole, graph, example)
    widths = uniform_widths(groups, model.macs, model.dense_macs // 4)
    kept = best_channels({group.name: torch.zeros(group.size) for group in groups}, widths)
    return whole, cut(whole, graph, kept), model.dense_macs / model.macs(widths)


def stepper(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[nn.Module, torch.optim.SGD, Tensor, Tensor]:
    """A network with its optimiser and one batch, in channels-last format."""
    network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)
    return network, optimiser, images.contiguous(memory_format=torch.channels_last), labels


def seconds(network: nn.Module, optimiser: torch.optim.SGD, images: Tensor, labels: Tensor) -> float:
    """The time of one training step."""
    started = time.perf_counter()
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(cross_entropy(network(images), labels))
    optimiser.step()
    return time.perf_counter() - started


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    print("| network | batch | MACs | time |")
    print("|---|---|---|---|")
    for backbone, data, batch, steps in CASES:
        declared = data_set(data)
        whole, narrow, fewer = quarter(backbone, data)
        images = torch.randn(batch, declared.channels, declared.size, declared.size)
        labels = torch.randint(0, declared.classes, (batch,))
        both = [stepper(network, images, labels) for network in (whole, narrow)]
        for pair in both:
            seconds(*pair)
        times = [(seconds(*both[0]), seconds(*both[1])) for _ in range(steps)]
        less = statistics.median(first for first, _ in times) / statistics.median(second for _, second in times)
        print(f"| `{backbone}` | {batch} | {fewer:.2f}× fewer | {less:.2f}× less |", flush=True)


if __name__ == "__main__":
    main()
