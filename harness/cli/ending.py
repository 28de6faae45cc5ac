"""How a run ends before its time: by a signal or by its time budget, and within seconds whatever it is doing."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.execute.stop import StopSign

INTERRUPTED, OUT_OF_TIME = 130, 3
"""Exit statuses."""

GO_ON = {
    INTERRUPTED: "interrupted; the same command goes on from here",
    OUT_OF_TIME: "stopped by the time budget; the same command goes on from here",
}

PATIENCE_SECONDS = 8.0
"""What the cells in progress may take to stop. Then the process ends as by a kill, which loses no more than a kill."""


@contextmanager
def ending(stop: StopSign) -> Iterator[list[int]]:
    """SIGINT and SIGTERM raise the stop sign; a second one ends the process at once.

    Yields:
        The signals that came.
    """
    caught: list[int] = []
    timers: list[threading.Timer] = []

    def end_in(seconds: float, status: int) -> None:
        timer = threading.Timer(seconds, _end, (stop, status))
        timer.daemon = True
        timers.append(timer)
        timer.start()

    def handle(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        stop.raise_sign()
        if len(caught) > 1:
            raise KeyboardInterrupt
        end_in(PATIENCE_SECONDS, INTERRUPTED)

    if stop.deadline is not None:
        end_in(max(0.0, stop.deadline - time.time()) + PATIENCE_SECONDS, OUT_OF_TIME)
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(stop: StopSign, status: int) -> None:
    stop.clear()
    print(f"\n{GO_ON[status]}", file=sys.stderr, flush=True)
    os._exit(status)
