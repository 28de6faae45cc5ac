"""Weights of a cut network go back to where they came from."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from harness.channels.put_back import put_back
from harness.channels.surgery import cut
from tests.channels.networks import Chain, Concatenated, drawn, example, randomised
from tests.channels.residual_networks import Depthwise, Grouped, Nested, OptionA, PreActivation, Residual

KINDS = (Chain, Concatenated, Depthwise, Grouped, Nested, OptionA, PreActivation, Residual)
ALL = ("inner", "branch", "stream", "fc")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_cutting_again_gives_the_weights_that_were_put_back(kind: type[nn.Module]) -> None:
    network, graph = example(kind)
    whole = copy.deepcopy(network)
    for seed in range(3):
        kept = drawn(graph, ALL, seed)
        trained = randomised(cut(whole, graph, kept), seed + 1)
        put_back(trained, whole, graph, kept)
        for name, values in cut(whole, graph, kept).state_dict().items():
            assert torch.equal(values, trained.state_dict()[name]), name


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_weights_that_were_cut_away_stay_as_they_were(kind: type[nn.Module]) -> None:
    network, graph = example(kind)
    whole = copy.deepcopy(network)
    kept = drawn(graph, ALL, seed=1)
    narrow = cut(whole, graph, kept)
    with torch.no_grad():
        for values in narrow.state_dict().values():
            if values.is_floating_point():
                values.fill_(1234.0)
    put_back(narrow, whole, graph, kept)
    changed = 0
    before = network.state_dict()
    for name, values in whole.state_dict().items():
        if values.is_floating_point():
            new = values != before[name]
            assert torch.equal(values[new], torch.full_like(values[new], 1234.0)), name
            changed += int(new.sum())
    assert changed == sum(values.numel() for values in narrow.state_dict().values() if values.is_floating_point())
