"""GDP: what a filter's saliency is, which filters a budget leaves, and that masks come and go without a trace."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from harness.channels.straight_through import insert_masks
from harness.errors import StageFailure
from harness.execute.task import HarnessTask
from harness.method import Scores
from methods import gdp
from methods.gdp import Gdp, GdpParams, largest, ranked, saliency, schedule, set_masks, within_budget
from tests.channels.networks import Chain, example, images
from tests.execute.small import small
from tests.methods.tasks import task_of

LABELS = torch.arange(4) % 3
BATCHES = [(images(seed=seed), LABELS) for seed in range(3)]
CPU = torch.device("cpu")


def chain() -> nn.Module:
    return copy.deepcopy(example(Chain)[0])


def measured(network: nn.Module, batches: list[tuple[Tensor, Tensor]] = BATCHES) -> Scores:
    groups = list(example(Chain)[1].groups.values())
    return saliency(network, insert_masks(network, groups), batches, CPU)


def products(network: nn.Module, batch: tuple[Tensor, Tensor], layer: str) -> Tensor:
    """Σ ∂L/∂w·w over each row of a layer's weights and its bias, from the gradients of one batch."""
    network.zero_grad()
    cross_entropy(network(batch[0]), batch[1]).backward()
    module = network.get_submodule(layer)
    total = torch.zeros(len(module.weight), dtype=torch.float64)
    for parameter in module.parameters(recurse=False):
        assert parameter.grad is not None
        total += (parameter.grad * parameter).detach().reshape(len(total), -1).sum(dim=1)
    return total


def test_without_batch_norm_it_is_the_sum_of_gradient_times_weight_and_bias() -> None:
    expected = products(chain(), BATCHES[0], "conv3").abs()
    assert torch.allclose(measured(chain(), BATCHES[:1])["conv3"], expected, rtol=1e-9)


def test_behind_batch_norm_it_is_that_sum_over_the_norms_weight_and_bias() -> None:
    expected = products(chain(), BATCHES[0], "bn1").abs()
    assert torch.allclose(measured(chain(), BATCHES[:1])["conv1"], expected, rtol=1e-9)


def test_before_batch_norm_the_papers_sum_is_zero_whatever_a_filter_is_worth() -> None:
    network = chain().train()
    of_filters, of_norms = (products(network, BATCHES[0], name).abs() for name in ("conv2", "bn2"))
    assert of_filters.max() < 1e-4 * of_norms.max()


def test_it_is_the_mean_over_batches_of_absolute_values_and_not_the_last_batchs() -> None:
    each = torch.stack([measured(chain(), [batch])["conv2"] for batch in BATCHES])
    found = measured(chain())["conv2"]
    assert torch.allclose(found, each.mean(dim=0), rtol=1e-12)
    assert not torch.allclose(found, each[-1], rtol=1e-3)


def test_filters_of_zeros_have_no_saliency() -> None:
    network = chain()
    with torch.no_grad():
        for name in ("bn1.weight", "bn1.bias", "conv3.weight", "conv3.bias"):
            network.get_parameter(name)[1] = 0.0
    found = measured(network)
    assert (found["conv1"][1], found["conv3"][1]) == (0, 0)
    assert found["conv1"][0] > 0


def test_measuring_puts_all_filters_back_and_changes_nothing_else() -> None:
    network = chain().train()
    masks = insert_masks(network, list(example(Chain)[1].groups.values()))
    plain = saliency(network, masks, BATCHES, CPU)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    set_masks(masks, {"conv1": (0,)})
    masks["conv1"].requires_grad_(False)
    again = saliency(network, masks, BATCHES, CPU)
    assert all(torch.equal(again[name], values) for name, values in plain.items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert network.training
    assert not masks["conv1"].requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())


any_scores = st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=12), min_size=1, max_size=4).map(
    lambda lists: {str(number): torch.tensor(values).double() for number, values in enumerate(lists)}
)


