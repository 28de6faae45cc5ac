"""Ends a stage that hangs: one that looked at no image, made no step and ended no epoch for too long."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import FrameType, TracebackType
from typing import Any, Self

from harness.train.watch import Watch

GRACE_SECONDS = 15.0
"""What a stage that is told that it hangs may take to end."""

MOST_TICK_SECONDS = 5.0


class Hung(BaseException):
    """Raised where a stage hangs. No `Exception`: a method that tries again whatever happens must not catch it."""


class Watchdog:
    """Watches the stage that runs in its block, which must be entered by the thread that runs the stage.

    A stage that hangs is interrupted by `Hung` where it hangs, which ends loops, sleeps, waiting for locks and
    reading. One that hangs in foreign code, or outside the main thread, cannot be interrupted: then `give_up` is
    called, from another thread, with the stacks of all threads; it is expected to end the process.

    The time in which the whole process was suspended does not count.
    """

    def __init__(self, seconds: float, give_up: Callable[[str], None], grace: float | None = None) -> None:
        """Takes how long a stage may show no sign of life, what to do if it cannot be interrupted, and how soon."""
        self._seconds = seconds
        self._grace = min(seconds, GRACE_SECONDS) if grace is None else grace
        self._give_up = give_up
        self._beats = 0
        self._armed = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._interruptible = threading.current_thread() is threading.main_thread()

    def beat(self) -> None:
        """A sign of life."""
        self._beats += 1

    def listening(self, watch: Watch) -> Watch:
        """The watch of the stage: each of its questions and notes is a sign of life."""

        def note(facts: dict[str, Any]) -> None:
            self.beat()
            watch.note(facts)

        def should_stop() -> bool:
            self.beat()
            return watch.should_stop()

        return replace(watch, note=note, should_stop=should_stop)

    def __enter__(self) -> Self:
        self._armed = True
        if self._interruptible:
            self._before = signal.signal(signal.SIGALRM, self._interrupt)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._armed = False
        self._ended.set()
        self._thread.join()
        if self._interruptible:
            signal.signal(signal.SIGALRM, self._before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._armed:
            raise Hung

    def _watch(self) -> None:
        tick = min(self._seconds / 4, MOST_TICK_SECONDS)
        seen, idle, told = self._beats, 0.0, False
        last = time.monotonic()
        while not self._ended.wait(tick):
            now = time.monotonic()
            # a process that was suspended comes back to a clock that went on without it
            idle, last = idle + min(now - last, 2 * tick), now
            if self._beats != seen:
                seen, idle, told = self._beats, 0.0, False
            elif not told and idle >= self._seconds:
                told = True
                if self._interruptible:
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
            elif told and idle >= self._seconds + self._grace:
                self._give_up(stacks())
                return


def stacks() -> str:
    """Where every thread of this process is, innermost call first."""
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        return file.read().decode(errors="replace")


def end_process(what: str, record: Callable[[], object]) -> None:
    """Ends a process whose main thread cannot be interrupted, once `record` has kept why, or cannot either."""
    recording = threading.Thread(target=record, daemon=True)
    recording.start()
    recording.join(timeout=GRACE_SECONDS)
    with suppress(OSError, ValueError):
        print(f"\n{what} hung and could not be interrupted; the same command goes on without it", file=sys.stderr)
        sys.stderr.flush()
    os._exit(3)
