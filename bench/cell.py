"""A whole DNAL cell, dense training included: `python -m harness run` against `bench/plain_dnal.py`.

Two whole processes, two threads each, one after the other: the same network (VGG16), the same training images of
CIFAR-10, the paper's λ = 2e-4, batch of 64, learning rates and momentum; the lengths of the stages are in the paper's
proportions (100 : 20 : 120). Both start from nothing but the unpacked data, and both classify test images once, at the
end. That test is left out of the comparison: it is nothing beside 240 epochs and would be a third of so short a run,
mostly to the harm of the script, which classifies with masks. (It is given fewer test images, to save time.) A second
line takes each side's rates, measured in the same run, to the paper's full length, where start-up weighs nothing.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.lines import Line
from bench.processes import ROOT, Ran, harness, run

STAGES = {"dense": "dense", "compress": "search", "finetune": "finetune", "measure": "test"}
"""{kind of the harness's stage: what the plain script calls it}."""
PAPER = {"dense": 100, "search": 20, "finetune": 120}
PAPER_IMAGES = 50_000

SUITE = """\
suite: cell
dataset: {{name: cifar10, train_images: {images}}}
backbones: [{backbone}]
seeds: [0]
recipe:
  use: paper_cifar
  lr: {lr}
  epochs: {{dense: {dense}, search: {search}, finetune: {finetune}, baseline: {baseline}}}
methods:
  - dnal: {{lambda_a: {lambda_a}}}
resources: {{gpu: 0, cpu: 2}}
"""


@dataclass(frozen=True)
class Size:
    """How much of the cell is run; lengths in epochs."""

    backbone: str
    width: float
    images: int
    dense: int
    search: int
    finetune: int
    baseline: int
    lr: float = 0.05
    lambda_a: float = 2e-4

    def epochs(self, stage: str) -> int:
        """Of one of the three stages."""
        return {"dense": self.dense, "search": self.search, "finetune": self.finetune}[stage]


FULL = Size("vgg16", 1.0, images=384, dense=5, search=1, finetune=6, baseline=10)
QUICK = Size("vgg16_eighth", 0.125, images=128, dense=2, search=1, finetune=2, baseline=4)
TESTED = 1_000
"""Test images of the plain script."""


@dataclass(frozen=True)
class Side:
    """One side of the comparison.

    Attributes:
        seconds: {stage: seconds}, of "dense", "search", "finetune" and "test".
        macs: multiply-adds of the network that it ends with, and of the whole one.
    """

    ran: Ran
    seconds: dict[str, float]
    macs: tuple[int, int]

    @property
    def untested(self) -> float:
        """Seconds of the whole process but for the test."""
        return self.ran.seconds - self.seconds["test"]

    @property
    def rest(self) -> float:
        """Seconds outside of the stages: imports, set-up, report."""
        return self.ran.seconds - sum(self.seconds.values())

    def full(self, size: Size) -> float:
        """Seconds of the three stages at the paper's length, at this run's rates."""
        return sum(
            self.seconds[stage] * (epochs * PAPER_IMAGES) / (size.epochs(stage) * size.images)
            for stage, epochs in PAPER.items()
        )

    def told(self) -> str:
        """Where the time went."""
        parts = ", ".join(f"{stage} {self.seconds[stage]:.1f} s" for stage in PAPER)
        return f"{parts}, start-up and all else {self.rest:.1f} s; {self.macs[1] / self.macs[0]:.2f}× fewer MACs"


def ours(size: Size, folder: Path) -> Side:
    """The cell by the harness, in a fresh results folder."""
    from harness.store.ledger import Ledger

    folder.mkdir(parents=True)
    (folder / "cell.yaml").write_text(SUITE.format(**vars(size)))
    ran = harness(["run", "cell.yaml", "--executor", "inline", "--results", "results"], folder)
    facts = {event.kind: event.payload for event in Ledger(folder / "results").refresh() if event.event == "done"}
    seconds = {name: float(facts[kind]["seconds"]) for kind, name in STAGES.items()}
    measured = facts["measure"]
    return Side(ran, seconds, (measured["macs"], measured["dense_macs"]))


def theirs(size: Size, folder: Path) -> Side:
    """The cell by the plain script."""
    from harness.data.catalogue import data_set
    from harness.data.split import split
    from harness.paths import data_folder

    folder.mkdir(parents=True)
    chosen = split(data_set("cifar10"), size.images, all_train=True).train.tolist()
    (folder / "subset.json").write_text(json.dumps(chosen))
    words = [str(ROOT / "bench" / "plain_dnal.py"), "--data", str(data_folder().resolve()), "--subset", "subset.json"]
    words += ["--epochs", *(str(size.epochs(stage)) for stage in PAPER), "--baseline", str(size.baseline)]
    words += ["--lr", str(size.lr), "--lambda-a", str(size.lambda_a), "--width", str(size.width)]
    words += ["--tested", str(TESTED)]
    ran = run(words, folder)
    said = json.loads(ran.output.strip().splitlines()[-1])
    seconds = {stage: float(said["seconds"][stage]) for stage in STAGES.values()}
    return Side(ran, seconds, (said["macs"], said["dense_macs"]))


def both(size: Size) -> tuple[Side, Side]:
    """Ours, then theirs."""
    with tempfile.TemporaryDirectory() as temporary:
        return ours(size, Path(temporary) / "ours"), theirs(size, Path(temporary) / "theirs")


def measure(quick: bool) -> list[Line]:
    """The whole cell, the same at the paper's length, and each stage."""
    size = QUICK if quick else FULL
    mine, plain = both(size)
    recipe = f"{size.images} images, {size.dense} + {size.search} + {size.finetune} epochs"
    what = f"whole DNAL cell, `{size.backbone}`, λ = {size.lambda_a:g}, {recipe}, process without its test"
    note = f"Ours: {mine.told()}. Plain: {plain.told()}"
    bar = "≥ 1.5"
    lines = [_line(what, mine.untested, plain.untested, "s", bar, note)]
    full = (mine.full(size) / 3600, plain.full(size) / 3600)
    at_length = "the same at 50,000 images, 100 + 20 + 120 epochs, start-up left out"
    lines.append(_line(at_length, *full, "h", bar, "reckoned from the rates of this run's stages"))
    for stage in PAPER:
        lines.append(_line(f"of the whole cell: {stage}", mine.seconds[stage], plain.seconds[stage], "s", "–", ""))
    lines.append(_line("of the whole cell: start-up and all else", mine.rest, plain.rest, "s", "–", ""))
    return lines


def _line(what: str, mine: float, plain: float, unit: str, bar: str, note: str) -> Line:
    return Line(what, f"{mine:.1f} {unit}", f"{plain:.1f} {unit}", plain / mine, bar, note)