@given(scores=any_scores, beta=st.floats(0, 1))
def test_exactly_the_share_of_all_filters_is_kept_and_it_is_the_best(scores: Scores, beta: float) -> None:
    count = int(beta * sum(map(len, scores.values())))
    kept = largest(ranked(scores), count, {})
    values = [float(value) for name, channels in kept.items() for value in scores[name][list(channels)]]
    rest = sorted(float(value) for each in scores.values() for value in each)
    assert len(values) == count
    assert sorted(values) == rest[len(rest) - count :]


@given(scores=any_scores, count=st.integers(0, 30), floor=st.integers(1, 3))
def test_no_layer_keeps_fewer_than_its_floor_and_it_keeps_its_best(scores: Scores, count: int, floor: int) -> None:
    kept = largest(ranked(scores), count, dict.fromkeys(scores, floor))
    for name, values in scores.items():
        chosen = list(kept[name])
        assert len(chosen) >= min(floor, len(values))
        others = [float(value) for channel, value in enumerate(values) if channel not in chosen]
        assert float(values[chosen].min()) >= max(others, default=0)


def test_a_saliency_that_is_no_number_fails_the_cell() -> None:
    with pytest.raises(StageFailure, match="diverged"):
        ranked({"a": torch.tensor([1.0, float("nan")])})


@pytest.mark.parametrize(
    ("params", "steps", "moments", "batches"),
    [
        ({"every": 500, "warm_up": 0.0}, 1200, [0, 500, 1000], 100),
        ({"every": 10, "batches": 7, "warm_up": 0.5}, 40, [20, 30], 7),
        ({"warm_up": 0.0}, 400, list(range(0, 400, 20)), 4),
        ({"every": 100, "warm_up": 0.99}, 3, [2], 20),
    ],
)
def test_masks_are_set_anew_every_so_many_steps_after_a_warm_up(
    params: dict[str, Any], steps: int, moments: list[int], batches: int
) -> None:
    assert schedule(GdpParams(**params), steps) == (moments, batches)


def task(folder: Path, budget: float = 0.5, **params: Any) -> HarnessTask:
    return task_of(small("gdp", budget=budget, params=params), folder)


def random_scores(of: HarnessTask, seed: int = 0) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    return {group.name: torch.rand(group.size, generator=generator).double() for group in of.groups}


@pytest.mark.parametrize("budget", [0.8, 0.5, 0.2])
def test_no_other_filter_would_bring_the_cost_nearer_to_the_budget(budget: float, tmp_path: Path) -> None:
    made = task(tmp_path, budget)
    scores = random_scores(made)
    kept = within_budget(made, scores, 0.1)
    widths = {name: len(channels) for name, channels in kept.items()}
    assert made.target is not None
    assert made.cost(widths) == pytest.approx(made.target, rel=0.01)
    for name, values in scores.items():
        assert widths[name] >= 0.1 * len(values)
        if widths[name] < len(values):
            wider = made.cost(widths | {name: widths[name] + 1})
            assert abs(wider - made.target) >= abs(made.cost(widths) - made.target), name


