"""What a grid will take: cells, stages shared, epochs, multiply-adds, disk and, where known, time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.data.catalogue import data_set
from harness.plan.costs import network_cost
from harness.plan.stages import Chain, Stage, outline, training_images
from harness.plan.timing import HELD_OUT_WORK, Clock, Question
from harness.suite.cell import Cell, DataChoice

STARTUP_SECONDS = 8.0
"""Starting Ray and its workers."""


@dataclass(frozen=True)
class Totals:
    """Sums over a grid.

    Attributes:
        stages: different stages of all cells; `open_stages` of them are not done.
        epochs: of the open stages, each once; `epochs_unshared`: if every cell of the whole grid trained alone;
            `epochs_shared`: of the whole grid with sharing.
        training_macs: multiply-adds of the open stages' training, each stage once (and for the whole grid).
        disk_bytes: of the artifacts that stay once all is done.
        seconds: until the open cells are done on the given slots, or None if nothing like them was measured here.
        cell_seconds: the longest single cell's own stages, shared dense training included.
    """

    cells: int
    stages: int
    open_stages: int
    epochs: int
    epochs_shared: int
    epochs_unshared: int
    training_macs: int
    training_macs_shared: int
    training_macs_unshared: int
    disk_bytes: int
    seconds: float | None
    cell_seconds: float | None


def totals(
    chains: Sequence[Chain], done: Collection[str], clock: Clock | None, slots: int, device: str, threads: int
) -> Totals:
    """Sums over the chains of a grid.

    Args:
        done: keys of finished stages.
        clock: predicts seconds; None leaves them out.
        slots: how many cells run at once.
    """
    stages: dict[str, Stage] = {}
    owners: dict[str, Cell] = {}
    for chain in chains:
        for stage in _with_unnamed(chain):
            stages.setdefault(stage.key, stage)
            owners.setdefault(stage.key, chain.cell)
    open_stages = {key: stage for key, stage in stages.items() if key not in done}
    seconds, longest = _seconds(chains, open_stages, owners, clock, slots, device, threads)
    unshared = [stage for chain in chains for stage in _with_unnamed(chain)[chain.borrowed :]]
    return Totals(
        cells=len(chains),
        stages=len(stages),
        open_stages=len(open_stages),
        epochs=sum(stage.epochs for stage in open_stages.values()),
        epochs_shared=sum(stage.epochs for stage in stages.values()),
        epochs_unshared=sum(stage.epochs for stage in unshared),
        training_macs=sum(stage.training_macs for stage in open_stages.values()),
        training_macs_shared=sum(stage.training_macs for stage in stages.values()),
        training_macs_unshared=sum(stage.training_macs for stage in unshared),
        disk_bytes=sum(_bytes(stage, owners[key]) for key, stage in stages.items()),
        seconds=seconds,
        cell_seconds=longest,
    )


def _with_unnamed(chain: Chain) -> list[Stage]:
    """The chain's stages; those that cannot be named yet stand under a name of the cell's own, with a guess."""
    return list(chain.stages) if chain.measure is not None else list(chain.stages) + outline(chain.cell)


def _seconds(
    chains: Sequence[Chain],
    stages: Mapping[str, Stage],
    owners: Mapping[str, Cell],
    clock: Clock | None,
    slots: int,
    device: str,
    threads: int,
) -> tuple[float | None, float | None]:
    if clock is None:
        return None, None
    each: dict[str, float] = {}
    for key, stage in stages.items():
        predicted = clock.seconds(question(stage, owners[key], device, threads))
        if predicted is None:
            return None, None
        each[key] = predicted
    longest = max(
        (sum(each.get(stage.key, 0.0) for stage in _with_unnamed(chain)) for chain in chains if chain.stages),
        default=0.0,
    )
    total = sum(each.values())
    if total == 0:
        return 0.0, 0.0
    return STARTUP_SECONDS + max(total / max(1, slots), longest), longest


def question(stage: Stage, cell: Cell, device: str, threads: int) -> Question:
    """What to ask a clock about a stage."""
    images = 0.0
    if stage.epochs:
        images = stage.epochs * _work_per_epoch(cell.data, bool(stage.config.get("all_train")))
        if stage.config.get("record_test_curve"):
            images += stage.epochs * HELD_OUT_WORK * data_set(cell.data.name).test_images
    macs = network_cost(cell.backbone, cell.data.name).macs
    if stage.kind == "finetune" and stage.epochs:
        trained = training_images(cell.data, bool(stage.config.get("all_train")))
        macs = stage.training_macs // (3 * trained * stage.epochs)
    elif stage.kind != "dense":
        macs = 0
    return Question(
        backbone=cell.backbone,
        data=cell.data.name,
        kind=stage.kind,
        method=str(stage.config.get("method", "")),
        device=device,
        threads=threads,
        batch=int(stage.config.get("batch", 0)),
        work=images,
        macs=macs,
    )


def _work_per_epoch(data: DataChoice, all_train: bool) -> float:
    held_out = 0 if all_train else data_set(data.name).held_out_images
    return training_images(data, all_train) + HELD_OUT_WORK * held_out


def _bytes(stage: Stage, cell: Cell) -> int:
    """About what a stage's artifact takes on disk."""
    cost = network_cost(cell.backbone, cell.data.name)
    if stage.kind == "dense":
        return 4 * cost.params
    if stage.kind == "finetune" and stage.epochs:
        images = training_images(cell.data, bool(stage.config.get("all_train")))
        macs = stage.training_macs / (3 * images * stage.epochs)
        return round(4 * cost.params * min(1.0, macs / cost.macs))
    if stage.kind == "choose":
        return 4 * cost.params
    if stage.kind == "measure":
        return data_set(cell.data.name).test_images // 8
    return 4096
