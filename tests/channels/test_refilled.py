"""What a trimmed selection gets back, and the channel that a layer has in common with its stream."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.channels.allocate import refilled
from harness.channels.choose import with_a_way
from harness.channels.graph import KeptChannels
from tests.channels.networks import Residual, example

SCORES = {"a": torch.tensor([0.9, 0.8, 0.1]), "b": torch.tensor([0.7, 0.3, 0.2]), "c": torch.tensor([0.5, 0.6])}
PRICES = {"a": 5, "b": 2, "c": 3}


def count(kept: KeptChannels) -> int:
    return sum(PRICES[name] * len(kept.get(name, SCORES[name])) for name in PRICES)


def test_the_best_that_fits_comes_back() -> None:
    kept: KeptChannels = {"a": (0,), "b": (0,), "c": (1,)}
    assert count(kept) == 10
    assert refilled(kept, {}, SCORES, count, 15) == {"a": (0, 1), "b": (0,), "c": (1,)}
    assert refilled(kept, {}, SCORES, count, 14) == {"a": (0,), "b": (0,), "c": (0, 1)}
    assert refilled(kept, {}, SCORES, count, 12) == {"a": (0,), "b": (0, 1), "c": (1,)}


def test_nothing_comes_back_that_was_not_there_and_no_group_that_is_gone() -> None:
    kept: KeptChannels = {"a": (0,), "b": (), "c": (1,)}
    assert refilled(kept, {"a": (0, 2), "c": (1,)}, SCORES, count, 100) == {"a": (0, 2), "b": (), "c": (1,)}


@settings(deadline=None, max_examples=40)
@given(target=st.integers(10, 30))
def test_the_target_is_kept_and_no_channel_more_would_fit(target: int) -> None:
    kept: KeptChannels = {"a": (0,), "b": (0,), "c": (1,)}
    found = refilled(kept, {}, SCORES, count, target)
    assert count(found) <= target
    for name, values in SCORES.items():
        if len(found[name]) < len(values):
            assert count(found) + PRICES[name] > target


def test_a_layer_that_cannot_go_keeps_the_best_channel_of_its_stream() -> None:
    graph = example(Residual)[1]
    stream, stem = "stream:stem", "stem"
    assert graph.groups[stem].stream == stream
    assert not graph.may_empty(stem)
    scores = {stem: torch.arange(graph.groups[stem].size).float()}
    assert with_a_way(graph, {stream: (1, 3), stem: (0, 2)}, scores)[stem] == (0, 2, 3)
    assert with_a_way(graph, {stream: (1, 3), stem: (1, 2)}, scores)[stem] == (1, 2)
    assert with_a_way(graph, {stem: (0, 2)}, scores)[stem] == (0, 2)
