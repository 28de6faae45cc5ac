"""Live progress on stderr: cells done, running and failed; what each running cell does; time left."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from harness.errors import UserError
from harness.store.grid import Grid, look
from harness.store.leases import progress
from harness.store.ledger import Ledger
from harness.suite.cell import Cell


class Progress:
    """Shows a grid while it runs: a live block on a terminal, a line now and then elsewhere."""

    def __init__(self, cells: Sequence[Cell], results: Path) -> None:
        self._cells = list(cells)
        self._results = results
        self._ledger = Ledger(results)
        self._console = Console(file=sys.stderr)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)
        self._started = time.monotonic()
        self._done_at_start: int | None = None

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _show(self) -> None:
        if self._console.is_terminal:
            with Live(console=self._console, refresh_per_second=4, transient=True) as display:
                while not self._stop.wait(1.0):
                    lines = self._lines()
                    display.update(Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in lines)))
            return
        last = ""
        pause = 2.0
        while not self._stop.wait(pause):
            line = next(iter(self._lines()), last)
            if line.split("·")[0] != last:
                self._console.print(line, markup=False, highlight=False, soft_wrap=True)
                last = line.split("·")[0]

    def _lines(self) -> list[str]:
        """The state of the grid, then one line a running stage; nothing while the results folder cannot be read."""
        try:
            grid = look(self._cells, self._results, self._ledger)
            notes = progress(self._results)
        except UserError:  # the run itself finds it, and says so
            return []
        lines = [self._head(grid, len(notes))]
        for facts in list(notes.values())[:16]:
            # Notes are files in the results folder, and not all of them need be ours.
            with suppress(KeyError, TypeError, ValueError, OverflowError):
                lines += _stage(facts)
        return lines

    def _head(self, grid: Grid, running: int) -> str:
        done, failed, cells = grid.count("done"), grid.count("failed"), len(grid.chains)
        stages = {stage.key for chain in grid.chains for stage in chain.stages}
        finished = len(grid.done)
        if self._done_at_start is None:
            self._done_at_start = finished
        elapsed = time.monotonic() - self._started
        gained = finished - self._done_at_start
        left = (len(stages) - finished) / gained * elapsed if gained >= 3 else None
        rest = "" if left is None else f", about {left / 60:.0f} min left"
        return f"{done}/{cells} cells done, {failed} failed · {running} running · {elapsed / 60:.1f} min{rest}"


def _stage(facts: Mapping[str, Any]) -> list[str]:
    """What a running stage noted of itself, if there is anything to tell."""
    if "epoch" in facts:
        return [
            f"  {facts['cell']}  {facts['stage']} {facts['epoch']}/{facts['epochs']}  "
            f"loss {facts['loss']:.3f}  {facts['images_per_second']:,.0f} img/s"
        ]
    if "evaluations" in facts:
        return [
            f"  {facts['cell']}  {facts['stage']}: {facts['evaluations']} networks tried, "
            f"the best has {100 * facts['best']:.1f} % held-out"
        ]
    return []
