"""Runs studies in this process, a trial after the other, without Ray."""

from __future__ import annotations

import time

from harness.execute.board import Board
from harness.execute.halving import Halving
from harness.execute.place import Place
from harness.execute.propose import propose
from harness.execute.study import Desk
from harness.execute.trial import Trial
from harness.plan.studies import studies_of
from harness.store.leases import acquire
from harness.store.ledger import Ledger


def run_studies(board: Board, place: Place, ledger: Ledger) -> None:
    """Runs the studies that the board's cells rest on, until all have ended or the watch says stop."""
    for study in studies_of(board.cells):
        desk = Desk(study, place, ledger, propose)
        while not (desk.complete or board.halted or board.stopping):
            lease = acquire(place.results, desk.key)
            if lease is None:  # another driver runs this study
                time.sleep(0.2)
                board.stopping = place.watch.should_stop()
                continue
            with lease:
                _run(desk, board, place, ledger)


def _run(desk: Desk, board: Board, place: Place, ledger: Ledger) -> None:
    study = desk.study
    halving = None
    if study.stopping is not None:
        halving = Halving(study.stopping, study.trial.recipe.epochs.total)
        for number, outcome in desk.outcomes().items():
            halving.replay(number, outcome["curve"])
    while not desk.complete:
        if place.watch.should_stop():
            board.stopping = True
            return
        job = desk.next()
        if job is None:
            continue
        trial = Trial(job, place, ledger)
        for epoch in range(1, job.epochs + 1):
            told = trial.advance(epoch)
            stopped = (
                told.status == "running" and halving is not None and halving.stops(job.number, epoch, told.curve[-1])
            )
            if stopped or told.status != "running":
                desk.ended(job.number, told, stopped)
                break
        if told.status in {"halted", "interrupted"}:
            board.halted, board.stopping = told.message, told.status == "interrupted"
            return
