"""What a study is called by its content, what a trial runs, and which configurations a study chose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import ValidationError

from harness.plan.stages import Results, Stage, chain_of
from harness.registry import method
from harness.suite.cell import Cell
from harness.suite.study import Study

VERSION = 1
"""Raised by hand when the engine's own part of a study changes what comes out."""

TrialState = Literal["complete", "stopped", "failed"]
LARGER_IS_BETTER = frozenset({"top1"})
"""Objectives that are maximised; all others are minimised."""


@dataclass(frozen=True)
class Blocked:
    """Why a tuned cell cannot be named: its study has not ended ("waiting"), chose fewer ("vacant"), or "failed"."""

    state: Literal["waiting", "vacant", "failed"]
    reason: str = ""


def studies_of(cells: Iterable[Cell]) -> list[Study]:
    """The different studies that cells rest on, partners included, in the order of the cells."""
    found: dict[str, Study] = {}
    for cell in cells:
        for each in (cell, cell.match, cell.widths_of):
            if each is not None and each.tuned is not None:
                found.setdefault(study_key(each.tuned.study), each.tuned.study)
    return list(found.values())


def trials_key(study: Study) -> str:
    """Names the sequence of trials: all that decides what they are, but not how many there are."""
    stages = chain_of(study.trial, {}).stages
    content = {
        "kind": "trials",
        "version": VERSION,
        "stages": [stage.key for stage in stages if stage.kind != "measure"],
        "space": [[name, domain.kind, domain.values] for name, domain in study.space],
        "objectives": study.objectives,
        "parallel": study.parallel,
        "stopping": [study.stopping.grace, study.stopping.reduction] if study.stopping else None,
    }
    return _digest(content)


def trial_key(trials: str, number: int) -> str:
    """The key under which the ledger keeps the outcome of a trial."""
    return _digest({"kind": "trial", "of": trials, "number": number})


def study_key(study: Study) -> str:
    """The key under which the ledger keeps what a study chose."""
    return _digest({"kind": "study", "of": trials_key(study), "trials": study.trials, "best": study.best})


def trial_cell(study: Study, params: Mapping[str, Any]) -> Cell:
    """The cell that a trial runs, up to its fine-tuning; it is never measured.

    Raises:
        ValidationError: the method refuses these values together.
    """
    return with_params(study.trial, {**study.trial.params, **params})


def trial_stages(study: Study, params: Mapping[str, Any]) -> tuple[Stage, ...]:
    """The stages of a trial, ordinary ones; the one that reads the test split is not among them."""
    return tuple(stage for stage in chain_of(trial_cell(study, params), {}).stages if stage.kind != "measure")


def with_params(cell: Cell, params: dict[str, Any]) -> Cell:
    """The cell with other parameters, as the method reads them; its one candidate, if it has any, likewise."""
    params = method(cell.method).Params.model_validate(params).model_dump(mode="json")
    candidates = cell.candidates
    if cell.tuned is not None:
        candidates = cell.tuned.study.trial.candidates
    natural = tuple(
        replace(each, params=params, backbone=cell.backbone, seed=cell.seed, recipe=cell.recipe) for each in candidates
    )
    return replace(cell, params=params, candidates=natural)


def settled(cell: Cell, results: Results) -> Cell | Blocked:
    """The tuned cell with the parameters that its study chose, or why there are none."""
    assert cell.tuned is not None
    study, rank = cell.tuned.study, cell.tuned.rank
    outcome = results.get(study_key(study))
    if outcome is None:
        return Blocked("waiting", f"waits for the study {study.name!r} of {study.trial.method}")
    best = outcome["best"]
    if rank < len(best):
        try:
            return with_params(cell, {**study.trial.params, **outcome["trials"][best[rank]]["params"]})
        except ValidationError as error:
            refusal = error.errors()[0]["msg"]
            return Blocked("failed", f"invalid study: {study.trial.method} refuses what it chose: {refusal}")
    if rank == 0:
        return Blocked("failed", f"invalid study: none of its {study.trials} trials was completed")
    return Blocked("vacant")


def chosen(study: Study, trials: list[dict[str, Any]]) -> list[int]:
    """The numbers of the best trials: by objective with one, else the Pareto front by falling accuracy.

    Only complete trials count, and of trials with equal parameters the first. A front with more than `study.best`
    points is thinned evenly along its length; both ends stay.
    """
    complete: dict[str, int] = {}
    for number, trial in enumerate(trials):
        if trial["state"] == "complete":
            complete.setdefault(json.dumps(trial["params"], sort_keys=True), number)
    costs = {number: _costs(study, trials[number]) for number in complete.values()}
    if len(study.objectives) > 1:
        front = [number for number in costs if not any(_dominates(other, costs[number]) for other in costs.values())]
    else:
        front = list(costs)
    front.sort(key=lambda number: (-trials[number]["top1"], number))
    if len(study.objectives) == 1:
        return front[: study.best]
    if len(front) > study.best > 1:
        steps = [round(place * (len(front) - 1) / (study.best - 1)) for place in range(study.best)]
        front = [front[step] for step in steps]
    return front[: study.best]


def values(study: Study, trial: Mapping[str, Any]) -> list[float]:
    """A trial's objectives in the study's order."""
    return [float(trial["params_count" if name == "params" else name]) for name in study.objectives]


def _costs(study: Study, trial: Mapping[str, Any]) -> list[float]:
    pairs = zip(study.objectives, values(study, trial), strict=True)
    return [-value if objective in LARGER_IS_BETTER else value for objective, value in pairs]


def _dominates(one: list[float], other: list[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
