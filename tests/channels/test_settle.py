"""What follows from a selection: branches that go, stream channels that nobody writes, networks without a way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.channels.settle import narrowed, without_removed
from harness.errors import StageFailure
from tests.channels.networks import (
    NETWORKS,
    Chain,
    Depthwise,
    DepthwiseOnStream,
    Mixed,
    OptionA,
    PreActivation,
    Residual,
    example,
    selections,
)

kinds = pytest.mark.parametrize("kind", NETWORKS)


@kinds
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_settling_twice_is_settling_once(kind: type[nn.Module], data: st.DataObject) -> None:
    graph = example(kind)[1]
    settled = graph.settled(data.draw(selections(graph)))
    assert graph.settled(settled) == settled


@kinds
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_settling_only_takes_away(kind: type[nn.Module], data: st.DataObject) -> None:
    graph = example(kind)[1]
    kept = data.draw(selections(graph))
    for name, channels in graph.complete(kept).items():
        assert set(channels) <= set(kept.get(name, range(graph.groups[name].size)))
        assert list(channels) == sorted(channels)


@kinds
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_settled_branch_is_whole_in_all_its_groups_or_gone_from_all(
    kind: type[nn.Module], data: st.DataObject
) -> None:
    graph = example(kind)[1]
    kept = data.draw(selections(graph))
    complete, removed = graph.complete(kept), graph.removed(kept)
    for name, branch in graph.branches.items():
        stream = graph.groups[name].stream
        assert stream is not None
        assert set(complete[name]) <= set(complete[stream])
        if branch.sum is not None:
            assert all(bool(complete[group]) is (name not in removed) for group in (name, *branch.inside))


@kinds
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_somebody_writes_every_channel_of_a_settled_stream_that_drains(
    kind: type[nn.Module], data: st.DataObject
) -> None:
    graph = example(kind)[1]
    complete = graph.complete(data.draw(selections(graph)))
    for name, stream in graph.streams.items():
        written = set().union(*(complete[writer] for writer in stream.writers))
        written |= {shortcut.targets[c] for shortcut in stream.shortcuts for c in complete[shortcut.source]}
        assert stream.fixed or not stream.drains or set(complete[name]) <= written


@kinds
def test_keeping_everything_settles_to_itself(kind: type[nn.Module]) -> None:
    graph = example(kind)[1]
    everything = {name: tuple(range(size)) for name, size in graph.widths.items()}
    assert graph.settled({}) == {}
    assert graph.settled(everything) == graph.complete({}) == everything
    assert graph.removed(everything) == []


def test_settled_names_what_was_named_and_what_is_not_whole() -> None:
    graph = example(Residual)[1]
    settled = graph.settled({"conv1": tuple(range(6)), "conv3": ()})
    assert settled == {"conv1": tuple(range(6)), "conv3": (), "conv4": ()}


@pytest.mark.parametrize("emptied", ["expand", "squeeze", "project"])
def test_a_branch_goes_with_any_of_its_groups(emptied: str) -> None:
    graph = example(Depthwise)[1]
    assert graph.settled({emptied: ()}) == {"expand": (), "squeeze": (), "project": ()}
    assert graph.removed({emptied: ()}) == ["project"]


def test_a_branch_keeps_nothing_that_its_stream_has_not() -> None:
    graph = example(Residual)[1]
    settled = graph.settled({"stream:stem": (0, 1, 5), "conv2": (1, 2, 3)})
    assert settled == {"stream:stem": (0, 1, 5), "stem": (0, 1, 5), "conv2": (1,)}


def test_a_branch_whose_channels_its_stream_lost_goes() -> None:
    graph = example(Residual)[1]
    assert graph.removed({"stream:stem": (0, 1), "conv2": (2, 3)}) == ["conv2"]


def test_a_stream_channel_that_nobody_writes_goes() -> None:
    graph = example(Residual)[1]
    assert graph.settled({"stem": (0, 1, 2), "conv2": (2, 5)})["stream:stem"] == (0, 1, 2, 5)


def test_a_stream_channel_that_a_projection_writes_stays() -> None:
    assert "stream:conv4" not in example(Residual)[1].settled({"conv4": (0,)})


def test_a_stream_channel_that_a_shortcut_writes_stays() -> None:
    graph = example(OptionA)[1]
    settled = graph.settled({"block2.conv2": (0, 1, 2), "block3.conv2": ()})
    assert settled["stream:block2.conv2"] == (0, 1, 2, 3, 4, 5)


def test_what_a_stream_loses_its_shortcut_no_longer_writes() -> None:
    graph = example(OptionA)[1]
    kept = {"stem": (0, 3), "block1.conv2": (0,), "block2.conv2": (3,), "block3.conv2": (7,)}
    settled = graph.settled(kept)
    assert settled["stream:stem"] == (0, 3)
    assert settled["stream:block2.conv2"] == (2, 3, 5, 7)


@pytest.mark.parametrize(("kind", "writer"), [(PreActivation, "conv1"), (DepthwiseOnStream, "project")])
def test_where_a_batch_norm_would_shift_an_unwritten_channel_it_stays(kind: type[nn.Module], writer: str) -> None:
    assert "stream:stem" not in example(kind)[1].settled({"stem": (0, 1), writer: (1, 2)})


def test_a_candidate_of_a_sum_may_go_while_another_stays() -> None:
    graph = example(Mixed)[1]
    kept = {"mixed1.0.project": (), "mixed1.2.expand": (), "mixed1.1.project": (1, 4)}
    assert graph.removed(kept) == ["mixed1.0.project", "mixed1.2.project"]
    kept |= {"mixed2.0.project": (), "mixed2.1.project": ()}
    assert graph.settled(kept)["stream:mixed1.0.project"] == (1, 4)


def test_a_sum_of_which_nothing_is_left_is_an_invalid_network() -> None:
    graph = example(Mixed)[1]
    kept = {"mixed1.0.project": (), "mixed1.1.expand": (), "mixed1.2.project": ()}
    with pytest.raises(StageFailure, match=r"every path is cut: none of the branches mixed1\.0\.project") as failure:
        graph.settled(kept)
    assert failure.value.reason == "invalid network"


def test_a_sum_whose_identity_is_left_is_a_network() -> None:
    graph = example(Mixed)[1]
    assert len(graph.removed({"mixed2.0.project": (), "mixed2.1.project": ()})) == 2


def test_a_beginning_of_a_stream_of_which_nothing_is_left_is_an_invalid_network() -> None:
    with pytest.raises(StageFailure, match="every path is cut: nothing is left of group 'stem'") as failure:
        example(Residual)[1].settled({"stream:stem": (0, 1), "stem": (2, 3)})
    assert failure.value.reason == "invalid network"


@pytest.mark.parametrize(
    ("kind", "group"),
    [(Chain, "conv1"), (Chain, "linear1"), (Residual, "stem"), (Residual, "stream:stem"), (Mixed, "head")],
)
def test_a_group_that_no_branch_contains_keeps_a_channel(kind: type[nn.Module], group: str) -> None:
    with pytest.raises(StageFailure, match=f"group '{group}' keeps no channel"):
        example(kind)[1].settled({group: ()})


def test_masking_draws_the_consequences_for_branches_but_drains_no_stream() -> None:
    graph = example(OptionA)[1]
    kept = {"stem": (0,), "block1.conv1": (), "block2.conv2": (1, 2)}
    assert without_removed(graph, kept) == kept | {"block1.conv2": ()}
    kept = {"stream:stem": (0, 2), "block1.conv2": (2, 3)}
    assert without_removed(graph, kept) == {"stream:stem": (0, 2), "stem": (0, 2), "block1.conv2": (2,)}


def test_without_removal_every_group_keeps_a_channel() -> None:
    graph = example(Residual)[1].without_removal()
    assert not any(graph.may_empty(name) for name in graph.groups)
    with pytest.raises(StageFailure, match="group 'conv2' keeps no channel"):
        graph.settled({"conv2": ()})


def test_a_narrowed_shortcut_goes_from_what_is_left_to_what_is_left() -> None:
    shortcut = example(OptionA)[1].streams["stream:block2.conv2"].shortcuts[0]
    kept = {"stream:stem": (0, 2, 3), "stream:block2.conv2": (2, 4, 6)}
    assert narrowed(shortcut, kept, "stream:block2.conv2").targets == (0, 1, -1)
