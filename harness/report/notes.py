"""What a reader of the table must know: footnotes of single lines, and what holds for all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from harness.report import numbers
from harness.report.counts import Counts
from harness.report.entries import NEARLY_EQUAL, Entry, is_scaled, symbol
from harness.report.facts import SuiteFacts
from harness.report.studies import tuned_note
from harness.report.totals import totals
from harness.store.rows import Row

_LONGEST_REASON = 160
_MOST_RANGES = 12
_MOST_LEFT_OUT = 6
_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")
"""A number that is no part of a name."""


def footnotes(entry: Entry) -> list[str]:
    """What must be known of one line: failures, a missed budget, notes of the method."""
    found = []
    if entry.failed:
        reasons = Counter(_one_line(row.reason) or "no reason given" for row in entry.failed)
        asked = f"{len(entry.rows)} seed{'s' if len(entry.rows) != 1 else ''}"
        told = "; ".join(
            reason if len(reasons) == 1 else f"{reason} ({count})" for reason, count in reasons.most_common()
        )
        found.append(f"{len(entry.failed)} of {asked} failed: {told}")
    if entry.done and entry.done[0].study is not None:
        found.append(tuned_note(entry.done[0]))
    missed = _missed_budget(entry)
    if missed:
        found.append(missed)
    noted: dict[str, dict[int, str]] = {}
    for row in entry.done:
        shapes = Counter(_NUMBER.sub("#", _one_line(note)) for note in row.notes)
        for note in map(_one_line, row.notes):
            shape = _NUMBER.sub("#", note)
            noted.setdefault(shape if shapes[shape] == 1 else note, {})[row.cell.seed] = note
    for by_seed in noted.values():
        seeds, note = list(by_seed), _in_one(list(by_seed.values()))
        if len(seeds) == len(entry.done):
            found.append(note)
        else:
            found.append(f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}: {note}")
    return found


def _in_one(notes: Sequence[str]) -> str:
    """Notes that differ in their numbers alone, as one: "3 to 5 of 27 branches removed, by seed"."""
    if len(set(notes)) == 1:
        return notes[0]
    slots = zip(*(_NUMBER.findall(note) for note in notes), strict=True)
    ranges = iter([sorted(set(slot), key=lambda text: float(text.replace(",", ""))) for slot in slots])

    def span(_: re.Match[str]) -> str:
        values = next(ranges)
        return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"

    return _NUMBER.sub(span, notes[0]) + ", by seed"


def _missed_budget(entry: Entry) -> str | None:
    gaps = []
    for row in entry.done:
        reached = row.params if row.target_metric == "params" else row.macs
        if row.target and reached is not None and row.cell.solve is None:  # whose own note says how near it came
            gaps.append(reached / row.target - 1)
    if not any(abs(gap) > NEARLY_EQUAL for gap in gaps):
        return None
    low, high = (f"{numbers.signed(100 * gap, 1)} %" for gap in (min(gaps), max(gaps)))
    return f"misses its budget by {low}" if low == high else f"misses its budget by {low} to {high}, by seed"


def above(rows: Sequence[Row], left_out: Sequence[Entry]) -> tuple[str, ...]:
    """How many cells there are and what is still missing; nothing if all are done."""
    states = Counter(row.state for row in rows)
    if not rows:
        return ("No cell was planned.",)
    if states["done"] == len(rows):
        return ()
    counted = [f"{states[state]} {state}" for state in ("done", "failed", "running", "waiting") if states[state]]
    found = [f"{len(rows)} cell{'s' if len(rows) != 1 else ''}: {', '.join(counted)}."]
    if left_out:
        named = ", ".join(entry.title for entry in left_out[:_MOST_LEFT_OUT])
        more = len(left_out) - _MOST_LEFT_OUT
        found.append(f"Not in the table yet: {named}{f', and {more} more' if more > 0 else ''}.")
    return tuple(found)


def footer(
    found: Sequence[Entry], facts: SuiteFacts, published_reference: str | None, counts: Counts = "alike"
) -> tuple[str, ...]:
    """What holds for the whole table, one sentence or two a line."""
    done = [row for entry in found for row in entry.done]
    if not done:
        return ()
    lines = []
    if any(len(entry.done) > 1 for entry in found):
        lines.append(
            "± is the half-width of a 95 % t-interval of the mean over the seeds of the line; a single seed has none."
        )
    lines += _tested(found)
    if facts.rows == "held_out":
        lines.append("Ordered by accuracy on the held-out images after the last epoch: the first line is the choice.")
    by_paper = counts == "alike" and any(row.paper_flops is not None for row in done)
    lines.append(
        "MACs are multiply-adds of convolutions and linear layers of the network as executed, for one image. "
        + ("FLOPs and Params follow the counting rule of the DNAL paper. " if by_paper else "")
        + "(×) is the reduction against the whole network."
    )
    lines += _two_counts(counts)
    lines.append(
        "Cost is epochs of dense training, search and fine-tuning; training MACs and device time are a cell's own, "
        "with stages that cells share counted in full."
    )
    lines += _training_images(found, facts)
    lines += _scaled_strengths(done)
    lines += _ranges(found)
    lines += _constants(found, facts)
    cuts = common_cuts(found)
    if cuts:
        lines.append(f"Channels that may be cut: {cuts}.")
    lines.append(_recipe(facts))
    lines += totals(found)
    if not facts.recipe.calibrated:
        lines.append(
            "Recipe uncalibrated: its learning rate and weight decay were not chosen by a calibration at full length."
        )
    if published_reference is not None:
        lines.append(published(published_reference))
    lines += _provenance(done)
    return tuple(lines)


def _tested(found: Sequence[Entry]) -> list[str]:
    """What the accuracies are, and what it means where test images were read after every epoch."""
    if not any(entry.best_test for entry in found):
        return ["Top-1 and top-5 are the last epoch's, on the test split, which is read once for each cell."]
    return [
        "Top-1 and top-5 are the last epoch's, on the test split.",
        "† The best epoch of fine-tuning, chosen on the test images themselves, which were read after every epoch: too "
        "high, and printed because most papers print it. Nothing is ranked, tested or chosen by it.",
    ]


def _two_counts(counts: Counts) -> list[str]:
    leaves_out = "leaves out the columns that read a cut channel even where a shortcut still feeds them"
    if counts == "executed":
        return [
            f"The counting rule of the DNAL paper {leaves_out}, so that its counts, which are in table.csv, say less "
            "than what is run and stored."
        ]
    if counts == "both":
        return [
            f"Columns headed paper's rule count as the DNAL paper does: that {leaves_out}, so that it says less than "
            "what is run and stored (executed). They are for comparison with published rows, which have no other."
        ]
    return []


def published(reference: str) -> str:
    """What the mark of published rows means."""
    return f"‡ published ({reference}), not run here; printed there without an interval."


def paired(partner: str) -> tuple[str, ...]:
    """How the paired differences are to be read."""
    return (
        f"Δ top-1 is the method's minus that of {partner}, seed by seed; ± is the half-width of a 95 % paired "
        "t-interval over the seeds that both have. Δ MACs is what is left of the difference in executed MACs.",
        "p is that of Student's paired t-test, corrected by Holm over all differences of this table: below 0.05 the "
        "two differ. Detectable is the smallest true difference that so many seeds, varying as these do, would show in "
        "four tables of five (uncorrected); a smaller one cannot be told from none here.",
    )


def common_cuts(found: Sequence[Entry]) -> str | None:
    """The kinds of channels that all cut networks may lose; empty if nothing is cut, None if the lines differ."""
    cuts = {entry.cuts for entry in found if not entry.is_whole}
    return None if len(cuts) > 1 else next(iter(cuts), "")


def _training_images(found: Sequence[Entry], facts: SuiteFacts) -> list[str]:
    counts = {entry.train_images for entry in found if entry.done}
    if len(counts) != 1 or not (count := counts.pop()):
        return []
    declared = facts.declared_data
    if declared is None:
        return [f"Weights were trained on {count} images of {facts.data_title}."]
    if count == f"{declared.train_images:,}":
        return [f"Weights were trained on all {count} training images of {facts.data_title}, held-out ones included."]
    return [
        f"Weights were trained on {count} of the {declared.train_images:,} training images of {facts.data_title}; "
        f"{declared.held_out_images:,} are held out for choices."
    ]


def _scaled_strengths(done: Sequence[Row]) -> list[str]:
    factors: dict[str, set[float]] = {}
    for row in done:
        if row.strength is not None and is_scaled(row.strength[2]):
            factors.setdefault(row.strength[0], set()).add(row.strength[2])
    lines = []
    for name, found in sorted(factors.items()):
        plain, scaled = symbol(name), symbol(name, scaled=True)
        told = " or ".join(f"{factor:.4g}" for factor in sorted(found))
        lines.append(
            f"{scaled} is {plain} in the units of its paper's protocol: the search ran at {told} × {scaled}, because "
            f"it has another number of steps. This keeps the order of sizes, not the sizes: {scaled} is not to be set "
            f"beside a published {plain}."
        )
    return lines


def _constants(found: Sequence[Entry], facts: SuiteFacts) -> list[str]:
    """Parameters that the suite states for all rows of a method alike, which no row prints."""
    stated: dict[str, str] = {}
    for entry in found:
        values = [f"{symbol(name)} = {numbers.plain(entry.cell.params[name])}" for name in entry.cell.constant]
        if values:
            stated[facts.method_title(entry.cell.method)] = ", ".join(values)
    return [f"{title}: {values} in every row." for title, values in stated.items()]


def _ranges(found: Sequence[Entry]) -> list[str]:
    varying = [
        (entry.title, spread)
        for entry in found
        if entry.kind == "natural" and (spread := entry.spread("macs")) is not None and spread.varies
    ]
    if not varying:
        return []
    if len(varying) > _MOST_RANGES:
        return ["Executed MACs differ between seeds; their smallest and largest are in table.csv."]
    unit = numbers.unit_for([spread.mean for _, spread in varying])
    told = "; ".join(
        f"{title} {numbers.count(spread.low, unit)}–{numbers.count(spread.high, unit)} {unit.symbol}".rstrip()
        for title, spread in varying
    )
    return [f"Executed MACs are means over seeds, which differ: {told}."]


def _recipe(facts: SuiteFacts) -> str:
    recipe, epochs = facts.recipe, facts.recipe.epochs
    profile = f"Profile {facts.profile}. " if facts.profile else ""
    steps = ", ".join(f"{100 * milestone:g} %" for milestone in recipe.milestones)
    late = ", one epoch late" if recipe.late_milestones else ""
    schedule = f"× {recipe.gamma:g} at {steps}{late}" if recipe.schedule == "step" else recipe.schedule
    if recipe.schedule == "cosine" and recipe.per_iteration:
        schedule += " by the step"
    if recipe.dense_horizon is not None:
        schedule += f", dense stage as the start of {recipe.dense_horizon} epochs"
    return (
        f"{profile}Recipe: {epochs.dense}+{epochs.search}+{epochs.finetune} epochs (baseline {epochs.schedule}), "
        f"SGD, batch {recipe.batch}, learning rate {numbers.plain(recipe.lr)} ({schedule}), "
        f"momentum {recipe.momentum:g}, weight decay {numbers.plain(recipe.weight_decay)}, {recipe.arithmetic}."
    )


def _provenance(done: Sequence[Row]) -> list[str]:
    """Where the figures were measured, one line for each kind of place."""
    places: Counter[str] = Counter()
    for row in done:
        known = row.provenance
        versions = known.get("versions") or {}
        where = known.get("device_name") or known.get("processor")
        parts = [
            f"commit {str(known['commit'])[:12]}{' with changes' if known.get('dirty') else ''}"
            if known.get("commit")
            else "",
            f"torch {versions['torch']}" if isinstance(versions, dict) and versions.get("torch") else "",
            f"{where}" if where else "",
            f"threads: {known['threads']}" if known.get("threads") and not known.get("device_name") else "",
        ]
        places[", ".join(part for part in parts if part)] += 1
    told = [(_one_line(place), cells) for place, cells in places.most_common(_MOST_LEFT_OUT) if place]
    if len(told) == 1 and len(places) == 1:
        return [f"Measured at {told[0][0]}."]
    return [f"{cells} cells measured at {place}." for place, cells in told]


def _one_line(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= _LONGEST_REASON else joined[: _LONGEST_REASON - 1] + "…"
