"""A compiled training is the plain one within the last digits, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from harness.train.compiled import compiled, missing_compiler
from harness.train.loop import Source
from tests.train.tiny import BATCH, RATES, equal, loader, network, train, weights


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What torch compiles, in order; each runs as the graph that it is, so that no compiler and no minute is needed."""
    real, found = torch.compile, []

    def keep(graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        del inputs
        found.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda given: real(given, backend=keep))
    return found


def with_a_smaller_last_batch() -> Source:
    return Source(loader(2 * BATCH + 5), loader(20, seed=1), 7, BATCH, augment=True)


def test_it_trains_to_the_weights_of_the_plain_path(graphs: list[Any]) -> None:
    plain, fast = network(), network()
    expected, found = train(plain), train(fast, compile=True)
    assert graphs
    assert [point["loss"] for point in found.curve] == pytest.approx([point["loss"] for point in expected.curve])
    for name, tensor in weights(plain).items():
        torch.testing.assert_close(weights(fast)[name], tensor, rtol=1e-4, atol=1e-6)
    assert not equal(weights(plain), weights(network()))


def test_it_is_compiled_once_whatever_the_size_of_the_last_batch(graphs: list[Any]) -> None:
    train(network(), RATES, images=with_a_smaller_last_batch(), compile=True)
    assert len(graphs) == 1


def test_every_network_of_a_process_is_compiled_however_many_there_were(graphs: list[Any]) -> None:
    many = torch._dynamo.config.recompile_limit + 2
    for width in range(many):
        made = network()
        made[0] = nn.Conv2d(1, 4, 3, stride=2, padding=1 + width, dilation=1 + width, bias=False)
        train(made, RATES[:1], compile=True)
    assert len(graphs) == many


def test_unless_it_is_asked_for_the_network_is_what_runs(graphs: list[Any]) -> None:
    made = network()
    with compiled(made, False) as forward:
        assert forward is made
    train(made, RATES[:1])
    assert graphs == []


@pytest.mark.slow
@pytest.mark.skipif(missing_compiler("cpu") is not None, reason="torch.compile needs a C++ compiler")
def test_compiled_code_trains_to_the_weights_of_the_plain_path() -> None:
    plain, fast = network(), network()
    expected, found = train(plain), train(fast, compile=True)
    assert [point["loss"] for point in found.curve] == pytest.approx([point["loss"] for point in expected.curve], 1e-4)
    for name, tensor in weights(plain).items():
        torch.testing.assert_close(weights(fast)[name], tensor, rtol=1e-3, atol=1e-5)
