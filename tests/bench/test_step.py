"""The benchmarks of training compare works that end alike."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from bench import finetune, step
from bench.profile_words import BETWEEN, kind_of, shares, words
from harness.channels.gates import GatedBatchNorm2d
from harness.channels.graph import ChannelGraph
from harness.channels.surgery import cut, mask
from harness.data.catalogue import data_set
from harness.data.loader import DeviceLoader


@pytest.fixture(scope="module")
def network() -> tuple[nn.Module, ChannelGraph]:
    return step.built("vgg16_eighth")


def drawn() -> DeviceLoader:
    """Two batches of noise."""
    declared, seeded = data_set("cifar10"), torch.Generator().manual_seed(0)
    count = 2 * step.BATCH
    pixels = torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=seeded)
    return DeviceLoader(pixels, torch.randint(0, 10, (count,), generator=seeded), declared)


def test_gates_as_layers_and_gates_in_batch_norm_are_one_search(network: tuple[nn.Module, ChannelGraph]) -> None:
    plain, graph = network
    groups = graph.cuttable(["inner"])
    ours, theirs = copy.deepcopy(plain), copy.deepcopy(plain)
    step.search(ours, groups, drawn())()
    step.separate(theirs, groups, drawn())()
    folded = [module.gate_values[0] for module in ours.modules() if isinstance(module, GatedBatchNorm2d)]
    layers = [module.s for module in theirs.modules() if isinstance(module, step.GateLayer)]
    assert len(folded) == len(layers) == 13
    for one, other in zip(folded, layers, strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_the_cut_network_and_both_masked_ones_learn_the_same(network: tuple[nn.Module, ChannelGraph]) -> None:
    plain, graph = network
    kept, fewer = finetune.selection(plain, graph, 5)
    assert fewer > 4.5
    pixels, _ = next(iter(drawn().plain(64)))
    logits = []
    for each in (cut(plain, graph, kept), mask(plain, graph, kept), finetune.masked_for_nothing(plain, graph, kept)):
        step.plain(each, drawn())()
        with torch.no_grad():
            logits.append(each.eval()(pixels))
    for other in logits[1:]:
        torch.testing.assert_close(logits[0], other, rtol=1e-3, atol=1e-4)


def test_shares_of_a_profile_are_of_the_whole() -> None:
    convolution, images = nn.Conv2d(8, 8, 3), torch.randn(8, 8, 32, 32)
    found = shares(lambda: convolution(images).sum().backward())
    assert math.isclose(sum(found.values()), 1.0)
    assert found["convolutions backward"] > 0
    assert found["convolutions forward"] > 0
    assert BETWEEN in found


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("aten::convolution_backward", "convolutions backward"),
        ("aten::mkldnn_convolution", "convolutions forward"),
        ("aten::native_batch_norm_backward", "batch norm"),
        ("aten::_fused_sgd_", "optimiser"),
        ("aten::addmm", "linear layers"),
        ("aten::relu", "other operators"),
    ],
)
def test_operators_are_counted_under_what_they_do(operator: str, kind: str) -> None:
    assert kind_of(operator) == kind


def test_small_shares_are_left_out_of_the_words() -> None:
    assert words({"batch norm": 0.62, "optimiser": 0.35, "pooling": 0.03}) == "62 % batch norm, 35 % optimiser"
