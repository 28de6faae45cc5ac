"""How a stage that ran out of memory is tried again: first alone, then with smaller micro-batches."""

from __future__ import annotations

from collections.abc import Callable

from harness.execute.place import Place
from harness.execute.stages import Outcome
from harness.plan.stages import Stage

OUT_OF_MEMORY = "out of memory"

MOST_PARTS = 16
"""A batch is never cut into more micro-batches than this for want of memory."""


def micro_batches(stage: Stage) -> list[int]:
    """Into how many parts its batches may be cut, in the order in which that is tried: halves, quarters, ...

    None if the stage trains nothing. A micro-batch keeps two images at least, as batch norm needs.
    """
    if not stage.epochs or "batch" not in stage.config:
        return []
    smallest = int(stage.config["batch"]) // int(stage.config.get("accumulate", 1))
    parts, found = 2, []
    while parts <= MOST_PARTS and smallest // parts >= 2:
        found.append(parts)
        parts *= 2
    return found


def with_micro_batches(run: Callable[..., Outcome], place: Place, stage: Stage, parts: int) -> Outcome:
    """The stage with each batch taken in `parts` micro-batches; its outcome says so, as batch norm sees smaller ones.

    Args:
        run: `run_stage`.
    """
    accumulate = int(stage.config.get("accumulate", 1)) * parts
    # what the whole batches left unfinished is not gone on from, nor the other way round
    key = f"{stage.key}.{parts}"
    outcome = run(place, stage.kind, key, {**stage.config, "accumulate": accumulate}, stage.parents)
    images = int(stage.config["batch"]) // accumulate
    note = f"{stage.kind} in micro-batches of {images} images for want of memory: batch norm saw so many at a time"
    notes = [*outcome.facts.get("notes", ()), note]
    return Outcome(outcome.files, outcome.facts | {"notes": notes, "micro_batch": images})
