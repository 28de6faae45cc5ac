"""A network and images so small that an epoch takes a few milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.data.catalogue import data_set
from harness.data.loader import DeviceLoader
from harness.train.checkpoint import Checkpoint
from harness.train.loop import Progress, Source, Step, train_epochs
from harness.train.rates import Rates
from harness.train.watch import Watch

RATES = (0.1, 0.1, 0.05, 0.01)
IMAGES, BATCH = 48, 16
STEPS = IMAGES // BATCH


def network(seed: int = 0) -> nn.Sequential:
    """A convolution, batch norm and a linear layer for 8 × 8 grey images."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


def loader(images: int = IMAGES, seed: int = 0) -> DeviceLoader:
    """Random images of three classes."""
    drawn = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (images, 8, 8, 1), generator=drawn, dtype=torch.uint8)
    return DeviceLoader(pixels, torch.randint(0, 3, (images,), generator=drawn), data_set("digits"))


def source(seed: int = 7, held_out: bool = True) -> Source:
    """The training images, and others held out."""
    return Source(loader(), loader(20, seed=1) if held_out else None, seed, BATCH, augment=True)


def step(trained: nn.Module, **options: Any) -> Step:
    """All parameters, unless `parameters` names them."""
    chosen = {"parameters": list(trained.parameters()), "momentum": 0.9, "weight_decay": 5e-4, **options}
    return Step(**chosen)


def train(
    trained: nn.Module,
    rates: Rates = RATES,
    *,
    images: Source | None = None,
    checkpoint: Checkpoint | None = None,
    watch: Watch | None = None,
    before_epoch: Any = None,
    first_epoch: int = 0,
    **options: Any,
) -> Progress:
    """Trains with the options of a `Step`."""
    return train_epochs(
        trained,
        step(trained, **options),
        images or source(),
        rates,
        first_epoch=first_epoch,
        stage="finetune",
        checkpoint=checkpoint,
        watch=watch,
        before_epoch=before_epoch,
    )


def weights(of: nn.Module) -> dict[str, Tensor]:
    """A copy of all weights and statistics."""
    return {name: tensor.clone() for name, tensor in of.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two sets of tensors are the same to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def saving(folder: Path) -> Checkpoint:
    """A checkpoint in a folder."""
    return Checkpoint(folder / "epoch.safetensors")
