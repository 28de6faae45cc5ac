"""How long stages took on this machine, and from that how long stages will take."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from harness.paths import cache_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Matrix = NDArray[np.float64]

HELD_OUT_WORK = 0.27
"""What scoring an image costs of what training on it costs; measured on VGG16 of eighth width, one thread."""


@dataclass(frozen=True)
class Timing:
    """One stage as measured.

    Attributes:
        work: images that passed through the network: training images · epochs, held-out images at `HELD_OUT_WORK`.
        macs: of the network that was trained, one image.
        device: "cpu" or the accelerator's name.
        seconds: of the whole stage, loading and saving included.
    """

    machine: str
    backbone: str
    data: str
    kind: str
    method: str
    device: str
    threads: int
    batch: int
    work: float
    macs: int
    seconds: float


def machine() -> str:
    """This machine, as timings are filed."""
    return f"{platform.node()}/{platform.machine()}/{os.cpu_count()}"


def timings_file() -> Path:
    """Where this user's timings are kept, one JSON object a line."""
    return cache_folder() / "timings.jsonl"


def record(timing: Timing) -> None:
    """Adds one timing; a cache that cannot be written is no error."""
    line = json.dumps(asdict(timing)) + "\n"
    try:
        timings_file().parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(timings_file(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)
    except OSError:
        return


def recorded() -> list[Timing]:
    """All timings of this machine, oldest first; lines that cannot be read are passed over."""
    from pydantic_core import from_json

    own, found = machine(), []
    try:
        lines = timings_file().read_bytes().splitlines()
    except OSError:
        return []
    for line in lines[-20_000:]:
        try:
            timing = Timing(**from_json(line))
        except (ValueError, TypeError):
            continue
        if timing.machine == own:
            found.append(timing)
    return found


@dataclass(frozen=True)
class Question:
    """A stage whose seconds are wanted; fields as in `Timing`."""

    backbone: str
    data: str
    kind: str
    method: str
    device: str
    threads: int
    batch: int
    work: float
    macs: int


class Clock:
    """Predicts seconds of stages from timings of stages like them.

    A stage's seconds are modelled as `fixed + work · (a + b · macs)`: reading and saving, launching operations, and
    multiplying. The last timings of a kind count most: only the newest 400 are used.
    """

    def __init__(self, timings: Sequence[Timing]) -> None:
        self._groups: dict[tuple[object, ...], list[Timing]] = {}
        for timing in timings:
            self._groups.setdefault(self._family(timing), []).append(timing)
        self._fits: dict[tuple[object, ...], tuple[float, float, float]] = {}

    @staticmethod
    def _family(stage: Timing | Question) -> tuple[object, ...]:
        if stage.work == 0:
            return (stage.backbone, stage.data, stage.kind, stage.method, stage.device)
        train = stage.kind in {"dense", "finetune"}
        kind = "weights" if train else stage.kind
        own = "" if train else stage.method
        return (stage.backbone, stage.data, kind, own, stage.device, stage.threads, stage.batch)

    def seconds(self, question: Question) -> float | None:
        """The prediction, or None if nothing like it was measured here."""
        family = self._family(question)
        known = self._groups.get(family)
        if not known:
            return None
        if question.work == 0:
            recent = sorted(timing.seconds for timing in known[-99:])
            return recent[len(recent) // 2]
        if family not in self._fits:
            self._fits[family] = _fit(known[-400:])
        fixed, per_image, per_mac = self._fits[family]
        return fixed + question.work * (per_image + per_mac * question.macs)


def _fit(timings: Sequence[Timing]) -> tuple[float, float, float]:
    """Non-negative least squares of seconds on (1, work, work · macs), each timing weighted by its own seconds."""
    import numpy as np

    rows = np.array([[1.0, timing.work, timing.work * timing.macs] for timing in timings])
    seconds = np.array([max(timing.seconds, 1e-3) for timing in timings])
    scale = rows.max(axis=0)
    scale[scale == 0] = 1.0
    solution = _non_negative(rows / scale / seconds[:, None], np.ones(len(timings)))
    fixed, per_image, per_mac = solution / scale
    return float(fixed), float(per_image), float(per_mac)


def _non_negative(matrix: Matrix, right: Vector) -> Vector:
    """Least squares with no solution below 0, exactly: of three unknowns every choice of those above 0 can be tried.

    `scipy.optimize.nnls` gives the same; importing it takes half of the time of a plan.
    """
    import numpy as np

    best, least = np.zeros(matrix.shape[1]), float(right @ right)
    for count in range(1, matrix.shape[1] + 1):
        for support in combinations(range(matrix.shape[1]), count):
            columns = list(support)
            found = np.linalg.lstsq(matrix[:, columns], right, rcond=None)[0]
            residual = matrix[:, columns] @ found - right
            if (found >= 0).all() and (square := float(residual @ residual)) < least:
                best, least = np.zeros(matrix.shape[1]), square
                best[columns] = found
    return best
