"""Two processes that train one network against one process that takes the same micro-batches.

    python -m bench.two_processes [--quick] [--data DIR] [--photographs NAME] [--pixels N] [--images N] [--epochs N]

From the repository's root; prints a page in Markdown. A dense stage of ResNet18 on a folder of photographs, through the
pipeline of ImageNet (decoding, random crops, mirroring), is run three times: in one process that takes a step in two
micro-batches, in two gloo processes that take one each, and, for the scale of what is compared, in one process whose
batch norm sees whole batches.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BATCH = 32
LR = 0.05


@dataclass(frozen=True)
class Trained:
    """A training that was run.

    Attributes:
        weights: {name: tensor} of the network as it was saved, with running statistics.
        curve: a point an epoch.
        top1: on the test split, 0..1.
        seconds: of the training, without starting processes and reading folders.
        whole: seconds of the stage.
    """

    weights: Mapping[str, Any]
    curve: list[dict[str, Any]]
    top1: float
    seconds: float
    whole: float


def trained(data: Path, name: str, images: int, epochs: int, accumulate: int, ranks: int) -> Trained:
    """Runs the dense stage of one cell and scores what it leaves on the test split."""
    from harness.execute.network import fresh_network
    from harness.execute.place import Place
    from harness.execute.stages import run_stage
    from harness.measure.accuracy import measure_accuracy
    from harness.plan.stages import chain_of
    from harness.suite.cell import Cell, DataChoice
    from harness.suite.recipe import Epochs, Recipe
    from harness.train.checkpoint import tensors_from_bytes
    from harness.train.ranks import Ranks

    recipe = Recipe(
        epochs=Epochs(dense=epochs, search=1, finetune=1),
        batch=BATCH,
        accumulate=accumulate,
        lr=LR,
        schedule="cosine",
        per_iteration=True,
        weight_decay=5e-4,
        crop_scale=0.25,
        rebuild_momentum=False,
    )
    cell = Cell("torchvision/resnet18", DataChoice(name, images), "dense", {}, 0, recipe)
    stage = chain_of(cell, {}).stages[0]
    with tempfile.TemporaryDirectory() as results:
        place = Place(Path(results), data, threads=1, ranks=Ranks(0, ranks))
        place.set_threads()
        began = time.perf_counter()
        outcome = run_stage(place, stage.kind, stage.key, stage.config, stage.parents)
        whole = time.perf_counter() - began
    weights, _ = tensors_from_bytes(outcome.files["network.safetensors"])
    network = fresh_network(stage.config)
    network.load_state_dict(weights)
    tested = measure_accuracy(network, place.test_loader(name))
    return Trained(weights, outcome.facts["curve"], tested.top1, outcome.facts["train_seconds"], whole)


def farthest(one: Trained, other: Trained, statistics: bool) -> tuple[float, float, int]:
    """Of weights or of running statistics: largest difference, the largest value there, how many values differ."""
    differs, largest, count = 0.0, 0.0, 0
    for name, tensor in one.weights.items():
        if name.endswith("num_batches_tracked") or name.endswith(("running_mean", "running_var")) != statistics:
            continue
        apart = (tensor.double() - other.weights[name].double()).abs()
        differs, largest = max(differs, float(apart.max())), max(largest, float(tensor.abs().max()))
        count += int((apart > 0).sum())
    return differs, largest, count


def page(one: Trained, two: Trained, whole: Trained) -> str:
    """The tables."""
    lines = [
        "| epoch | loss, one process | two processes | difference | whole batches | difference |",
        "|---|---|---|---|---|---|",
    ]
    for alone, shared, plain in zip(one.curve, two.curve, whole.curve, strict=True):
        first, second, third = alone["loss"], shared["loss"], plain["loss"]
        lines.append(
            f"| {alone['epoch'] + 1} | {first:.9f} | {second:.9f} | {second - first:.1e} "
            f"| {third:.9f} | {third - first:.1e} |"
        )
    lines += [
        "",
        "| after the last epoch | one process | two processes | difference | whole batches | difference |",
        "|---|---|---|---|---|---|",
    ]
    for what, statistics in (("weights", False), ("running statistics", True)):
        close, largest, count = farthest(one, two, statistics)
        far, _, others = farthest(one, whole, statistics)
        lines.append(
            f"| {what}: largest value | {largest:.3g} | | at most {close:.1e}, in {count:,} values | "
            f"| at most {far:.1e}, in {others:,} values |"
        )
    for what, found in (
        ("held-out top-1, %", [100 * float(run.curve[-1]["held_out_top1"]) for run in (one, two, whole)]),
        ("test top-1, %", [100 * run.top1 for run in (one, two, whole)]),
    ):
        first, second, third = found
        lines.append(
            f"| {what} | {first:.2f} | {second:.2f} | {second - first:.2f} | {third:.2f} | {third - first:.2f} |"
        )
    lines += [
        f"| seconds of training | {one.seconds:.1f} | {two.seconds:.1f} | × {one.seconds / two.seconds:.2f} "
        f"| {whole.seconds:.1f} | × {one.seconds / whole.seconds:.2f} |",
        f"| seconds of the stage | {one.whole:.1f} | {two.whole:.1f} | × {one.whole / two.whole:.2f} "
        f"| {whole.whole:.1f} | × {one.whole / whole.whole:.2f} |",
    ]
    return "\n".join(lines)


def main() -> None:
    """Runs the three trainings and prints the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.two_processes", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds: 64 photographs at 32 pixels, two epochs")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HARNESS_DATA", "data")))
    parser.add_argument("--photographs", default="imagenette", help="a folder of photographs under the data folder")
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    pixels, images, epochs = (32, 64, 2) if given.quick else (given.pixels, given.images, given.epochs)
    os.environ["HARNESS_DATA"] = str(given.data)

    import torch

    from harness.measure.environment import commit, processor

    name = f"folder/{given.photographs}@{pixels}"
    runs = [trained(given.data, name, images, epochs, *how) for how in ((2, 1), (2, 2), (1, 1))]
    sha, _ = commit()
    print("# Two processes against one\n")
    print(
        f"What `python -m bench.two_processes{' --quick' if given.quick else ''}` printed: ResNet18 on {images} "
        f"photographs of `{given.photographs}` at {pixels} pixels, {epochs} epochs, {BATCH} images a step, in "
        f"micro-batches of {BATCH // 2}. {processor()}, {os.cpu_count()} cores, one thread a process, torch "
        f"{torch.__version__}, commit {(sha or 'unknown')[:12]}.\n"
    )
    print(page(*runs))
    print(
        "\nA gradient is the sum of two, which is the same in either order. Running statistics are put together once "
        "an epoch,\nwith other roundings. The last columns are one process whose batch norm sees whole batches: "
        "another training, for the scale.\nSeconds are of a machine that had other work."
    )


if __name__ == "__main__":
    main()
