"""How a run is asked to stop: a deadline, or a file that its workers look for."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from harness.inside import inside


@dataclass
class StopSign:
    """Says stop once the deadline has passed or the file is there; looks at most twice a second.

    Attributes:
        file: appears when the driver was interrupted.
        deadline: in seconds since the epoch, or None.
    """

    file: Path
    deadline: float | None = None
    _ends: float | None = field(default=None, init=False, repr=False)
    _looked: float = field(default=0.0, repr=False)
    _stop: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        """Refuses a place behind a link, before anything runs."""
        inside(self.file.parent.parent, self.file.parent.name, self.file.name)
        # from now on a clock that is set neither shortens nor lengthens the time that is left
        if self.deadline is not None:
            self._ends = time.monotonic() + self.deadline - time.time()

    def __call__(self) -> bool:
        """Whether to stop now."""
        now = time.monotonic()
        if not self._stop and now - self._looked >= 0.5:
            self._looked = now
            late = self._ends is not None and now >= self._ends
            self._stop = late or self.file.exists()
        return self._stop

    def raise_sign(self) -> None:
        """Asks every worker of this run to stop."""
        self._stop = True
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.touch()

    def clear(self) -> None:
        """Removes the file."""
        self.file.unlink(missing_ok=True)
