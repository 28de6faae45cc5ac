"""DNAL as one plain script: what a user would write from the paper, without the harness; `bench/cell.py` runs it.

    python bench/plain_dnal.py --data DIR [--images N] [--epochs E1 E2 E3] ...

The usual habits of public pruning code: torchvision's `DataLoader` with two workers, a gate layer after every batch
norm, masks instead of a cut in fine-tuning, SGD as torch makes it. Nothing in it is slow on purpose: frozen weights
take no gradients, workers stay alive between epochs, and the test images are classified once, at the end.
Guo et al., Pattern Recognition 126, 2022: three stages (weights; gates; weights again), VGG16 for CIFAR-10.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
THRESHOLD = 0.9
"""A channel stays if its gate is larger."""

Batches = Iterable[tuple[Tensor, Tensor]]
"""What one pass gives each time it is iterated: images [B, C, H, W], labels [B]."""


class Gate(nn.Module):
    """sigmoid(δ·s) · mask times each channel; "bypass" in the first stage, "hard" (the mask alone) in the last."""

    delta: Tensor
    mask: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mode = "bypass"
        self.values = nn.Parameter(torch.zeros(channels))
        self.register_buffer("delta", torch.tensor(1.0))
        self.register_buffer("mask", torch.ones(channels))

    def forward(self, images: Tensor) -> Tensor:
        """[B, channels, H, W] → the same shape."""
        if self.mode == "bypass":
            return images
        factor = self.mask if self.mode == "hard" else torch.sigmoid(self.delta * self.values) * self.mask
        return images * factor.view(1, -1, 1, 1)

    @torch.no_grad()
    def decide(self) -> None:
        """Closes for good what is not open by more than the threshold."""
        self.mask.copy_(self.delta.double() * self.values.double() > math.log(THRESHOLD / (1 - THRESHOLD)))
        self.mode = "hard"


class GatedVgg(nn.Module):
    """VGG with gates: convolution, batch norm, gate, ReLU; a hidden linear layer and a linear layer on top."""

    def __init__(self, stages: Sequence[Sequence[int]] = VGG16, channels: int = 3, size: int = 32, classes: int = 10):
        super().__init__()
        layers: list[nn.Module] = []
        for stage in stages:
            for width in stage:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), Gate(width), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
            size //= 2
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(channels * size * size, channels),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Linear(channels, classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, math.sqrt(2 / (9 * module.out_channels)))
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] → logits [B, classes]."""
        logits: Tensor = self.classifier(torch.flatten(self.features(images), 1))
        return logits

    @property
    def gates(self) -> list[Gate]:
        """From the first to the last convolution."""
        return [module for module in self.modules() if isinstance(module, Gate)]

    def macs(self, size: int = 32) -> int:
        """Multiply-adds of convolutions and linear layers, had the masked channels been cut; `size` of an image."""
        total, channels = 0, None
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                pending = 9 * (module.in_channels if channels is None else channels) * size * size
            elif isinstance(module, Gate):
                channels = int(module.mask.sum())
                total += pending * channels
            elif isinstance(module, nn.MaxPool2d):
                size //= 2
        hidden, last = self.classifier[0], self.classifier[3]
        assert isinstance(hidden, nn.Linear)
        assert isinstance(last, nn.Linear)
        return total + (channels or 0) * size * size * hidden.out_features + last.in_features * last.out_features


@dataclass(frozen=True)
class Recipe:
    """Lengths in epochs, and how weights are trained."""

    dense: int
    search: int
    finetune: int
    baseline: int
    lr: float = 0.1
    weight_decay: float = 1e-4
    momentum: float = 0.9

    def rate(self, epoch: int) -> float:
        """The learning rate in an epoch of the baseline's schedule: a tenth at a half, again at three quarters."""
        return self.lr * 0.1 ** ((epoch >= self.baseline / 2) + (epoch >= self.baseline * 3 / 4))


def run_epoch(network: GatedVgg, batches: Batches, optimiser: torch.optim.Optimizer, strength: float) -> float:
    """One pass over the training images; the mean loss."""
    network.train()
    total, count = 0.0, 0
    for images, labels in batches:
        loss = cross_entropy(network(images), labels)
        if strength:
            loss = loss + strength * sum(torch.sigmoid(gate.values).sum() for gate in network.gates)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total += loss.item() * len(labels)
        count += len(labels)
    return total / count


