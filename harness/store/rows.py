"""Rows: what a report is made of, one a cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, Protocol

from pydantic import Field, SkipValidation

from harness.data.batches import steps_per_epoch
from harness.plan.stages import Chain, training_images
from harness.registry import method
from harness.store.latencies import Latency
from harness.store.ledger import Ledger
from harness.store.studies import Bill, StudyRecord, study_record
from harness.store.told import Count, Positive, Seconds, Share
from harness.suite.cell import Cell
from harness.suite.protocol import SCRATCH_CAP

State = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class GateHistogram:
    """How the factors of all gates are spread after an epoch: counts in equal bins from `low` to `high`."""

    low: float
    high: float
    counts: tuple[int, ...]


class CurvePoint(NamedTuple):
    """One epoch of a cell's life.

    Attributes:
        stage: "dense", "compress" or "finetune".
        epoch: from 0, counted over the whole cell.
        loss: mean training loss (cross-entropy and penalty together).
        train_top1: share of the (augmented) training images classified right, 0..1.
        held_out_top1: on the held-out images, 0..1; None where the recipe trains on them.
        gates: where the epoch trained gates.
        test_top1: on the test images, 0..1, where the recipe records that (`record_test_curve`).
    """

    stage: str
    epoch: int
    loss: float
    train_top1: float
    held_out_top1: float | None
    gates: GateHistogram | None = None
    test_top1: float | None = None


@dataclass(frozen=True)
class SearchBill:
    """What the evaluations of a search cost, beside the epochs that every method trains.

    Attributes:
        evaluations: how many different networks were tried.
        epochs: passes over the training images that they trained for together, in parts.
        macs: multiply-adds of their training, statistics and scoring; part of the row's training MACs.
        seconds: part of the row's device seconds.
    """

    evaluations: int = 0
    epochs: float = 0.0
    macs: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, evaluations: Sequence[Evaluated]) -> SearchBill:
        """The sum over what was tried."""
        return cls(
            len(evaluations),
            round(math.fsum(each.epochs for each in evaluations), 9),
            sum(each.macs for each in evaluations),
            math.fsum(each.seconds for each in evaluations),
        )

    def __str__(self) -> str:
        networks = f"{self.evaluations:,} network{'s' if self.evaluations != 1 else ''} tried"
        training = f"trained for {self.epochs:.3g} epochs in all" if self.epochs else "without training"
        return f"{networks}, {training}, beside the epochs of the table"


class Evaluated(Protocol):
    """What one evaluation cost."""

    @property
    def epochs(self) -> float:
        """Passes over the training images."""

    @property
    def macs(self) -> int:
        """Multiply-adds."""

    @property
    def seconds(self) -> float:
        """Of the device."""


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
        tried_epochs: epochs of fine-tuning that was tried and not taken; its MACs and seconds are in the bill.
        training_macs: multiply-adds of all training that the cell needed, shared stages counted in full.
        device_seconds: of all its stages, shared ones in full.
        stage_macs: {stage: its share of training_macs}. "compress" is that of all candidates; apart are what the
            networks cost that a search tried ("networks"), fine-tuning that was tried and not taken ("choose") and the
            study ("study").
        stage_seconds: {stage: its share of device_seconds}, "measure" included.
        search: what the networks that a search tried cost, in the two figures before; zeros where nothing was tried.
        train_images: how many images its weights were trained on.
        widths: {group: (kept, of how many)} of the groups that could be cut, in the network's order.
        strength: (name, value stated in the suite or solved for, factor by which the recipe's steps scale it), or None.
        curve: one point an epoch.
        notes: phrases that a reader must know.
        latency: of its network, if it was timed under the settings that most of the grid's networks were.
        provenance: commit, versions, device, threads and so on of the measuring stage.
        key: content key of the measuring stage.
        study: the study that its parameters come from, once that has ended. What it took is in `training_macs` and
            `device_seconds`, but for stages that the row has on its own bill.
        tuning_epochs: of the study, likewise.
    """

    cell: Cell
    state: State
    reason: str = ""
    top1: Share | None = None
    top5: Share | None = None
    macs: Positive | None = None
    params: Positive | None = None
    paper_flops: Positive | None = None
    paper_params: Positive | None = None
    dense_macs: Positive | None = None
    dense_params: Positive | None = None
    dense_paper_flops: Positive | None = None
    dense_paper_params: Positive | None = None
    target: Count | None = None
    target_metric: str = "macs"
    epochs: dict[str, Count] = field(default_factory=dict)
    tried_epochs: Count = 0
    training_macs: Count | None = None
    device_seconds: Seconds | None = None
    stage_macs: dict[str, Count] = field(default_factory=dict)
    stage_seconds: dict[str, Seconds] = field(default_factory=dict)
    search: SearchBill = SearchBill()
    train_images: Count | None = None
    widths: dict[str, tuple[Count, Count]] = field(default_factory=dict)
    strength: tuple[str, float, float] | None = None
    curve: Annotated[tuple[CurvePoint, ...], SkipValidation] = ()
    notes: tuple[str, ...] = ()
    latency: Latency | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    key: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    study: StudyRecord | None = None
    tuning_epochs: int = 0

    @property
    def best_test(self) -> float | None:
        """Top-1 of the best epoch on the test images, 0..1; None where only the last was tested."""
        tested = [point.test_top1 for point in self.curve if point.test_top1 is not None]
        # The last epoch is tested again as it is measured; in another memory format it may differ by an image.
        return max(*tested, self.top1) if tested and self.top1 is not None else None

    @property
    def latency_seconds(self) -> float | None:
        """Median of a forward pass of a whole batch."""
        return self.latency.median if self.latency is not None else None


