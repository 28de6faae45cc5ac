"""What may go wrong: mistakes of the user, which get one line, and failures of a stage, which become rows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


class UserError(Exception):
    """The command, the suite or the machine is not as it must be.

    The command line prints the message alone, without a traceback, and exits with status 2.
    """


@dataclass(frozen=True)
class Location:
    """A place in a text file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class SuiteError(UserError):
    """All that is wrong with one suite file, each problem with its place; `str()` gives one line a problem."""

    def __init__(self, problems: list[tuple[Location, str]]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"{where}: {what}" for where, what in problems))


FailureReason = Literal[
    "diverged", "out of memory", "hung", "crashed", "invalid network", "out of reach", "worker lost", "no data"
]


class StageFailure(Exception):
    """A stage that cannot be completed, for a reason that the table shows."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        self.reason: FailureReason = reason
        self.message = message
        super().__init__(f"{reason}: {message}")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be, or None."""
    names = list(known)
    folded = {candidate.lower().replace("-", "_"): candidate for candidate in names}
    wanted = name.lower().replace("-", "_")
    found = difflib.get_close_matches(wanted, list(folded), n=1, cutoff=0.55)
    if found:
        return folded[found[0]]
    starts = [candidate for key, candidate in folded.items() if len(wanted) >= 3 and key.startswith(wanted)]
    return starts[0] if starts else None


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """One line that says that `name` is no known `kind`, what was probably meant, and what there is."""
    names = sorted(known)
    text = repr(name if len(name) <= 80 else f"{name[:79]}…")
    meant = nearest(name, names)
    hint = f"did you mean {meant!r}?" if meant else f"there {'is' if len(names) == 1 else 'are'}: {', '.join(names)}"
    return f"unknown {kind} {text}; {hint}"