def test_scores_of_all_layers_are_compared_as_they_are(tmp_path: Path) -> None:
    made = task(tmp_path, 0.5)
    scores = random_scores(made)
    last = made.groups[-1].name
    scores[last] *= 1e-3
    kept = within_budget(made, scores, 0.1)
    size = made.groups[-1].size
    assert len(kept[last]) == -(-size // 10)


def test_a_budget_below_what_every_layer_keeps_is_out_of_reach(tmp_path: Path) -> None:
    made = task(tmp_path, 0.1)
    with pytest.raises(StageFailure, match="with 90% of every layer kept") as failure:
        within_budget(made, random_scores(made), 0.9)
    assert failure.value.reason == "out of reach"


def test_a_masked_filter_can_return(tmp_path: Path) -> None:
    made = task(tmp_path)
    masks = insert_masks(made.network, made.groups)
    batches = list(made.training_batches())
    first = saliency(made.network, masks, batches, CPU)
    best = {name: int(values.argmax()) for name, values in first.items()}
    set_masks(masks, {name: [c for c in range(len(values)) if c != best[name]] for name, values in first.items()})
    assert all(masks[name][channel] == 0 for name, channel in best.items())
    chosen = Gdp()._chosen(made, saliency(made.network, masks, batches, CPU))
    set_masks(masks, chosen)
    assert all(masks[name][channel] == 1 for name, channel in best.items())


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, tuple[int, ...]]]]:
    """What every mask of a search keeps."""
    seen: list[dict[str, tuple[int, ...]]] = []
    plain = gdp.set_masks

    def spying(masks: dict[str, nn.Parameter], kept: dict[str, tuple[int, ...]]) -> None:
        seen.append(dict(kept))
        plain(masks, kept)

    monkeypatch.setattr(gdp, "set_masks", spying)
    return seen


def test_every_mask_meets_the_budget_and_the_last_one_is_cut(
    decisions: list[dict[str, tuple[int, ...]]], tmp_path: Path
) -> None:
    made = task_of(small("gdp", budget=0.4, params={"every": 1, "epochs": 4, "batches": 1}), tmp_path)
    decided = Gdp().compress(made)
    assert len(decisions) == 8
    assert made.target is not None
    for kept in decisions:
        cost = made.cost({name: len(channels) for name, channels in kept.items()})
        assert cost == pytest.approx(made.target, rel=0.02)
    assert decided.kept == decisions[-1]
    steps = itertools.pairwise(decisions)
    assert any(set(after[name]) - set(before[name]) for before, after in steps for name in after), (
        "some filter returned"
    )


@pytest.mark.parametrize("straight_through", [True, False])
def test_with_a_budget_of_everything_it_is_plain_sgd(straight_through: bool, tmp_path: Path) -> None:
    made = task(tmp_path / "gdp", 1.0, straight_through=straight_through)
    decided = Gdp().compress(made)
    plain = task(tmp_path / "plain", 1.0)
    plain.train(
        plain.network,
        epochs=1,
        learning_rate=0.01,
        parameters=list(plain.network.parameters()),
        momentum=0.9,
        weight_decay=4e-5,
        rebuild_momentum=False,
    )
    assert decided.kept == {group.name: tuple(range(group.size)) for group in made.groups}
    assert made.billed.curve == plain.billed.curve
    expected, found = plain.network.state_dict(), made.network.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_saliencies_are_billed_with_their_backward_passes(tmp_path: Path) -> None:
    made = task(tmp_path, every=1, batches=1, warm_up=0.0)
    Gdp().compress(made)
    training, each = 3 * 128, 3 * 64
    assert made.training_macs == (training + 2 * each) * made.model.dense_macs


def test_under_allocation_the_suites_widths_are_kept(tmp_path: Path) -> None:
    made = task(tmp_path, threshold="allocation")
    widths = {name: len(kept) for name, kept in made.allocate(random_scores(made)).items()}
    decided = Gdp().compress(made)
    assert {name: len(kept) for name, kept in decided.kept.items()} == widths


@pytest.mark.parametrize("mode", ["global", "profile"])
def test_a_suite_that_asks_for_another_allocation_gets_it(
    mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(gdp, "within_budget")
    made = task_of(small("gdp", budget=0.5), tmp_path, allocate=mode)
    made.allocate = lambda scores: dict.fromkeys(scores, (0, 1))  # type: ignore[method-assign]
    assert set(Gdp().compress(made).kept.values()) == {(0, 1)}


def test_a_partners_widths_are_kept_under_any_threshold(tmp_path: Path) -> None:
    widths = {group.name: 5 for group in task(tmp_path).groups}
    made = task_of(small("gdp", budget=0.5), tmp_path, allocate="from", widths=widths, target=None)
    assert {name: len(kept) for name, kept in Gdp().compress(made).kept.items()} == widths