def train_weights(network: GatedVgg, batches: Batches, recipe: Recipe, epochs: int, start: int) -> None:
    """The first and the last stage: all weights, at the rates of the baseline's epochs from `start` on."""
    for parameter in network.parameters():
        parameter.requires_grad = True
    for gate in network.gates:
        gate.values.requires_grad = False
    weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for epoch in range(epochs):
        rate = recipe.rate(start + epoch)
        optimiser = torch.optim.SGD(weights, rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
        loss = run_epoch(network, batches, optimiser, strength=0.0)
        print(f"weights, epoch {epoch + 1} of {epochs}: loss {loss:.4f}", flush=True)


def search(network: GatedVgg, batches: Batches, epochs: int, strength: float, delta: float = 1e4) -> None:
    """The second stage: gates and classifier train, convolutions and their batch norm do not; then the decision."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            for parameter in module.parameters():
                parameter.requires_grad = False
    for gate in network.gates:
        gate.mode = "soft"
        nn.init.zeros_(gate.values)
        gate.values.requires_grad = True
    for epoch in range(epochs):
        for gate in network.gates:
            gate.delta.fill_(delta ** ((epoch + 1) / epochs))
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimiser = torch.optim.SGD(trained, 0.01, momentum=0.9)
        loss = run_epoch(network, batches, optimiser, strength)
        print(f"gates, epoch {epoch + 1} of {epochs}: loss {loss:.4f}", flush=True)
    for gate in network.gates:
        gate.decide()


def scaled(strength: float, epochs: int, steps: int) -> float:
    """The paper's λ for a search of other length: λ times the steps, counted by how far momentum has built up."""

    def worth(number: int) -> float:
        return number - 9 * (1 - 0.9**number)

    return strength * 20 * worth(782) / (epochs * worth(steps))


@torch.no_grad()
def accuracy(network: GatedVgg, batches: Batches) -> float:
    """The share of images classified right."""
    network.eval()
    right, count = 0, 0
    for images, labels in batches:
        right += int((network(images).argmax(1) == labels).sum())
        count += len(labels)
    return right / count


def loaders(folder: Path, chosen: Sequence[int], tested: int, batch: int, workers: int) -> tuple[Batches, Batches]:
    """Training batches of the chosen images, and batches of the first so many test images."""
    from torchvision import transforms
    from torchvision.datasets import CIFAR10

    normalise = [
        transforms.ToTensor(),
        transforms.Normalize((0.4914, 0.4824, 0.4467), (0.2471, 0.2435, 0.2616)),
    ]
    augment = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    train = CIFAR10(str(folder), train=True, transform=transforms.Compose([*augment, *normalise]))
    test = CIFAR10(str(folder), train=False, transform=transforms.Compose(normalise))
    alive = workers > 0
    return (
        DataLoader(Subset(train, list(chosen)), batch, shuffle=True, num_workers=workers, persistent_workers=alive),
        DataLoader(Subset(test, range(tested)), batch, num_workers=workers),
    )


def main() -> None:
    """Trains, searches, trains on, tests; prints what it took as JSON in the last line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="holds cifar-10-batches-py")
    parser.add_argument("--subset", type=Path, help="JSON list of the training images' numbers; default: all")
    parser.add_argument("--tested", type=int, default=10_000, help="how many of the test images are classified")
    parser.add_argument("--epochs", type=int, nargs=3, default=(100, 20, 120), help="of the three stages")
    parser.add_argument("--baseline", type=int, default=200, help="length of the learning rates' schedule")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--lambda-a", type=float, default=2e-4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--width", type=float, default=1.0, help="factor on all widths")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    chosen = json.loads(options.subset.read_text()) if options.subset else range(50_000)
    dense, searched, tuned = options.epochs
    recipe = Recipe(dense, searched, tuned, options.baseline, options.lr)
    seconds, began = {}, time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal began
        now = time.perf_counter()
        seconds[stage], began = now - began, now

    train, test = loaders(options.data, chosen, options.tested, options.batch, options.workers)
    network = GatedVgg([[round(options.width * width) for width in stage] for stage in VGG16])
    whole = network.macs()
    lap("set-up")
    train_weights(network, train, recipe, recipe.dense, start=0)
    lap("dense")
    search(
        network, train, recipe.search, scaled(options.lambda_a, recipe.search, math.ceil(len(chosen) / options.batch))
    )
    lap("search")
    train_weights(network, train, recipe, recipe.finetune, start=recipe.baseline - recipe.finetune)
    lap("finetune")
    right = accuracy(network, test)
    lap("test")
    print(json.dumps({"seconds": seconds, "top1": right, "macs": network.macs(), "dense_macs": whole}))


if __name__ == "__main__":
    main()
