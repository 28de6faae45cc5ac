"""What the workers of every Tuner of this project share: where they work, and their ledgers."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

from harness.execute.place import Place
from harness.execute.stop import StopSign
from harness.store.ledger import Ledger
from harness.train.ranks import Ranks
from harness.train.watch import Watch


def told_place(place: Place, stop: StopSign) -> dict[str, Any]:
    """A place and the stop sign as values that travel to a worker, with whole paths."""
    return {
        "results": str(place.results.resolve()),
        "data": str(place.data.resolve()),
        "device": place.device,
        "threads": place.threads,
        "ranks": [place.ranks.count, place.ranks.sync_batch_norm],
        "stop_file": str(stop.file.resolve()),
        "deadline": stop.deadline,
        "checkpoint_seconds": place.watch.checkpoint_seconds,
        "hang_after": place.hang_after,
        "most_growth": place.most_growth,
    }


def place_of(given: dict[str, Any]) -> Place:
    """The place in a worker; its watch looks for the stop sign."""
    # this process may be on another machine, and stands in another folder
    os.environ["HARNESS_DATA"] = given["data"]
    stop = StopSign(Path(given["stop_file"]), given["deadline"])
    count, synchronised = given["ranks"]
    return Place(
        results=Path(given["results"]),
        data=Path(given["data"]),
        device=given["device"],
        threads=given["threads"],
        watch=Watch(should_stop=stop, checkpoint_seconds=given["checkpoint_seconds"]),
        hang_after=given["hang_after"],
        most_growth=given["most_growth"],
        ranks=Ranks(0, count, synchronised),
    )


class Growth:
    """How much memory a worker has taken since its first job; what leaks in a method adds up in a warm process."""

    def __init__(self) -> None:
        self._first: int | None = None

    def exceeds(self, most: int) -> bool:
        """Whether the process, after a job, is larger by more than `most` bytes than after its first."""
        if self._first is None:
            self._first = resident_bytes()
        return resident_bytes() - self._first > most


def resident_bytes() -> int:
    """The memory that this process holds now; where the system does not say, the most that it ever held."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        # in bytes where there is no /proc
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def ledger_of(results: str) -> Ledger:
    """This process's ledger of a results folder, opened once."""
    if results not in _LEDGERS:
        _LEDGERS[results] = Ledger(Path(results))
    return _LEDGERS[results]


_LEDGERS: dict[str, Ledger] = {}
