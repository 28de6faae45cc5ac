"""Collects everything that is wrong with a suite, so that it is shown at once."""

from __future__ import annotations

from harness.errors import Location, SuiteError

MOST_PROBLEMS = 100
"""Nobody reads more at once, and looking for what each of a million unknown keys may have meant takes minutes."""


class Problems:
    """The problems found so far, each with its place; the same problem at the same place is kept once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._found: dict[tuple[Location, str], None] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, where: Location, what: str) -> None:
        """Notes one problem; a SuiteError at once if there are too many."""
        if len(self._found) >= MOST_PROBLEMS and (where, what) not in self._found:
            found = sorted(self._found, key=self._order)
            raise SuiteError([*found, (where, f"and more is wrong from here on; mend these {MOST_PROBLEMS} first")])
        self._found[where, what] = None

    def raise_any(self) -> None:
        """Raises a SuiteError with all problems, those of the file first, in the order of the lines."""
        if self._found:
            raise SuiteError(sorted(self._found, key=self._order))

    def _order(self, problem: tuple[Location, str]) -> tuple[bool, str, int, int]:
        where = problem[0]
        return where.file != self.file, where.file, where.line, where.column
