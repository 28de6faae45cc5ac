"""Which test images each network classifies right: read from a run's artifacts, and recorded beside a report.

`hits.safetensors` beside `recorded.json` holds one tensor a measured row, named by its key: one bit a test image.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.inside import LARGEST_RECORD, read_bytes
from harness.stats.hits import packed_hits, unpacked
from harness.store.artifacts import artifact_folder, read_artifact
from harness.store.atomic import write_bytes
from harness.store.rows import Row

if TYPE_CHECKING:
    from harness.stats.hits import Hits

HITS = "hits.safetensors"


def record_hits(rows: Sequence[Row], results: Path, folder: Path) -> Path | None:
    """Writes the hits of all measured rows beside their report.

    Args:
        rows: one a cell.
        results: the results folder, which has the artifacts.
        folder: of the report.

    Returns:
        The file; None where no artifact is there.

    Raises:
        UserError: an artifact is damaged, or the file cannot be written.
    """
    from safetensors.numpy import save

    found = {row.key: bits for row in rows if (bits := _stored(results, row)) is not None}
    if not found:
        return None
    write_bytes(folder / HITS, save({key: packed_hits(bits) for key, bits in sorted(found.items())}))
    return folder / HITS


def hits_in(folder: Path) -> Callable[[Row], Hits | None]:
    """What gives a row's hits, from a results folder or from a folder of recorded rows; None for what is not there.

    Raises:
        UserError: the recorded hits are damaged (what is returned: an artifact is).
    """
    if not os.path.lexists(folder / HITS):
        return lambda row: _stored(folder, row)
    try:
        recorded = unpacked(read_bytes(folder / HITS, LARGEST_RECORD))
    except OSError as error:
        raise UserError(f"{folder / HITS} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{folder / HITS}: {error}") from None
    return lambda row: recorded.get(row.key)


def _stored(results: Path, row: Row) -> Hits | None:
    if not row.key or not artifact_folder(results, row.key).is_dir():
        return None
    try:
        return unpacked(read_artifact(results, row.key, HITS))["hits"]
    except (ValueError, KeyError) as error:
        raise UserError(f"hits of {row.cell.label}: {error}") from None
