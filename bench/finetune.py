"""Fine-tuning a cut network against fine-tuning the whole one with masks, at 2, 5 and 10 times fewer MACs.

Both by the harness's own loop, with the same images in the same order, and both learn the same. A mask is what DNAL's
code leaves in place after its search: a pass over the activations behind each batch norm. The note says what is left
of the ratio against masks that cost nothing, zeros in the batch norms' own factors. Batch 64 of CIFAR-10, float32,
uniform widths.
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
from harness.channels.surgery import cut, mask
from harness.data.batches import steps_per_epoch
from harness.data.catalogue import data_set

BAR = 3.5
CASES = (("vgg16", (2, 5, 10), 5), ("vgg16_quarter", (2, 5, 10), 9), ("resnet56", (2, 5, 10), 3))
"""(backbone, times fewer MACs, pairs of runs)"""
QUICK = (("vgg16_eighth", (5,), 1),)
STEPS = 3


def selection(network: nn.Module, graph: ChannelGraph, fewer: int) -> tuple[KeptChannels, float]:
    """Channels of uniform width, and how many times fewer MACs these are."""
    declared = data_set("cifar10")
    model = CostModel(network, graph, torch.zeros(1, declared.channels, declared.size, declared.size))
    groups = graph.cuttable(["inner"])
    widths = uniform_widths(groups, model.macs, model.dense_macs // fewer)
    kept: KeptChannels = best_channels({group.name: torch.zeros(group.size) for group in groups}, widths)
    reached = {name: len(channels) for name, channels in graph.complete(kept).items()}
    return kept, model.dense_macs / model.macs(reached)


def masked_for_nothing(network: nn.Module, graph: ChannelGraph, kept: KeptChannels) -> nn.Module:
    """A copy whose other channels are zeroed by factors of the batch norms."""
    masked = copy.deepcopy(network)
    Gone(masked, graph).hold(kept)
    return masked


def compared(backbone: str, fewer: tuple[int, ...], pairs: int) -> list[Line]:
    """The lines of one backbone; ratios of times, higher is better."""
    network, graph = built(backbone)
    images = images_for(STEPS)
    batches = steps_per_epoch(data_set("cifar10").train_images, BATCH) / STEPS
    lines = []
    for times in fewer:
        kept, reached = selection(network, graph, times)
        narrow = plain(cut(network, graph, kept), images)
        masked = plain(mask(network, graph, kept), images)
        free = plain(masked_for_nothing(network, graph, kept), images)
        ours, theirs = interleaved(narrow, masked, pairs)
        ours_again, for_nothing = interleaved(narrow, free, max(1, pairs // 2))
        lines.append(
            Line(
                f"fine-tuning epoch, masked / cut, {backbone} at {reached:.1f}× fewer MACs",
                f"{ours * batches:.0f} s",
                f"{theirs * batches:.0f} s",
                theirs / ours,
                f"≥ {BAR}" if backbone == "vgg16" and times == 5 else "–",
                f"cut: {explained(narrow)}; {for_nothing / ours_again:.2f} against masks that cost nothing",
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
