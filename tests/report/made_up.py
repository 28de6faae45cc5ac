"""Rows that no network earned: grids of cells with figures that look like real ones."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from harness.report.facts import SuiteFacts
from harness.store.rows import CurvePoint, GateHistogram, Row
from harness.suite.cell import Budget, Cell, DataChoice
from harness.suite.recipe import RECIPES, Epochs, Recipe

PAPER = RECIPES["paper_cifar"]
SHORT = Recipe(epochs=Epochs(dense=8, search=3, finetune=9, baseline=16), weight_decay=5e-4)
CIFAR = DataChoice("cifar10")

WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
DENSE_MACS, DENSE_PARAMS = 313_463_808, 14_991_946


def cell(method: str, seed: int = 0, **changes: Any) -> Cell:
    """A cell of VGG16 on CIFAR-10 under the paper's recipe, unless told otherwise."""
    params = changes.pop("params", {})
    defaults: dict[str, Any] = {"backbone": "vgg16", "data": CIFAR, "recipe": PAPER, "shown": tuple(params)}
    return Cell(method=method, seed=seed, params=params, **(defaults | changes))


def done(of: Cell, top1: float, macs: int = DENSE_MACS, **changes: Any) -> Row:
    """A measured row."""
    figures: dict[str, Any] = {
        "top1": top1,
        "top5": min(1.0, 0.98 + top1 / 50),
        "macs": macs,
        "params": round(DENSE_PARAMS * (macs / DENSE_MACS) ** 1.2),
        "paper_flops": macs + 8_970,
        "paper_params": round(DENSE_PARAMS * (macs / DENSE_MACS) ** 1.2),
        "dense_macs": DENSE_MACS,
        "dense_params": DENSE_PARAMS,
        "dense_paper_flops": 313_472_778,
        "dense_paper_params": 14_990_922,
        "train_images": 50_000,
        "epochs": {"dense": of.recipe.epochs.dense, "finetune": of.recipe.epochs.search + of.recipe.epochs.finetune},
        "training_macs": 3 * 50_000 * macs * of.recipe.epochs.total,
        "device_seconds": 2100.0,
    }
    return Row(cell=of, state="done", **(figures | changes))


def failed(of: Cell, reason: str = "diverged: the loss is not a number") -> Row:
    """A row that ended without a figure."""
    return Row(cell=of, state="failed", reason=reason)


def waiting(of: Cell) -> Row:
    """A row whose work has not begun."""
    return Row(cell=of, state="waiting", reason="waits for its partner")


def facts(**changes: Any) -> SuiteFacts:
    """The suite of `cell`s."""
    plain = SuiteFacts(
        name="made_up",
        title="VGG16 on CIFAR-10",
        recipe=PAPER,
        data=CIFAR,
        backbones=("vgg16",),
        seeds=(0, 1, 2),
    )
    return dataclasses.replace(plain, **changes)


def curve(epochs: dict[str, int], end: float, noise: random.Random, held_out: bool) -> tuple[CurvePoint, ...]:
    """A curve that rises towards `end`, with a step down where the network is cut."""
    points: list[CurvePoint] = []
    total = sum(epochs.values())
    for stage, length in epochs.items():
        for inside in range(length):
            progress = (len(points) + 1) / total
            reached = end * (1 - 0.75 * (1 - progress) ** 6) - (0.06 if inside < 2 and stage == "finetune" else 0)
            reached += noise.gauss(0, 0.008)
            loss = 2.3 * (1 - progress) ** 3 + 0.02 + (0.25 if stage == "compress" else 0) + abs(noise.gauss(0, 0.01))
            gates = annealed(inside + 1, length) if stage == "compress" else None
            accuracies = (min(reached + 0.02, 1.0), reached if held_out else None)
            points.append(CurvePoint(stage, len(points), loss, *accuracies, gates))
    return tuple(points)


def annealed(epoch: int, epochs: int, closed: float = 0.6) -> GateHistogram:
    """A thousand gates that leave the middle for both ends."""
    counts = [0] * 40
    for number in range(1000):
        end, way = (0.0 if number < 1000 * closed else 1.0), (epoch / epochs) ** (0.2 + number % 10 / 5)
        counts[min(int((0.5 + (end - 0.5) * way) * 40), 39)] += 1
    return GateHistogram(0.0, 1.0, tuple(counts))


