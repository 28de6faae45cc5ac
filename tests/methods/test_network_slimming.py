"""Network Slimming: the subgradient on batch norm's own γ, and one quantile for the whole network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.channels.gates import norm_scores, norm_weights
from harness.errors import StageFailure
from harness.method import Compressed
from methods.network_slimming import NetworkSlimming, threshold
from tests.channels.networks import Chain, Residual, example
from tests.methods.gate_tasks import gates_in, task


def compressed(results: Path, **params: float) -> tuple[Compressed, nn.Module]:
    given_task = task("network_slimming", results, **params)
    return NetworkSlimming().compress(given_task), given_task.network


@settings(deadline=None, max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    pruned=st.floats(0, 0.999),
    seed=st.integers(0, 1000),
)
def test_exactly_the_share_of_all_channels_goes_whatever_their_layer(
    sizes: list[int], pruned: float, seed: int
) -> None:
    order = torch.randperm(sum(sizes), generator=torch.Generator().manual_seed(seed)).float()
    scores = {str(number): part for number, part in enumerate(order.split(sizes))}
    at = threshold(scores, pruned)
    assert sum(int((values <= at).sum()) for values in scores.values()) == int(pruned * sum(sizes))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_penalised_gamma_moves_towards_zero_by_rate_times_strength_a_step(sign: float, tmp_path: Path) -> None:
    options = {"momentum": 0.0, "weight_decay": 0.0, "learning_rate": 0.01, "epochs": 1}

    def weights(sparsity: float) -> dict[str, torch.Tensor]:
        given_task = task("network_slimming", tmp_path / str(sparsity), batch=128, sparsity=sparsity, **options)
        assert given_task.steps_per_epoch == 1
        found = norm_weights(given_task.network, given_task.groups)
        with torch.no_grad():
            for weight in found.values():
                weight.mul_(sign)
        NetworkSlimming().compress(given_task)
        return found

    plain, pushed = weights(0.0), weights(0.5)
    for name, weight in plain.items():
        assert torch.allclose(weight - pushed[name], torch.full_like(weight, sign * 0.01 * 0.5), atol=1e-6), name


def test_nothing_is_inserted_into_the_network_and_nothing_multiplied_into_it(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    class Watched(NetworkSlimming):
        def search(self, task, gates, network):  # type: ignore[no-untyped-def]
            super().search(task, gates, network)
            seen.append(gates_in(network))
            self.after = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    given_task, method = task("network_slimming", tmp_path), Watched()
    method.compress(given_task)
    assert seen == [[]]
    assert all(torch.equal(tensor, method.after[name]) for name, tensor in given_task.network.state_dict().items())


def test_every_layer_keeps_a_channel_however_much_goes(tmp_path: Path) -> None:
    decided, _ = compressed(tmp_path, pruned=0.99)
    assert all(decided.kept.values())
    assert any("emptied layers kept their best channel" in note for note in decided.notes)


def test_the_channels_of_largest_gamma_stay(tmp_path: Path) -> None:
    decided, _ = compressed(tmp_path, pruned=0.4)
    assert decided.scores is not None
    pairs = [
        (float(value), number in decided.kept[name])
        for name, values in decided.scores.items()
        for number, value in enumerate(values)
    ]
    assert min(value for value, stays in pairs if stays) > max(value for value, stays in pairs if not stays)
    assert sum(not stays for _, stays in pairs) == int(0.4 * len(pairs))


def test_a_group_of_several_batch_norms_is_ranked_by_their_mean() -> None:
    network, graph = example(Residual)
    stream = next(group for group in graph.groups.values() if group.kind == "stream")
    scores = norm_scores(network, [stream])[stream.name]
    weights = torch.stack([network.get_submodule(part.layer).weight.detach() for part in stream.gate_points])
    assert len(weights) > 1
    assert torch.allclose(scores, weights.abs().mean(dim=0))


def test_a_layer_without_batch_norm_is_refused_by_its_name() -> None:
    network, graph = example(Chain)
    with pytest.raises(StageFailure, match="'conv3' has no batch norm whose γ could be its gate"):
        norm_weights(network, [graph.groups["conv1"], graph.groups["conv3"]])
