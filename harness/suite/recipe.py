"""How weights are trained: the recipe block of a suite, and the recipes that have a name."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.data.catalogue import SMALLEST_CROP


def _unset(value: object) -> bool:
    """Options that came later are left out where they are not used: what was named without them keeps its name."""
    return value is None or value is False


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

    epochs: Annotated[Epochs, Field(description="lengths of the stages")]
    batch: Annotated[int, Field(ge=2, le=65536, description="images a step")] = 64
    accumulate: Annotated[
        int,
        Field(
            ge=1,
            le=4096,
            description="micro-batches that a step takes one after the other, for less memory, or in the processes of "
            "resources.ranks; the gradient is that of all its images, and batch norm sees one micro-batch at a time",
            exclude_if=lambda parts: parts == 1,
        ),
    ] = 1
    lr: Annotated[float, Field(gt=0, le=10, description="learning rate at the start of the schedule")] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1, description="of SGD")] = 0.9
    weight_decay: Annotated[float, Field(ge=0, lt=1, description="of all weights")] = 1e-4
    schedule: Annotated[
        Literal["step", "cosine", "constant"], Field(description="how the learning rate falls over the epochs")
    ] = "step"
    milestones: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...],
        Field(description="of the step schedule, as fractions of its length"),
    ] = (0.5, 0.75)
    gamma: Annotated[float, Field(gt=0, le=1, description="factor at each milestone")] = 0.1
    late_milestones: Annotated[
        bool,
        Field(
            description="a step schedule changes one epoch after each milestone, as DNAL's code does", exclude_if=_unset
        ),
    ] = False
    per_iteration: Annotated[
        bool, Field(description="the cosine falls at every step, not at every epoch", exclude_if=_unset)
    ] = False
    dense_horizon: Annotated[
        int | None,
        Field(
            ge=1,
            description="length of the schedule that the dense stage begins; default: the baseline's. Training that "
            "goes on where the dense stage ends keeps to its own schedule from the start",
            exclude_if=_unset,
        ),
    ] = None
    rebuild_momentum: Annotated[bool, Field(description="SGD starts each epoch without momentum, as DNAL does")] = True
    all_train: Annotated[
        bool,
        Field(description="train on the held-out images too, as the paper does; a method that needs them does not"),
    ] = False
    finetune_lr: Annotated[
        Literal["base", "tenth", "choose"],
        Field(
            description="learning rates of fine-tuning: the schedule's, a tenth of them, or whichever of the two does "
            "better on held-out images (both are trained and billed)",
            exclude_if=lambda rate: rate == "base",
        ),
    ] = "base"
    augment: Annotated[bool, Field(description="crop and mirror the training images at random")] = True
    crop_scale: Annotated[
        float | None,
        Field(
            gt=0,
            le=1,
            description=f"photographs: smallest share of its area that a random crop shows; default: {SMALLEST_CROP}",
            exclude_if=lambda share: share in {None, SMALLEST_CROP},
        ),
    ] = None
    resize_first: Annotated[
        bool,
        Field(
            description="photographs: the shorter side is made 8/7 of the size before the random crop",
            exclude_if=_unset,
        ),
    ] = False
    channels_last: Annotated[bool, Field(description="memory format of images and weights")] = True
    precision: Annotated[
        Literal["float32", "bfloat16"],
        Field(description="bfloat16: forward passes run under autocast; refused where a device only emulates it"),
    ] = "float32"
    compile: Annotated[
        bool,
        Field(description="dense training and fine-tuning run the network as torch.compile has it", exclude_if=_unset),
    ] = False
    cuda_graphs: Annotated[
        bool, Field(description="a training step is recorded once an epoch and replayed; on a GPU", exclude_if=_unset)
    ] = False
    deterministic: Annotated[
        bool,
        Field(description="only algorithms that give the same bits every time, on a GPU too", exclude_if=_unset),
    ] = False
    record_test_curve: Annotated[
        bool,
        Field(
            description="read the test images after every epoch of fine-tuning too, and print the best of these epochs "
            "beside the last, marked †; nothing is chosen by it",
            exclude_if=_unset,
        ),
    ] = False
    calibrated: Annotated[
        bool,
        Field(description="lr and weight decay were chosen by a calibration at full length, or the paper states them"),
    ] = True

    @property
    def arithmetic(self) -> str:
        """In what weights are trained: "float32", "bfloat16, compiled"."""
        switches = {"compiled": self.compile, "CUDA graphs": self.cuda_graphs, "deterministic": self.deterministic}
        return ", ".join([self.precision, *(word for word, on in switches.items() if on)])

    @model_validator(mode="after")
    def _lengths_fit(self) -> Self:
        if self.epochs.finetune > self.epochs.schedule:
            raise ValueError(
                f"finetune ({self.epochs.finetune} epochs) replays the tail of the baseline's schedule, "
                f"which has only {self.epochs.schedule}"
            )
        if self.finetune_lr == "choose" and self.all_train:
            raise ValueError(
                "finetune_lr: choose decides on held-out images, which all_train trains on; set all_train: false"
            )
        if self.batch < 2 * self.accumulate:
            raise ValueError(
                f"accumulate ({self.accumulate}) leaves less than two images a micro-batch in a batch of {self.batch}"
            )
        if self.dense_horizon is not None and self.dense_horizon < self.epochs.dense:
            raise ValueError(
                f"dense_horizon ({self.dense_horizon} epochs) is shorter than the dense stage ({self.epochs.dense})"
            )
        return self


PHOTOGRAPH_OPTIONS = frozenset({"crop_scale", "resize_first"})
"""The fields that mean something for photographs only."""

# The steps of the DNAL code: /10 at 30 and 60 of 90 epochs, each one epoch late.
_THIRDS: dict[str, Any] = {"milestones": (1 / 3, 2 / 3), "late_milestones": True, "resize_first": True}

_MOBILE: dict[str, Any] = {"schedule": "cosine", "per_iteration": True, "weight_decay": 4e-5, "crop_scale": 0.2}

RECIPES: dict[str, Recipe] = {
    "paper_cifar": Recipe(
        epochs=Epochs(dense=100, search=20, finetune=120, baseline=200), all_train=True, calibrated=False
    ),
    "paper_cifar_mobilenetv2": Recipe(
        epochs=Epochs(dense=150, search=20, finetune=180, baseline=300),
        weight_decay=4e-5,
        all_train=True,
        calibrated=False,
    ),
    # Learning rates and weight decays of the four below are those of the DNAL code itself.
    "imagenet_vgg16": Recipe(
        epochs=Epochs(dense=30, search=10, finetune=70, baseline=90), batch=128, lr=0.01, all_train=True, **_THIRDS
    ),
    "imagenet_resnet50": Recipe(
        epochs=Epochs(dense=30, search=10, finetune=70, baseline=90), batch=256, lr=0.1, all_train=True, **_THIRDS
    ),
    "imagenet_mobilenetv2": Recipe(
        epochs=Epochs(dense=80, search=10, finetune=90, baseline=120),
        batch=256,
        lr=0.1,
        dense_horizon=160,
        all_train=True,
        **_MOBILE,
    ),
    "imagenet_proxylessnas": Recipe(
        epochs=Epochs(dense=100, search=10, finetune=110, baseline=150),
        batch=96,
        lr=0.05,
        dense_horizon=150,
        all_train=True,
        **_MOBILE,
    ),
    "short_cifar": Recipe(epochs=Epochs(dense=8, search=3, finetune=9, baseline=16), lr=0.05, weight_decay=5e-4),
    "short_digits": Recipe(epochs=Epochs(dense=8, search=4, finetune=12, baseline=16), lr=0.1, weight_decay=5e-4),
    "short_photographs": Recipe(
        epochs=Epochs(dense=6, search=3, finetune=7, baseline=12),
        batch=32,
        lr=0.05,
        weight_decay=5e-4,
        crop_scale=0.25,
        calibrated=False,
    ),
}
