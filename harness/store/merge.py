"""Joins the results of machines that share no disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.store.artifacts import (
    Damaged,
    artifact_folder,
    artifact_keys,
    install_artifact,
    intact,
    read_files,
    verify,
)
from harness.store.ledger import Ledger


@dataclass(frozen=True)
class Merged:
    """What a merge added: numbers of events and of artifacts."""

    events: int
    artifacts: int


def merge(sources: Sequence[Path], into: Path) -> Merged:
    """Adds the events and the artifacts of other results folders to one; the sources are only read.

    An event that several folders hold is one event. Where folders hold different artifacts of one stage, the one whose
    "done" is the latest is taken, because that is the result which the joint ledger gives. Artifacts are written first
    and the events in one transaction, so that no event promises what is not there; a merge that was killed is completed
    by the same call.

    Args:
        sources: results folders.
        into: a results folder, made if it is not there; may be one of the sources.

    Raises:
        UserError: a source is no folder, or what it holds is damaged (named), or `into` cannot be written to.
    """
    for source in sources:
        if not source.is_dir():
            raise UserError(f"cannot merge {source}: there is no such folder")
    others = [source for source in sources if source.resolve() != into.resolve()]
    ledgers = {folder: Ledger(folder) for folder in [into, *others]}
    events = [event for folder in others for event in ledgers[folder].refresh()]
    artifacts = 0
    for key in sorted({key for folder in others for key in artifact_keys(folder)}):
        holders = [folder for folder in ledgers if artifact_folder(folder, key).exists()]
        # `sorted` is stable and `into` comes first, so that at equal times nothing is copied.
        holders.sort(key=lambda folder: -ledgers[folder].done_at(key))
        artifacts += _bring(key, holders, into)
    joint = ledgers[into]
    try:
        return Merged(joint.absorb(events), artifacts)
    finally:
        joint.close()


def _bring(key: str, holders: list[Path], into: Path) -> bool:
    """Copies the first sound artifact among the holders; false if that is the one which is there already."""
    damage: Damaged | None = None
    for folder in holders:
        try:
            if folder == into:
                verify(into, key)
                return False
            files = read_files(folder, key)
        except Damaged as error:
            damage = damage or error
            continue
        if intact(into, key) and read_files(into, key) == files:
            return False
        install_artifact(artifact_folder(into, key), files)
        return True
    raise UserError(f"cannot merge: {damage}; remove {artifact_folder(holders[0], key)} to merge without it")
