"""A study's desk: hands out its trials, writes their outcomes into the ledger, and in the end what was chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from harness.execute.halving import rungs
from harness.execute.place import Place
from harness.execute.propose import Propose
from harness.execute.trial import Told, TrialJob, forget, outcome
from harness.measure.environment import provenance
from harness.plan.studies import chosen, study_key, trial_cell, trial_key, trial_stages, trials_key
from harness.store.ledger import Ledger
from harness.suite.study import Study

LOST_WORKERS = 3
"""How often a trial may lose its worker before it counts as failed."""


class Desk:
    """The trials of one study. What it knows is what the ledger holds, so that any process can take it over."""

    def __init__(self, study: Study, place: Place, ledger: Ledger, propose: Propose) -> None:
        self.study = study
        self.key = trials_key(study)
        self._place, self._ledger, self._propose = place, ledger, propose
        self._running: dict[int, TrialJob] = {}
        self._lost: Counter[int] = Counter()

    def next(self) -> TrialJob | None:
        """A trial to run now, claimed for the caller; None while there is none.

        A trial is suggested from the outcomes of all trials but the `parallel` - 1 before it, whichever of these have
        ended: what is suggested depends on the outcomes alone, not on who was fast.
        """
        known = self.outcomes()
        for number in range(self.study.trials):
            if number in known or number in self._running:
                continue
            told = range(number - self.study.parallel + 1)
            if not all(earlier in known for earlier in told):
                return None
            job = self._job(number, [known[earlier] for earlier in told])
            if job is not None:
                self._running[number] = job
                return job
        return None

    def ended(self, number: int, told: Told, stopped: bool = False) -> None:
        """Takes a trial back; an interrupted one is run on by whoever takes the study up again."""
        job = self._running.pop(number)
        if told.status in {"complete", "failed"} or stopped:
            self._record(number, outcome(job, told, stopped, self._ledger))
        if stopped:
            forget(job, self._place)

    def lost(self, number: int) -> None:
        """Takes back a trial whose worker died; it is handed out again unless that has happened too often."""
        job = self._running.pop(number)
        self._lost[number] += 1
        if self._lost[number] >= LOST_WORKERS:
            message = f"worker lost: the worker died {self._lost[number]} times"
            self._record(number, outcome(job, Told("failed", message=message), False, self._ledger))

    def outcomes(self) -> dict[int, dict[str, Any]]:
        """What the ledger holds of this study: {number: outcome}."""
        self._ledger.refresh()
        found = {}
        for number in range(self.study.trials):
            key = trial_key(self.key, number)
            result = self._ledger.result(key, "trial") if self._ledger.state(key) == "done" else None
            if result is not None:
                found[number] = result
        return found

    @property
    def complete(self) -> bool:
        """Whether every trial has ended and the choice is in the ledger."""
        if self._ledger.state(study_key(self.study)) == "done":
            return True
        known = self.outcomes()
        if len(known) < self.study.trials:
            return False
        trials = [known[number] for number in sorted(known)]
        self._ledger.append("done", study_key(self.study), "study", self._result(trials))
        return True

    def _result(self, trials: Sequence[dict[str, Any]]) -> dict[str, Any]:
        stages: dict[str, dict[str, Any]] = {}
        for trial in trials:
            for key, bill in trial["stages"].items():
                if key not in stages or stages[key]["epochs"] < bill["epochs"]:
                    stages[key] = bill
        kept = ("number", "params", "state", "reason", "curve", "top1", "macs", "params_count")
        shown = [
            {name: trial[name] for name in kept}
            | {"epochs": sum(bill["epochs"] for bill in trial["stages"].values() if bill["kind"] != "dense")}
            for trial in trials
        ]
        return {
            "cell": self.study.trial.label,
            "trials": shown,
            "best": chosen(self.study, shown),
            "stages": stages,
            "provenance": provenance(self._place.device, self._place.threads),
        }

    def _job(self, number: int, known: Sequence[dict[str, Any]]) -> TrialJob | None:
        """The trial; None if the method refuses its parameters together, which is then its outcome."""
        params = self._propose(self.study, number, known)
        label = f"{self.study.trial.label}/{self.study.name}/trial={number}"
        try:
            label = f"{trial_cell(self.study, params).label}/{self.study.name}/trial={number}"
            stages = trial_stages(self.study, params)
        except ValidationError as error:
            told = {"cell": label, "number": number, "params": params, "state": "failed", "curve": [], "stages": {}}
            reason = f"invalid parameters: {error.errors()[0]['msg']}"
            self._record(number, told | {"reason": reason, "top1": None, "macs": None, "params_count": None})
            return None
        stopping = self.study.stopping
        stops = tuple(rungs(stopping, stages[-1].epochs)) if stopping is not None else ()
        return TrialJob(number, label, params, stages, stops)

    def _record(self, number: int, found: dict[str, Any]) -> None:
        facts = found | {"provenance": provenance(self._place.device, self._place.threads)}
        self._ledger.append("done", trial_key(self.key, number), "trial", facts)
