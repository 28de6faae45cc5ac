"""What the ledger holds of a study that has ended, as rows and reports want it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from harness.plan.studies import TrialState, study_key
from harness.store.ledger import Ledger
from harness.suite.cell import Cell
from harness.suite.study import Study


@dataclass(frozen=True)
class TrialRecord:
    """One trial.

    Attributes:
        number: from 0, in the order in which they were suggested.
        params: those that the study varies.
        state: "stopped" early, "failed", or "complete".
        reason: why it failed.
        top1: on the held-out images after its last epoch, 0..1.
        macs: of its network, one image.
        params_count: of its network.
        epochs: of its search and fine-tuning, shared stages in full.
    """

    number: int
    params: dict[str, Any]
    state: TrialState
    reason: str
    top1: float | None
    macs: int | None
    params_count: int | None
    epochs: int


@dataclass(frozen=True)
class Bill:
    """Sums over stages, each stage once."""

    epochs: int
    training_macs: int
    seconds: float


@dataclass(frozen=True)
class StudyRecord:
    """A study that has ended.

    Attributes:
        best: numbers of the trials whose configurations were chosen, in the order of their rank.
        stages: {key: {"kind", "epochs", "training_macs", "seconds"}} of all that was trained for it.
    """

    key: str
    study: Study
    trials: tuple[TrialRecord, ...]
    best: tuple[int, ...]
    stages: dict[str, dict[str, Any]]

    def bill(self, without: Collection[str] = ()) -> Bill:
        """What the study took; stages named in `without` are on another bill."""
        counted = [facts for key, facts in self.stages.items() if key not in without]
        return Bill(
            sum(facts["epochs"] for facts in counted),
            sum(facts["training_macs"] for facts in counted),
            sum(facts["seconds"] for facts in counted),
        )


def study_record(cell: Cell, ledger: Ledger) -> StudyRecord | None:
    """The study that a cell's parameters come from, or None: it rests on none, or on one that has not ended."""
    if cell.tuned is None:
        return None
    key = study_key(cell.tuned.study)
    told = ledger.result(key, "study") if ledger.state(key) == "done" else None
    if told is None:
        return None
    fields = ("number", "params", "state", "reason", "top1", "macs", "params_count", "epochs")
    trials = tuple(TrialRecord(**{name: trial[name] for name in fields}) for trial in told["trials"])
    return StudyRecord(key, cell.tuned.study, trials, tuple(told["best"]), told["stages"])
