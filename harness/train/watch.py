"""What a training tells while it runs, and how it is asked to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class Stopped(Exception):
    """The work was asked to stop; the same command goes on from what was saved last."""


def _silent(facts: dict[str, Any]) -> None:
    del facts


def _never() -> bool:
    return False


@dataclass
class Watch:
    """The two wires between a training and who runs it.

    Attributes:
        note: told {"stage", "epoch", "epochs", "loss", "images_per_second"} after every epoch.
        should_stop: asked between steps; when it says yes, the training raises Stopped and loses what was not saved.
        checkpoint_seconds: an epoch is saved when the last save is at least so long ago.
    """

    note: Callable[[dict[str, Any]], None] = field(default=_silent)
    should_stop: Callable[[], bool] = field(default=_never)
    checkpoint_seconds: float = 15.0
