"""What the epoch loop does to a network, and what it tells."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from harness.errors import StageFailure
from harness.train.loop import accuracy
from harness.train.watch import Watch
from tests.train.tiny import BATCH, IMAGES, RATES, equal, loader, network, source, train, weights


def trained(seed: int = 0, order: int = 7, **options: Any) -> nn.Module:
    made = network(seed)
    train(made, images=source(order), **options)
    return made


def test_the_same_seed_gives_the_same_bits() -> None:
    assert equal(weights(trained()), weights(trained()))


def test_another_order_gives_other_weights() -> None:
    assert not equal(weights(trained(order=7)), weights(trained(order=8)))


def test_the_global_generator_does_not_matter() -> None:
    made = network()
    torch.manual_seed(1234)
    train(made, images=source(7))
    assert equal(weights(made), weights(trained()))


def test_an_epoch_is_the_textbooks_gradient_descent() -> None:
    made, by_hand = network(), network()
    train(made, [0.1], momentum=0.9, weight_decay=5e-4)
    by_hand.train()
    buffers = [torch.zeros_like(each) for each in by_hand.parameters()]
    for images, labels in source().train.epoch(7, 0, BATCH, True):
        by_hand.zero_grad()
        cross_entropy(by_hand(images), labels).backward()
        with torch.no_grad():
            for parameter, buffer in zip(by_hand.parameters(), buffers, strict=True):
                assert parameter.grad is not None
                buffer.mul_(0.9).add_(parameter.grad + 5e-4 * parameter)
                parameter.sub_(0.1 * buffer)
    for name, tensor in weights(by_hand).items():
        torch.testing.assert_close(weights(made)[name], tensor)


def test_each_epoch_has_its_own_learning_rate() -> None:
    made, still = network(), network()
    train(made, [0.1, 0.0], momentum=0.0, weight_decay=0.0, frozen_batch_norm=True)
    train(still, [0.1], momentum=0.0, weight_decay=0.0, frozen_batch_norm=True)
    assert equal(weights(made), weights(still))


def test_momentum_that_is_kept_over_epochs_leads_elsewhere() -> None:
    assert not equal(weights(trained(rebuild_momentum=True)), weights(trained(rebuild_momentum=False)))


def test_without_momentum_rebuilding_it_changes_nothing() -> None:
    options = {"momentum": 0.0}
    assert equal(
        weights(trained(rebuild_momentum=True, **options)), weights(trained(rebuild_momentum=False, **options))
    )


def test_frozen_parameters_get_no_gradient_and_do_not_move() -> None:
    made = network()
    linear, frozen = made[4], [*made[0].parameters(), *made[1].parameters()]
    before = [each.clone() for each in frozen]
    seen: list[bool] = []

    def look() -> torch.Tensor:
        seen.extend(each.requires_grad for each in frozen)
        return torch.zeros(())

    gradients: list[torch.Tensor | None] = []
    linear.weight.register_post_accumulate_grad_hook(lambda _: gradients.extend(each.grad for each in frozen))
    start = linear.weight.detach().clone()
    train(made, [0.1], parameters=list(linear.parameters()), penalty=look)
    assert seen
    assert not any(seen)
    assert gradients
    assert all(gradient is None for gradient in gradients)
    assert all(torch.equal(now, then) for now, then in zip(frozen, before, strict=True))
    assert not torch.equal(linear.weight, start)


@pytest.mark.parametrize("fails", [False, True])
def test_what_required_gradients_before_does_so_afterwards(fails: bool) -> None:
    made = network()
    made[1].weight.requires_grad_(False)
    before = [each.requires_grad for each in made.parameters()]
    if fails:
        with pytest.raises(StageFailure):
            train(made, [1.0], parameters=[made[4].weight], penalty=lambda: torch.tensor(float("nan")))
    else:
        train(made, [0.1], parameters=[made[4].weight])
    assert [each.requires_grad for each in made.parameters()] == before
    assert all(each.grad is None for each in made.parameters())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_fails_as_diverged(value: float) -> None:
    with pytest.raises(StageFailure, match="epoch 5 of the finetune stage") as failure:
        train(network(), [0.1], first_epoch=5, penalty=lambda: torch.tensor(value))
    assert failure.value.reason == "diverged"


def test_a_learning_rate_far_too_high_diverges() -> None:
    with pytest.raises(StageFailure) as failure:
        train(network(), [1e30] * 3)
    assert failure.value.reason == "diverged"


def test_the_penalty_is_added_to_the_loss() -> None:
    plain, charged = network(), network()
    without = train(plain, [0.0], weight_decay=0.0, frozen_batch_norm=True)
    with_penalty = train(
        charged, [0.0], weight_decay=0.0, frozen_batch_norm=True, penalty=lambda: 3.0 + 0.0 * charged[4].bias.sum()
    )
    assert with_penalty.curve[0]["loss"] == pytest.approx(without.curve[0]["loss"] + 3.0)


def test_the_penalty_is_descended() -> None:
    made = network()
    train(made, [0.1], parameters=[made[4].bias], penalty=lambda: 100.0 * made[4].bias.sum())
    assert made[4].bias.max() < -10


def test_batch_norm_moves_its_statistics_unless_it_is_frozen() -> None:
    moving, frozen = network(), network()
    start = weights(moving)
    train(moving, [0.1])
    train(frozen, [0.1], frozen_batch_norm=True)
    for name in ("1.running_mean", "1.running_var", "1.num_batches_tracked"):
        assert torch.equal(weights(frozen)[name], start[name])
        assert not torch.equal(weights(moving)[name], start[name])


def test_frozen_batch_norm_stays_frozen_after_the_held_out_images_were_scored() -> None:
    made = network()
    start = weights(made)
    train(made, [0.1, 0.1, 0.1], frozen_batch_norm=True)
    assert torch.equal(weights(made)["1.running_mean"], start["1.running_mean"])


def test_the_held_out_images_are_scored_after_every_epoch() -> None:
    made, images = network(), source(held_out=True)
    progress = train(made, images=images)
    assert images.held_out is not None
    assert all(0 <= point["held_out_top1"] <= 1 for point in progress.curve)
    assert progress.curve[-1]["held_out_top1"] == accuracy(made, images.held_out)


def test_without_held_out_images_there_is_no_such_curve() -> None:
    progress = train(network(), images=source(held_out=False))
    assert [point["held_out_top1"] for point in progress.curve] == [None] * len(RATES)


def test_scoring_the_held_out_images_changes_no_weight() -> None:
    with_them, without = network(), network()
    train(with_them, images=source(held_out=True))
    train(without, images=source(held_out=False))
    assert equal(weights(with_them), weights(without))


def test_epochs_are_numbered_from_the_first_one_of_the_cells_life() -> None:
    progress = train(network(), first_epoch=120)
    assert [point["epoch"] for point in progress.curve] == [120, 121, 122, 123]
    assert {point["stage"] for point in progress.curve} == {"finetune"}


def test_the_epochs_number_in_the_cells_life_seeds_its_batches() -> None:
    early, late = network(), network()
    train(early, [0.1], first_epoch=0)
    train(late, [0.1], first_epoch=1)
    assert not equal(weights(early), weights(late))


def test_the_watch_is_told_after_every_epoch() -> None:
    told: list[dict[str, Any]] = []
    progress = train(network(), watch=Watch(note=told.append))
    assert [(note["epoch"], note["epochs"]) for note in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [note["loss"] for note in told] == [point["loss"] for point in progress.curve]
    assert all(note["images_per_second"] > 0 for note in told)


def test_a_method_is_called_before_each_epoch() -> None:
    called: list[int] = []
    train(network(), before_epoch=called.append)
    assert called == [0, 1, 2, 3]


def test_no_epochs_train_nothing() -> None:
    made = network()
    start = weights(made)
    progress = train(made, [])
    assert (progress.epochs, progress.curve) == (0, [])
    assert equal(weights(made), start)


def test_the_share_classified_right_is_over_all_training_images() -> None:
    progress = train(network(), [0.1])
    right = progress.curve[0]["train_top1"] * IMAGES
    assert right == pytest.approx(round(right))
    assert 0 < right < IMAGES


def test_accuracy_counts_right_answers_in_evaluation_mode_and_restores_the_mode() -> None:
    made = network().train()
    images = loader(600)  # more than one batch
    statistics = weights(made)
    found = accuracy(made, images)
    assert made.training
    assert equal(weights(made), statistics)
    made.eval()
    accuracy(made, images)
    assert not made.training
    [(pixels, labels)] = list(images.plain(600))
    assert found == int((made(pixels).argmax(dim=1) == labels).sum()) / 600
