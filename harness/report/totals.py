"""Whether all lines of a table trained equally long, and what its tracks are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.report.entries import Entry
from harness.suite.protocol import DEFAULT_TRACK, SCRATCH_CAP, TRACKS, Track

_MEANING: dict[Track, str] = {
    "shared_start": "all methods start from a dense network whose schedule has not run out",
    "converged": "all methods start from a dense network at the end of its schedule",
}


def totals(found: Sequence[Entry]) -> list[str]:
    """One sentence a track: the total of epochs that its lines have in common, and the lines with another one."""
    tracks = [track for track in TRACKS if any(entry.cell.track == track and entry.done for entry in found)]
    lines = [_track(track, [entry for entry in found if entry.cell.track == track], len(tracks)) for track in tracks]
    if any(entry.cell.recipe.finetune_lr == "choose" and entry.done for entry in found):
        lines.append(
            "Fine-tuning ran twice, at the schedule's learning rates and at a tenth of them; held-out images chose. "
            "The run not taken is in brackets under Cost, and in training MACs and device time."
        )
    elif any(entry.cell.recipe.finetune_lr == "tenth" and entry.done for entry in found):
        lines.append("Fine-tuning ran at a tenth of the schedule's learning rates.")
    if any(entry.cell.scratch is not None and entry.done for entry in found):
        lines.append(
            "Lines with new weights are controls: the widths of the line that they name, trained on the schedule "
            "stretched to the same total of epochs, or to the training MACs of dense training, search and fine-tuning "
            f"together (at most {SCRATCH_CAP} times the epochs). Their bill is their own training alone."
        )
    return lines


def _track(track: Track, entries: Sequence[Entry], tracks: int) -> str:
    named = f"Track {track} ({_MEANING[track]}): " if tracks > 1 or track != DEFAULT_TRACK else ""
    trained = [(entry, {sum(row.epochs.values()) for row in entry.done}) for entry in entries if entry.done]
    compared = Counter(length for entry, found in trained if entry.cell.scratch != "macs" for length in found)
    declared = trained[0][0].cell.recipe.epochs.total
    common = declared if declared in compared or not compared else compared.most_common(1)[0][0]
    others = [
        f"{entry.title} ({' or '.join(map(str, sorted(found)))})" for entry, found in trained if found != {common}
    ]
    told = f"{named}{'every' if not others else 'each'} line trains for {common} epochs in total"
    told += f", but for {', '.join(others)}." if others else "."
    return told[0].upper() + told[1:]
