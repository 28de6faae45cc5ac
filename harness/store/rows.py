"""Rows: what a report is made of, one a cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from harness.suite.cell import Cell

State = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class CurvePoint:
    """One epoch of a cell's life.

    Attributes:
        stage: "dense", "compress" or "finetune".
        epoch: from 0, counted over the whole cell.
        loss: mean training loss (cross-entropy and penalty together).
        train_top1: share of the (augmented) training images classified right, 0..1.
        held_out_top1: on the held-out images, 0..1; None where the recipe trains on them.
    """

    stage: str
    epoch: int
    loss: float
    train_top1: float
    held_out_top1: float | None


@dataclass(frozen=True)
class Row:
    """One cell and what is known of it.

    The measured figures are None until the state is "done".

    Attributes:
        cell: what was asked for.
        state: of the whole cell.
        reason: why it failed, or what it waits for.
        top1: share of test images classified right, 0..1, last epoch, test split read once.
        top5: share of test images whose class is among the five likeliest, 0..1.
        macs: multiply-adds of conv and linear layers of the executed network, one image.
        params: of the executed network, all of them.
        paper_flops: by the counting rule of the DNAL paper.
        paper_params: by the counting rule of the DNAL paper.
        dense_macs: of the whole network (likewise dense_params, dense_paper_flops, dense_paper_params).
        target: the budget as a count in `target_metric`, or None.
        epochs: {stage: epochs trained for this cell}, including the shared dense stage.
        training_macs: multiply-adds of all training that the cell needed, shared stages counted in full.
        device_seconds: of all its stages, shared ones in full.
        train_images: how many images its weights were trained on.
        widths: {group: (kept, of how many)} in the network's order.
        strength: (name, value stated in the suite, factor by which the recipe's steps scale it), or None.
        curve: one point an epoch.
        notes: phrases that a reader must know.
        provenance: commit, versions, device, threads and so on of the measuring stage.
        key: content key of the measuring stage.
    """

    cell: Cell
    state: State
    reason: str = ""
    top1: float | None = None
    top5: float | None = None
    macs: int | None = None
    params: int | None = None
    paper_flops: int | None = None
    paper_params: int | None = None
    dense_macs: int | None = None
    dense_params: int | None = None
    dense_paper_flops: int | None = None
    dense_paper_params: int | None = None
    target: int | None = None
    target_metric: str = "macs"
    epochs: dict[str, int] = field(default_factory=dict)
    training_macs: int | None = None
    device_seconds: float | None = None
    train_images: int | None = None
    widths: dict[str, tuple[int, int]] = field(default_factory=dict)
    strength: tuple[str, float, float] | None = None
    curve: tuple[CurvePoint, ...] = ()
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    key: str = ""