def build_row(chain: Chain, ledger: Ledger, state: State, reason: str) -> Row:
    """The row of one cell, from what the ledger keeps of its stages."""
    cell = chain.cell
    measure = chain.measure
    author = method(cell.method)
    strength = None
    if author.strength is not None:
        params = author.Params.model_validate(cell.params)
        images = training_images(cell.data, cell.recipe.all_train and not author.needs_held_out)
        steps = steps_per_epoch(images, cell.recipe.batch, cell.recipe.accumulate)
        factor = author.strength_factor(params, steps, cell.recipe.epochs.search)
        strength = (author.strength, float(getattr(params, author.strength)), factor)
    if strength is not None and chain.solution is not None and chain.solution.tries:
        strength = (strength[0], chain.solution.best.strength, strength[2])
    if state != "done" or measure is None:
        return Row(cell=cell, state=state, reason=reason, strength=strength, study=study_record(cell, ledger))
    own = chain.own_stages
    all_told = [ledger.result(stage.key, stage.kind) or {} for stage in own]
    chosen = next((facts["chosen"] for stage, facts in zip(own, all_told, strict=True) if stage.kind == "choose"), None)
    told = {
        stage.kind: facts
        for stage, facts in zip(own, all_told, strict=True)
        if stage.kind != "finetune" or chosen in {None, stage.key}
    }
    measured = told["measure"]
    deciding = ledger.result(chain.deciding or "", "compress", "trim") or {"widths": {}, "cuttable": ()}
    cuttable = set(deciding["cuttable"])
    epochs: dict[str, int] = {}
    tried = 0
    stage_macs: dict[str, int] = {}
    stage_seconds: dict[str, float] = {}
    for stage, facts in zip(own, all_told, strict=True):
        name = "compress" if stage.kind == "trim" else stage.kind
        if stage.kind == "finetune" and chosen not in {None, stage.key}:
            name = "choose"
            tried += int(facts.get("epochs", 0))
        elif stage.kind not in {"measure", "choose"}:
            epochs[name] = epochs.get(name, 0) + int(facts.get("epochs", 0))
        stage_macs[name] = stage_macs.get(name, 0) + int(facts.get("training_macs", 0))
        stage_seconds[name] = stage_seconds.get(name, 0.0) + float(facts.get("seconds", 0.0))
    study = study_record(cell, ledger)
    tuning = study.bill({stage.key for stage in own}) if study is not None else Bill(0, 0, 0.0)
    search = SearchBill(**deciding.get("search", {}))
    if search.evaluations and not chain.borrowed:
        stage_macs |= {"compress": stage_macs["compress"] - search.macs, "networks": search.macs}
        stage_seconds |= {"compress": stage_seconds["compress"] - search.seconds, "networks": search.seconds}
    if study is not None:
        stage_macs["study"], stage_seconds["study"] = tuning.training_macs, tuning.seconds
    searched = (ledger.result(deciding["chosen"], "compress") or {}) if "chosen" in deciding else deciding
    shown_curve = [told.get("dense", {}), searched if not chain.borrowed else {}, told["finetune"]]
    notes = []
    if cell.scratch == "macs" and chain.controlled_macs:
        notes.append(_matched(sum(epochs.values()), told["finetune"]["training_macs"], chain))
    return Row(
        cell=cell,
        state=state,
        top1=measured["top1"],
        top5=measured["top5"],
        macs=measured["macs"],
        params=measured["params"],
        paper_flops=measured["paper_flops"],
        paper_params=measured["paper_params"],
        dense_macs=measured["dense_macs"],
        dense_params=measured["dense_params"],
        dense_paper_flops=measured["dense_paper_flops"],
        dense_paper_params=measured["dense_paper_params"],
        target=deciding.get("target") if chain.solution is None else chain.solution.target,
        target_metric=cell.budget.metric if cell.budget is not None else deciding.get("metric", "macs"),
        epochs=epochs,
        tried_epochs=tried,
        training_macs=sum(int(facts.get("training_macs", 0)) for facts in all_told) + tuning.training_macs,
        device_seconds=sum(float(facts.get("seconds", 0.0)) for facts in all_told) + tuning.seconds,
        stage_macs={name: macs for name, macs in stage_macs.items() if macs},
        stage_seconds=stage_seconds,
        search=search,
        train_images=told["finetune"].get("train_images"),
        widths={name: (int(kept), int(size)) for name, (kept, size) in deciding["widths"].items() if name in cuttable},
        strength=strength,
        curve=tuple(_curve_point(point) for facts in shown_curve for point in facts.get("curve", ())),
        notes=(*_notes(chain, all_told), *notes),
        provenance=measured.get("provenance", {}),
        key=measure.key,
        study=study,
        tuning_epochs=tuning.epochs,
    )


