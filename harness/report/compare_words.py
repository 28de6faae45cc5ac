"""What a comparison of two methods says, as text and as JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from harness.report import numbers
from harness.report.compare import Comparison, Pairing
from harness.report.entries import Entry
from harness.stats.paired import PairedTest


def compare_records(found: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The comparisons as JSON values: shares of 1, counts, decades."""

    def test_record(test: PairedTest | None) -> dict[str, Any] | None:
        if test is None:
            return None
        return {
            "mean": test.difference.mean,
            "half_width": test.difference.half_width,
            "n": test.difference.n,
            "p": test.p,
            "detectable": test.detectable,
        }

    return [
        {
            "backbone": one.backbone,
            "title": one.title,
            "a": one.a,
            "b": one.b,
            "budgets": [
                {
                    "budget": pairing.budget,
                    "a": pairing.a.title,
                    "b": pairing.b.title,
                    "a_cuts": list(pairing.a.cell.cuts),
                    "b_cuts": list(pairing.b.cell.cuts),
                    "top1": test_record(pairing.test),
                    "p_holm": pairing.corrected,
                    "outcome": pairing.outcome,
                    "macs_relative_difference": pairing.macs_gap,
                }
                for pairing in one.pairings
            ],
            "outcomes": {outcome: one.count(outcome) for outcome in ("win", "tie", "loss")},
            "networks": [
                {"budget": of.pairing.budget, "a": of.pairing.a.title, "b": of.pairing.b.title, "seed": of.seed}
                | asdict(of.test)
                | {"p_holm": of.corrected}
                for of in one.networks
            ],
            "curves": [
                {
                    "of": curves.of,
                    "area": test_record(curves.area),
                    "reach_macs": list(curves.reach) if curves.reach is not None else None,
                    "hypervolume": test_record(curves.volume),
                }
                for curves in one.curves
            ],
        }
        for one in found
    ]


def compare_text(one: Comparison) -> str:
    """A comparison for people."""
    lines = [f"{one.title}: {one.a} − {one.b}, top-1 in points, paired by seed"]
    lines += _grid(
        ("budget", one.a, one.b, "Δ", "p (Holm)", "outcome", "detectable", "Δ MACs", "n"),
        [
            (
                pairing.budget,
                _with_cuts(pairing.a, pairing),
                _with_cuts(pairing.b, pairing),
                numbers.signed_interval(pairing.test.difference) if pairing.test is not None else numbers.MISSING,
                numbers.probability(pairing.corrected),
                pairing.outcome,
                numbers.detectable(pairing.test),
                f"{numbers.signed(100 * pairing.macs_gap)} %",
                str(pairing.test.difference.n) if pairing.test is not None else "0",
            )
            for pairing in one.pairings
        ],
    )
    lines.append(
        f"{one.a} wins {one.count('win')}, ties {one.count('tie')}, loses {one.count('loss')} at the 5 % level."
    )
    for curves in one.curves:
        what = f" ({curves.of})" if curves.of else ""
        if curves.area is not None and curves.reach is not None:
            unit = numbers.unit_for(curves.reach)
            low, high = (numbers.count(cost, unit) for cost in curves.reach)
            lines.append(
                f"Mean top-1 over log MACs, {low} to {high} {unit.symbol}{what}: "
                f"{numbers.signed_interval(curves.area.difference)} points, p {numbers.probability(curves.area.p)}"
            )
        if curves.volume is not None:
            lines.append(
                f"Hypervolume{what}: {numbers.signed_interval(curves.volume.difference)} points × decades of MACs, "
                f"p {numbers.probability(curves.volume.p)}"
            )
    if not one.networks:
        lines.append("Networks: no hits of both are stored here, so that no two networks can be compared.")
        return "\n".join(lines)
    lines.append("Networks on the same test images (McNemar, exact): right where the other is wrong")
    lines += _grid(
        ("budget", "seed", f"only {one.a}", f"only {one.b}", "p (Holm)"),
        [
            (
                of.pairing.budget,
                str(of.seed),
                str(of.test.only_a),
                str(of.test.only_b),
                numbers.probability(of.corrected),
            )
            for of in one.networks
        ],
    )
    return "\n".join(lines)


def _with_cuts(entry: Entry, pairing: Pairing) -> str:
    kind = {"widths": "same widths", "scratch": "new weights"}.get(entry.kind, "")
    cuts = entry.cuts if pairing.a.cuts != pairing.b.cuts else ""
    return "; ".join(part for part in (kind, cuts) if part) or entry.name


def _grid(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Columns padded to their widest text, two spaces apart."""
    widths = [max(len(line[column]) for line in (header, *lines)) for column in range(len(header))]
    return [
        "  " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in (header, *lines)
    ]