def grid(
    strengths: tuple[float, ...] = (1e-5, 1e-4, 5e-4),
    seeds: tuple[int, ...] = (0, 1, 2),
    recipe: Recipe = PAPER,
    *,
    scale: float = 1.0,
    factor: float = 1.0,
    backbone: str = "vgg16",
    curves: bool = True,
) -> list[Row]:
    """A whole suite: dense, DNAL at each strength, and four controls for each of its points.

    Args:
        strengths: of DNAL.
        seeds: of every point.
        recipe: of every cell.
        scale: share of VGG16's MACs that the whole network has.
        factor: by which the strengths are scaled.
        backbone: of every cell.
        curves: whether rows have one.
    """
    noise = random.Random(0)
    rows: list[Row] = []
    parts = recipe.epochs
    searched = {"dense": parts.dense, "compress": parts.search, "finetune": parts.finetune}
    straight = {"dense": parts.dense, "finetune": parts.search + parts.finetune}
    scratch = {"finetune": parts.total}
    dense_macs, dense_params = round(DENSE_MACS * scale), round(DENSE_PARAMS * scale)
    common: dict[str, Any] = {
        "dense_macs": dense_macs,
        "dense_params": dense_params,
        "dense_paper_flops": dense_macs + 8_970,
        "dense_paper_params": dense_params,
        "train_images": 50_000 if recipe.all_train else 45_000,
        "provenance": {
            "commit": "0123456789abcdef",
            "dirty": False,
            "versions": {"torch": "2.15.0"},
            "processor": "A processor",
            "threads": 1,
        },
    }

    def made(of: Cell, share: float, top1: float, epochs: dict[str, int], **more: Any) -> Row:
        macs = round(dense_macs * share)
        params = round(dense_params * share**1.5)
        return done(
            of,
            top1 + noise.gauss(0, 0.0025),
            macs,
            params=params,
            paper_flops=macs + round(8_970 * share),
            paper_params=params,
            epochs=epochs,
            stage_macs={
                stage: 150_000 * length * (macs if stage == "finetune" else dense_macs)
                for stage, length in epochs.items()
            },
            stage_seconds={stage: 8.0 * length for stage, length in epochs.items()} | {"measure": 2.0},
            curve=curve(epochs, top1, noise, not recipe.all_train) if curves else (),
            widths={
                f"features.{number}": (max(1, round(size * share**0.5 * noise.uniform(0.7, 1.1))), size)
                if share < 1
                else (size, size)
                for number, size in enumerate(WIDTHS)
            },
            **(common | more),
        )

    for seed in seeds:
        here: dict[str, Any] = {"seed": seed, "recipe": recipe, "backbone": backbone}
        rows.append(made(cell("dense", **here), 1.0, 0.9377, straight))
        for strength in strengths:
            share = 0.7 / (1 + (strength / 1.2e-4) ** 1.7) * noise.uniform(0.97, 1.03)
            top1 = 0.938 - 0.012 * (1 / share) ** 0.5 + 0.012
            searching = cell("dnal", params={"lambda_a": strength}, **here)
            rows.append(made(searching, share, top1, searched, strength=("lambda_a", strength, factor)))
            target = rows[-1].macs
            for method, loss in (("l1_norm", 0.002), ("random", 0.008), ("uniform", 0.012)):
                of = cell(method, match=searching, **here)
                epochs = scratch if method == "uniform" else straight
                rows.append(made(of, share * noise.uniform(0.997, 1.003), top1 - loss, epochs, target=target))
            for method, loss in (("l1_norm", 0.0), ("random", 0.004)):
                of = cell(method, widths_of=searching, allocate="from", **here)
                rows.append(made(of, share, top1 - loss, straight))
    return rows


def budgeted(method: str, share: float, seed: int = 0, **changes: Any) -> Cell:
    """A cell with a budget as a share of the whole network's MACs."""
    return cell(method, seed, budget=Budget("macs", share), **changes)
