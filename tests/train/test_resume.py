"""A training that was interrupted anywhere ends in the bits of one that was not."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.train.loop import Progress, save_finished
from harness.train.watch import Stopped, Watch
from tests.train.tiny import RATES, STEPS, equal, network, saving, train, weights


class StopAt:
    """Says stop at its n-th question: questions are asked before every step."""

    def __init__(self, question: int) -> None:
        self.left = question

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def broken_off(folder: Path, question: int, seconds: float = 0.0, **options: bool) -> None:
    watch = Watch(should_stop=StopAt(question), checkpoint_seconds=seconds)
    with pytest.raises(Stopped):
        train(network(), checkpoint=saving(folder), watch=watch, **options)


def without_times(progress: Progress) -> tuple[int, list[dict[str, object]]]:
    return progress.epochs, progress.curve


@pytest.mark.parametrize("question", range(len(RATES) * STEPS))
@pytest.mark.parametrize("rebuild_momentum", [True, False])
def test_it_goes_on_from_any_step_bit_for_bit(rebuild_momentum: bool, question: int, tmp_path: Path) -> None:
    unbroken = network()
    expected = train(unbroken, rebuild_momentum=rebuild_momentum)
    broken_off(tmp_path, question, rebuild_momentum=rebuild_momentum)
    other_start = network(seed=99)  # what matters is what was saved
    resumed = network() if question < STEPS else other_start
    progress = train(resumed, checkpoint=saving(tmp_path), rebuild_momentum=rebuild_momentum)
    assert equal(weights(resumed), weights(unbroken))
    assert without_times(progress) == without_times(expected)


def test_finished_epochs_are_not_trained_again(tmp_path: Path) -> None:
    broken_off(tmp_path, 2 * STEPS + 1)
    told: list[int] = []
    train(network(), checkpoint=saving(tmp_path), watch=Watch(note=lambda facts: told.append(facts["epoch"])))
    assert told == [3, 4]


def test_it_survives_being_interrupted_again_and_again(tmp_path: Path) -> None:
    unbroken = network()
    train(unbroken, rebuild_momentum=False)
    for _ in range(len(RATES) - 1):
        broken_off(tmp_path, STEPS + 1, rebuild_momentum=False)
    resumed = network()
    progress = train(resumed, checkpoint=saving(tmp_path), rebuild_momentum=False)
    assert equal(weights(resumed), weights(unbroken))
    assert progress.epochs == len(RATES)


def test_seconds_before_the_interruption_are_billed_too(tmp_path: Path) -> None:
    broken_off(tmp_path, 2 * STEPS + 1)
    saved = saving(tmp_path).load()
    assert saved is not None
    before = saved[1]["seconds"]
    assert before > 0
    assert train(network(), checkpoint=saving(tmp_path)).seconds > before


def test_the_state_that_a_method_keeps_is_set_again_for_the_last_finished_epoch(tmp_path: Path) -> None:
    broken_off(tmp_path, 2 * STEPS + 1)
    called: list[int] = []
    train(network(), checkpoint=saving(tmp_path), before_epoch=called.append)
    assert called == [1, 2, 3]


def test_a_finished_training_that_is_called_again_only_restores(tmp_path: Path) -> None:
    made = network()
    progress = train(made, checkpoint=saving(tmp_path))
    save_finished(saving(tmp_path), made, progress)
    again = network(seed=99)
    told: list[object] = []
    called: list[int] = []
    repeated = train(again, checkpoint=saving(tmp_path), watch=Watch(note=told.append), before_epoch=called.append)
    assert equal(weights(again), weights(made))
    assert repeated == progress
    assert told == []
    assert called == [len(RATES) - 1]


def test_epochs_are_saved_no_oftener_than_asked_for(tmp_path: Path) -> None:
    broken_off(tmp_path, 3 * STEPS + 1, seconds=3600.0)
    assert saving(tmp_path).load() is None


def test_a_damaged_checkpoint_means_starting_again_with_the_same_end(tmp_path: Path) -> None:
    unbroken = network()
    train(unbroken)
    broken_off(tmp_path, 2 * STEPS + 1)
    path = saving(tmp_path).path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    resumed = network()
    told: list[int] = []
    train(resumed, checkpoint=saving(tmp_path), watch=Watch(note=lambda facts: told.append(facts["epoch"])))
    assert told == [1, 2, 3, 4]
    assert equal(weights(resumed), weights(unbroken))


def test_what_a_network_draws_at_random_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def dropping() -> nn.Sequential:
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3))

    torch.manual_seed(0)
    unbroken = dropping()
    broken, resumed = (copy.deepcopy(unbroken) for _ in range(2))
    train(unbroken)
    with pytest.raises(Stopped):
        train(
            broken, checkpoint=saving(tmp_path), watch=Watch(should_stop=StopAt(2 * STEPS + 1), checkpoint_seconds=0.0)
        )
    torch.manual_seed(1)
    before = torch.get_rng_state()
    train(resumed, checkpoint=saving(tmp_path))
    assert equal(weights(resumed), weights(unbroken))
    assert torch.equal(torch.get_rng_state(), before)
