"""How weights are trained: the recipe block of a suite, and the recipes that have a name."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Epochs(BaseModel):
    """Lengths of the stages, in passes over the training images.

    A method that needs no search fine-tunes for `search + finetune` epochs, so that every method has the same total.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dense: Annotated[int, Field(ge=1, description="of the dense training that all methods start from")]
    search: Annotated[int, Field(ge=1, description="of a method's own search")]
    finetune: Annotated[int, Field(ge=0, description="after the cut")]
    baseline: Annotated[int | None, Field(ge=1, description="the schedule's length; default: dense + finetune")] = None

    @property
    def total(self) -> int:
        """Epochs of a whole cell."""
        return self.dense + self.search + self.finetune

    @property
    def schedule(self) -> int:
        """Epochs of the baseline's schedule, whose tail fine-tuning replays."""
        return self.baseline if self.baseline is not None else self.dense + self.finetune


class Recipe(BaseModel):
    """Everything that decides how weights are trained; part of the content key of every stage that trains."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Epochs
    batch: Annotated[int, Field(ge=2, le=65536, description="images a step")] = 64
    lr: Annotated[float, Field(gt=0, le=10)] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 1e-4
    schedule: Literal["step", "cosine", "constant"] = "step"
    milestones: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...],
        Field(description="of the step schedule, as fractions of its length"),
    ] = (0.5, 0.75)
    gamma: Annotated[float, Field(gt=0, le=1, description="factor at each milestone")] = 0.1
    rebuild_momentum: Annotated[bool, Field(description="SGD starts each epoch without momentum, as DNAL does")] = True
    all_train: Annotated[
        bool,
        Field(description="train on the held-out images too, as the paper does; a method that needs them does not"),
    ] = False
    augment: bool = True
    channels_last: bool = True
    precision: Literal["float32", "bfloat16"] = "float32"
    calibrated: Annotated[
        bool, Field(description="lr and weight decay were chosen by a calibration at full length")
    ] = True

    @model_validator(mode="after")
    def _tail_fits(self) -> Self:
        if self.epochs.finetune > self.epochs.schedule:
            raise ValueError(
                f"finetune ({self.epochs.finetune} epochs) replays the tail of the baseline's schedule, "
                f"which has only {self.epochs.schedule}"
            )
        return self


RECIPES: dict[str, Recipe] = {
    "paper_cifar": Recipe(
        epochs=Epochs(dense=100, search=20, finetune=120, baseline=200), all_train=True, calibrated=False
    ),
    "short_cifar": Recipe(epochs=Epochs(dense=8, search=3, finetune=9, baseline=16), lr=0.05, weight_decay=5e-4),
    "short_digits": Recipe(epochs=Epochs(dense=8, search=4, finetune=12, baseline=16), lr=0.1, weight_decay=5e-4),
}
