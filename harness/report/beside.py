"""Work done in forked processes beside this one: pictures beside tables, on the second core that most machines have.

A forked process knows all that this one knew and hands its result back, pickled. Nothing is forked where that could
hang or gain nothing: off Linux, on one core, and once there are threads, whose locks would be copied as they are.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

T = TypeVar("T")
_TICKET = 2
"""Bytes that name a job."""
_MOST_JOBS = 16_384
"""That the tickets of all fit into a pipe (64 KiB)."""


class Helpers:
    """Begins work in processes of its own; made by `helpers`.

    Attributes:
        fork: whether there are any; without, work is done when its result is asked for.
    """

    def __init__(self, fork: bool) -> None:
        self.fork = fork
        self._running: list[BaseProcess] = []
        self._prepared: _Prepared | None = None

    def prepare(self, ready: Callable[[], object]) -> None:
        """Begins a process that makes ready for work that is not known yet, for instance by imports.

        Args:
            ready: what it does until then.
        """
        if self.fork:
            self._prepared = _Prepared(ready)
            self._running.append(self._prepared.process)

    def begin_prepared(self, work: Callable[[], T]) -> Callable[[], T]:
        """As `begin`, in the process that `prepare` began, if there is one.

        Args:
            work: can be pickled, as what it gives.
        """
        if self._prepared is None:
            return self.begin(work)
        prepared, self._prepared = self._prepared, None
        prepared.give(work)
        return _result(prepared.process, prepared.answers, work)

    def begin(self, work: Callable[[], T]) -> Callable[[], T]:
        """Begins a piece of work, and gives what waits for its result; that raises what the work raised.

        Args:
            work: gives something that can be pickled, and is done here if its process is lost.
        """
        if not self.fork:
            return work
        from multiprocessing import get_context

        context = get_context("fork")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_helped, args=(work, theirs))
        process.start()
        theirs.close()
        self._running.append(process)
        return _result(process, ours, work)

    def share(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """Does jobs here and in one process beside this one, each where there is time first; results in their order."""
        if not self.fork or not 1 < len(jobs) <= _MOST_JOBS:
            return [job() for job in jobs]
        tickets, printer = os.pipe()
        os.write(printer, b"".join(number.to_bytes(_TICKET) for number in range(len(jobs))))
        os.close(printer)

        def some() -> dict[int, T]:
            done = {}
            while ticket := os.read(tickets, _TICKET):
                number = int.from_bytes(ticket)
                done[number] = jobs[number]()
            return done

        theirs = self.begin(some)
        done = some()
        done |= theirs()
        os.close(tickets)
        # A process that was lost took its tickets with it.
        return [done[number] if number in done else job() for number, job in enumerate(jobs)]

    def end(self) -> None:
        """Ends what nobody waits for any longer."""
        for process in self._running:
            process.kill()  # it may have been forked with handlers that pass over what is gentler
            process.join()


class _Prepared:
    """A process that makes ready, then waits for its work."""

    def __init__(self, ready: Callable[[], object]) -> None:
        from multiprocessing import get_context
        from multiprocessing.reduction import ForkingPickler

        context = get_context("fork")
        # Work is handed over as by a pipe, which would hold up whoever gives it before all is ready.
        self._work = tempfile.TemporaryFile()  # noqa: SIM115
        self._given, begun = context.Pipe()
        self.answers, theirs = context.Pipe(duplex=False)

        def wait() -> Any:
            ready()
            self._given.close()
            begun.recv()
            self._work.seek(0)
            return ForkingPickler.loads(self._work.read())()

        self.process = context.Process(target=_helped, args=(wait, theirs))
        self.process.start()
        begun.close()
        theirs.close()

    def give(self, work: Callable[[], Any]) -> None:
        from multiprocessing.reduction import ForkingPickler

        self._work.write(ForkingPickler.dumps(work))
        self._work.flush()
        with suppress(BrokenPipeError):  # it is lost or has failed, which its answer will tell
            self._given.send(None)
        self._given.close()
        self._work.close()


def _result(process: BaseProcess, answers: Connection, work: Callable[[], T]) -> Callable[[], T]:
    """What waits for the result of work in a process; the work is done here if the process is lost."""

    def result() -> T:
        try:
            failed, found = answers.recv()
        except EOFError:
            return work()
        finally:
            answers.close()
            process.join()
        if failed:
            raise found
        return found  # type: ignore[no-any-return]

    return result


@contextmanager
def helpers(wanted: bool = True) -> Iterator[Helpers]:
    """Helpers for as long as the context lasts, forked if they are wanted and nothing speaks against it."""
    found = Helpers(wanted and can_fork())
    try:
        yield found
    finally:
        found.end()


def can_fork() -> bool:
    """Whether forking is safe here and gains anything."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1 and threading.active_count() == 1


def _helped(work: Callable[[], Any], answers: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches all; the first process alone says so
    try:
        answer = (False, work())
    except Exception as error:  # it is raised where the result is asked for
        answer = (True, error)
    try:
        answers.send(answer)
    except BrokenPipeError:
        return
