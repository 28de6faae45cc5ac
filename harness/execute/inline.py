"""Runs the cells in this process, one after the other, without Ray."""

from __future__ import annotations

import time

from harness.execute.board import Board
from harness.execute.inline_study import run_studies
from harness.execute.job import run_job
from harness.execute.place import Place
from harness.store.ledger import Ledger


def run_inline(board: Board, place: Place, ledger: Ledger) -> None:
    """Works until the board is empty, or the watch says stop; studies come first."""
    run_studies(board, place, ledger)
    while not board.complete:
        if place.watch.should_stop():
            board.stopping = True
            continue
        job = board.next()
        report = run_job(job, place, ledger) if job is not None else None
        if report is not None:
            board.finished(report)
            if report.spoiled:
                board.halted = f"{place.device} answers this process no more; the same command goes on in a new one"
        if report is None or report.status == "busy":
            time.sleep(0.2)
