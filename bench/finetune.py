"""Fine-tuning a cut network against fine-tuning the whole one with masks, at 2, 5 and 10 times fewer MACs.

Both by the harness's own loop, with the same images in the same order, and both learn the same. The masks cost
nothing themselves: they are zeros in the batch norms' factors, no pass over activations or weights; public code that
multiplies either is slower than what is compared with here. Batch 64 of CIFAR-10, float32, uniform widths.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from bench.lines import THREADS, Line, interleaved
from bench.profile_words import explained
from bench.step import BATCH, built, images_for, plain
from harness.channels.allocate import best_channels, uniform_widths
from harness.channels.cost import CostModel
from harness.channels.graph import ChannelGraph, KeptChannels
from harness.channels.masks import Gone
from harness.channels.surgery import cut
from harness.data.batches import steps_per_epoch
from harness.data.catalogue import data_set

BAR = 3.5
CASES = (("vgg16", (2, 5, 10), 5), ("vgg16_quarter", (2, 5, 10), 9), ("resnet56", (2, 5, 10), 3))
"""(backbone, times fewer MACs, pairs of runs)"""
QUICK = (("vgg16_eighth", (5,), 1),)
STEPS = 2


def cut_and_masked(network: nn.Module, graph: ChannelGraph, fewer: int) -> tuple[nn.Module, nn.Module, float]:
    """The network cut to uniform width, the whole one with the same channels masked, and how many times fewer MACs."""
    declared = data_set("cifar10")
    model = CostModel(network, graph, torch.zeros(1, declared.channels, declared.size, declared.size))
    groups = graph.cuttable(["inner"])
    widths = uniform_widths(groups, model.macs, model.dense_macs // fewer)
    kept: KeptChannels = best_channels({group.name: torch.zeros(group.size) for group in groups}, widths)
    masked = copy.deepcopy(network)
    Gone(masked, graph).hold(kept)
    reached = {name: len(channels) for name, channels in graph.complete(kept).items()}
    return cut(network, graph, kept), masked, model.dense_macs / model.macs(reached)


def compared(backbone: str, fewer: tuple[int, ...], pairs: int) -> list[Line]:
    """The lines of one backbone; ratios of times, higher is better."""
    network, graph = built(backbone)
    images = images_for(STEPS)
    batches = steps_per_epoch(data_set("cifar10").train_images, BATCH) / STEPS
    lines = []
    for times in fewer:
        narrow, masked, reached = cut_and_masked(network, graph, times)
        cut_epoch, masked_epoch = plain(narrow, images), plain(masked, images)
        one, other = interleaved(cut_epoch, masked_epoch, pairs)
        lines.append(
            Line(
                f"fine-tuning epoch, masked / cut, {backbone} at {reached:.1f}× fewer MACs",
                f"{one * batches:.0f} s",
                f"{other * batches:.0f} s",
                other / one,
                f"≥ {BAR}" if backbone == "vgg16" and times == 5 else "–",
                f"cut: {explained(cut_epoch)}; masked: {explained(masked_epoch)}",
            )
        )
    return lines


def measure(quick: bool) -> list[Line]:
    """Lines of all backbones and sizes; seconds are those of an epoch of so many steps as a whole one has."""
    torch.set_num_threads(THREADS)
    lines = []
    for backbone, fewer, pairs in QUICK if quick else CASES:
        lines += compared(backbone, fewer, pairs)
    return lines
