"""What a search has evaluated so far: one JSON file, replaced as a whole after every evaluation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from harness.inside import LARGEST_RECORD, inside, read_bytes
from harness.store.atomic import write_json
from harness.store.told import Count, Seconds, Share


@dataclass(frozen=True)
class Evaluation:
    """One finished evaluation.

    Attributes:
        widths: {group: channels} of all groups, once all consequences are drawn.
        accuracy: share of the held-out images classified right, 0..1; 0 where the training diverged.
        epochs: passes over the training images, in parts.
        macs: of the training (three times the network's for an image), of renewing the statistics, and of scoring.
        seconds: of all that.
    """

    widths: dict[str, Count]
    accuracy: Share
    epochs: Seconds
    macs: Count
    seconds: Seconds


EVALUATIONS = "evaluations.json"


def record(evaluations: Sequence[Evaluation]) -> bytes:
    """What a search tried, for the artifact of its stage: all but the times, which no two runs share."""
    entries = [{name: value for name, value in asdict(each).items() if name != "seconds"} for each in evaluations]
    return json.dumps(entries, indent=1).encode() + b"\n"


class Journal:
    """Finished evaluations by key. Floats come back to the last bit."""

    def __init__(self, path: Path) -> None:
        """Reads what is there; a damaged file counts as absent."""
        self._path = inside(path.parent, path.name)
        self._found: dict[str, Evaluation] = {}
        with suppress(FileNotFoundError, ValueError):
            self._found = _entries().validate_json(read_bytes(self._path, LARGEST_RECORD))

    def get(self, key: str) -> Evaluation | None:
        """The evaluation of this key, if it was finished."""
        return self._found.get(key)

    def put(self, key: str, evaluation: Evaluation) -> None:
        """Adds an evaluation; once this returns, no kill takes it away."""
        self._found[key] = evaluation
        write_json(self._path, {each: asdict(entry) for each, entry in self._found.items()})


@cache
def _entries() -> TypeAdapter[dict[str, Evaluation]]:
    return TypeAdapter(dict[str, Evaluation])
