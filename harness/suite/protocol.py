"""The protocol that all methods of a suite share: where they start from, and the controls beside their cells."""

from __future__ import annotations

from typing import Literal, get_args

from harness.suite.recipe import Recipe

Track = Literal["shared_start", "converged"]
TRACKS: tuple[Track, ...] = get_args(Track)
DEFAULT_TRACK: Track = "shared_start"

Scratch = Literal["epochs", "macs"]
SCRATCHES: tuple[Scratch, ...] = get_args(Scratch)

SCRATCH_CAP = 10
"""A control of equal training MACs trains for at most so many times the total of epochs of its track."""


def in_track(recipe: Recipe, track: Track) -> Recipe:
    """The recipe as a track reads it.

    `shared_start` is the recipe as it stands: all methods start from a dense network whose schedule has not run out
    (DNAL's own protocol), and fine-tune on the rest of it. Under `converged` the dense stage is the baseline's whole
    schedule, down to its last rate; search and fine-tuning come on top, and fine-tuning replays the tail of that
    schedule from the annealed network (learning-rate rewinding: Renda, Frankle, Carbin, ICLR 2020). Totals differ
    between the tracks and are equal within each.
    """
    if track == "shared_start":
        return recipe
    epochs = recipe.epochs.model_copy(
        update={"dense": recipe.epochs.schedule, "baseline": recipe.epochs.schedule},
    )
    return recipe.model_copy(update={"epochs": epochs, "dense_horizon": None})


def scratch_epochs(mode: Scratch, total: int, training_macs: int, macs_per_epoch: int) -> int:
    """How long a control trains new weights.

    Args:
        total: epochs of every cell of the track.
        training_macs: of the cell that it controls: dense training, search and fine-tuning.
        macs_per_epoch: of the kept network: three passes' worth over the training images.

    Returns:
        `total`, or the epochs whose multiply-adds come nearest to `training_macs`: at least one, at most
        `SCRATCH_CAP` times `total`.
    """
    if mode == "epochs":
        return total
    wanted = (2 * training_macs + macs_per_epoch) // (2 * macs_per_epoch)
    return max(1, min(wanted, SCRATCH_CAP * total))
