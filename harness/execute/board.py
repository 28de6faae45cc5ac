"""The board: which job comes next, given the ledger; the same for both executors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from harness.execute.job import Job, Report
from harness.execute.longest_way import LongestWays
from harness.plan.stages import Chain, Stage, chain_of
from harness.store.leases import live
from harness.store.ledger import Ledger
from harness.store.states import LedgerResults, cell_state
from harness.suite.cell import Cell

LOST_WORKERS = 3
"""How often a job may lose its worker before its cell counts as failed."""


class Board:
    """Hands out jobs whose parents are done, longest remaining work first; no stage to two workers at once."""

    def __init__(self, cells: list[Cell], ledger: Ledger, results: Path) -> None:
        self.cells = cells
        self.halted = ""
        self.stopping = False
        self._ledger = ledger
        self._results = results
        self._known = LedgerResults(ledger)
        self._chains: dict[str, Chain] = {}
        self._claims: dict[str, Job] = {}
        self._lost: Counter[str] = Counter()
        self._crowded: set[str] = set()
        self._open: dict[str, Cell] = {cell.label: cell for cell in cells}
        ledger.refresh()
        self._priority = self._longest_first()

    def next(self) -> Job | None:
        """A job to run now, claimed for the caller; None while there is none."""
        if self.stopping or self.halted or any(job.alone for job in self._claims.values()):
            return None
        self._ledger.refresh()
        claimed = {stage.key for job in self._claims.values() for stage in job.stages}
        elsewhere = set(live(self._results)) - claimed
        # what needs the machine for itself waits until nothing else can be done
        for label in self._waiting():
            alone = label in self._crowded
            if alone and self._claims:
                return None
            cell = self._open[label]
            chain = self._chain(cell)
            if cell_state(chain, self._ledger).state in {"done", "failed"}:
                del self._open[label]
                continue
            stages = self._ready(chain, claimed | elsewhere)
            if stages:
                job = Job(label, stages, alone)
                self._claims[label] = job
                return job
        return None

    def finished(self, report: Report) -> None:
        """Takes a job back."""
        self._claims.pop(report.cell, None)
        if report.status == "halted":
            self.halted = report.message
        elif report.status == "stopped":
            self.stopping = True
        elif report.status == "crowded":
            self._crowded.add(report.cell)
        elif report.status in {"done", "failed"}:
            self._ledger.refresh()

    def lost(self, cell: str) -> None:
        """Takes back a job whose worker died; it is handed out again unless that has happened too often.

        While the run is being stopped, a worker's death says nothing about its job.
        """
        job = self._claims.pop(cell, None)
        if self.stopping:
            return
        self._lost[cell] += 1
        if job is None or self._lost[cell] < LOST_WORKERS:
            return
        self._ledger.refresh()
        stage = next((each for each in job.stages if self._ledger.state(each.key) != "done"), None)
        if stage is not None:
            message = f"the worker died {self._lost[cell]} times"
            facts = {"cell": cell, "reason": "worker lost", "message": message}
            self._ledger.append("failed", stage.key, stage.kind, facts)

    @property
    def in_flight(self) -> int:
        """Jobs that were handed out and not taken back."""
        return len(self._claims)

    @property
    def open_cells(self) -> int:
        """Cells that are not known to be done or failed."""
        return len(self._open)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to hand out and nothing is out."""
        if self._claims:
            return False
        if self.stopping or self.halted:
            return True
        return not self._open or (not self._could_go_on())

    def _waiting(self) -> Iterator[str]:
        """Open cells that nobody runs, longest first; those that must run alone come last."""
        for crowded in (False, True) if self._crowded else (False,):
            for label in self._priority:
                if label in self._open and label not in self._claims and (label in self._crowded) is crowded:
                    yield label

    def _could_go_on(self) -> bool:
        """Whether a cell may become ready: one is ready now, or another driver runs what it waits for."""
        self._ledger.refresh()
        elsewhere = set(live(self._results))
        for label in list(self._open):
            chain = self._chain(self._open[label])
            if cell_state(chain, self._ledger).state in {"done", "failed"}:
                del self._open[label]
            elif self._ready(chain, set()) or elsewhere:
                return True
        return False

    def _chain(self, cell: Cell) -> Chain:
        chain = self._chains.get(cell.label)
        if chain is None or chain.measure is None:
            chain = chain_of(cell, self._known)
            self._chains[cell.label] = chain
        return chain

    def _ready(self, chain: Chain, taken: set[str]) -> tuple[Stage, ...]:
        """The chain's open stages up to the first that somebody else runs; none if that is the first."""
        stages: list[Stage] = []
        for stage in chain.stages:
            if self._ledger.state(stage.key) == "done":
                continue
            if stage.key in taken:
                break
            stages.append(stage)
        if chain.measure is None and all(stage.kind == "dense" for stage in stages):
            # the partner needs this dense stage too and will run it
            return ()
        return tuple(stages)

    def _longest_first(self) -> list[str]:
        """Cells by the training that is left on the longest way from them to the end of the run.

        That is their own to its end, or to the stage that decides, and on through a cell that waits for it.
        """
        ranks = LongestWays(self.cells, {cell.label: self._chain(cell) for cell in self.cells})
        return sorted((cell.label for cell in self.cells), key=lambda label: -ranks[label])
