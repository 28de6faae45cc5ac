"""The command line as a process that was forked from a warm server."""

from __future__ import annotations

import os
from pathlib import Path

from harness.cli import ending, run
from harness.cli.app import run_app
from tests.faults.faulty import put_on_path
from tests.faults.processes import speak_to


def command(said: Path, patience: float, plugins: Path, *words: str, task: str = "", report: bool = True) -> None:
    """Runs `harness WORDS` and ends the process with its exit status.

    Args:
        said: the file that it prints to.
        patience: seconds that cells in progress are given to stop.
        task: of a Slurm array.
        report: whether it writes the report.
    """
    speak_to(said)
    os.environ["SLURM_ARRAY_TASK_ID"] = task
    ending.PATIENCE_SECONDS = patience
    if not report:
        run._report = lambda *given: None
    put_on_path(plugins)
    os._exit(run_app(words))
