"""The ProxylessNAS supernet: which candidates a layer has and how they are added up."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from harness.backbones import build
from harness.backbones.proxyless import MixedLayer
from harness.data.catalogue import data_set


@pytest.fixture(scope="module")
def hollow() -> nn.Module:
    with torch.device("meta"):
        return build("proxylessnas", data_set("imagenet")).eval()


def test_it_has_21_mixed_layers_of_these_widths_and_strides(hollow: nn.Module) -> None:
    layers = [hollow.get_submodule(f"mixed{position}") for position in range(1, 22)]
    widths = [layer.get_submodule("k3e3.project").out_channels for layer in layers]
    assert widths == [24] * 4 + [40] * 4 + [80] * 4 + [96] * 4 + [192] * 4 + [320]
    depthwise = [layer.get_submodule("k7e6.depthwise") for layer in layers]
    strides = [filtering.stride[0] for filtering in depthwise if isinstance(filtering, nn.Conv2d)]
    assert strides == [2, 1, 1, 1] * 3 + [1] * 4 + [2, 1, 1, 1] + [1]
    assert sum(isinstance(module, MixedLayer) for module in hollow.modules()) == 21


def test_a_mixed_layer_has_six_candidates_that_widen_its_input_threefold_or_sixfold(hollow: nn.Module) -> None:
    layer = hollow.get_submodule("mixed7")
    assert [name for name, _ in layer.named_children()] == ["k3e3", "k3e6", "k5e3", "k5e6", "k7e3", "k7e6"]
    for name, candidate in layer.named_children():
        depthwise = candidate.get_submodule("depthwise")
        assert depthwise.kernel_size == (int(name[1]),) * 2
        assert depthwise.groups == depthwise.in_channels == 40 * int(name[3])
        children = [child for child, _ in candidate.named_children()]
        assert children == ["expand", "expand_bn", "depthwise", "depthwise_bn", "project", "project_bn"]


def test_the_first_block_filters_the_stem_without_widening_it(hollow: nn.Module) -> None:
    names = [name for name, _ in hollow.get_submodule("first").named_children()]
    assert names == ["depthwise", "depthwise_bn", "project", "project_bn"]


def test_batch_norms_have_the_larger_epsilon(hollow: nn.Module) -> None:
    norms = [module for module in hollow.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}
    assert {norm.momentum for norm in norms} == {0.1}


@pytest.mark.parametrize(("widths", "stride", "adds"), [((4, 4), 1, True), ((4, 6), 1, False), ((4, 4), 2, False)])
class TestMixedLayer:
    def test_it_is_the_sum_of_its_candidates_from_left_to_right_then_its_input(
        self, widths: tuple[int, int], stride: int, adds: bool
    ) -> None:
        layer = MixedLayer(*widths, stride).eval()
        stream = torch.randn(2, 4, 6, 6)
        terms: list[Tensor] = [candidate(stream) for candidate in layer.children()]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        assert torch.equal(layer(stream), total + stream if adds else total)

    def test_a_candidate_that_was_taken_out_is_no_longer_added(
        self, widths: tuple[int, int], stride: int, adds: bool
    ) -> None:
        layer = MixedLayer(*widths, stride).eval()
        stream = torch.randn(2, 4, 6, 6)
        fewer = copy.deepcopy(layer)
        delattr(fewer, "k5e6")
        assert torch.allclose(fewer(stream) + layer.get_submodule("k5e6")(stream), layer(stream), atol=1e-5)
        for name in ("k3e3", "k3e6", "k5e3", "k7e3", "k7e6"):
            delattr(fewer, name)
        if adds:
            assert torch.equal(fewer(stream), stream)


def test_the_classifier_starts_uniform_within_one_over_the_root_of_its_inputs() -> None:
    network = build("proxylessnas", data_set("imagenet@64"), seed=0)
    layer = network.get_submodule("classifier")
    assert isinstance(layer, nn.Linear)
    bound = 1 / math.sqrt(1280)
    assert 0.99 * bound < layer.weight.abs().max().item() <= bound
    assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert not layer.bias.any()