def _curve_point(told: dict[str, Any]) -> CurvePoint:
    gates = told.get("gates")
    if gates is None:
        return CurvePoint(**told)
    spread = GateHistogram(float(gates["low"]), float(gates["high"]), tuple(map(int, gates["counts"])))
    return CurvePoint(**{**told, "gates": spread})


def _notes(chain: Chain, told: list[dict[str, Any]]) -> tuple[str, ...]:
    """What the stages say that led to the network, and how its strength was found."""
    solution = chain.solution
    if solution is None:
        return tuple(note for facts in told for note in facts.get("notes", ()))
    found = []
    for stage, facts in zip(chain.own_stages, told, strict=True):
        if stage.kind != "compress" or stage.key == chain.deciding:
            found += facts.get("notes", ())
    count = len(solution.tries)
    metric = chain.cell.budget.metric if chain.cell.budget is not None else "macs"
    gap = f"{100 * (solution.best.cost / solution.target - 1):+.2f} %"
    searches = f"{count} search{'es' if count > 1 else ''}"
    name = method(chain.cell.method).strength
    if solution.reached:
        found.append(f"{name} = {solution.best.strength:g} found by {searches}, {gap} from its {metric} budget")
    else:
        found.append(
            f"{name} = {solution.best.strength:g} is the nearest of {searches}: "
            f"{gap} from its {metric} budget, not within {100 * solution.within:g} %"
        )
    if not solution.monotone:
        found.append(f"{metric} do not change steadily with {name}, so that another {name} may land nearer")
    return tuple(found)


def _matched(epochs: int, macs: int, chain: Chain) -> str:
    """How near a control of equal training MACs came to those of the cell that it controls."""
    assert chain.controlled_macs is not None
    share = 100 * macs / chain.controlled_macs
    capped = epochs == SCRATCH_CAP * chain.cell.recipe.epochs.total
    cap = f", the most that a control trains ({SCRATCH_CAP} times the total)" if capped else ""
    return f"new weights, {epochs} epochs{cap}: {share:.1f} % of the training MACs of the cell that it controls"
