"""Writes the grid out: every cell that a suite declares, in a fixed order."""

from __future__ import annotations

from dataclasses import replace

from harness.suite.cell import Cell
from harness.suite.schema import Declaration


def cells(declaration: Declaration) -> list[Cell]:
    """All cells: backbones, then methods in the file's order, then the points of each grid, seeds innermost.

    A cell that others match, take widths from or choose as a candidate is one object shared by all of them.
    """
    written: list[Cell] = []
    seeds = declaration.file.seeds
    for backbone in declaration.file.backbones:
        placed: dict[tuple[int, int], Cell] = {}
        for outline in declaration.outlines:
            written.extend(_placed(outline, backbone, seed, seeds[0], placed) for seed in seeds)
    return written


def _placed(outline: Cell, backbone: str, seed: int, first: int, placed: dict[tuple[int, int], Cell]) -> Cell:
    """The outline at one backbone and seed, with the cells it rests on at the same; a study is at its own seed."""
    known = placed.get((id(outline), seed))
    if known is not None:
        return known
    tuned = outline.tuned
    if tuned is not None:
        at = tuned.study.seed if tuned.study.seed is not None else first
        trial = _placed(tuned.study.trial, backbone, at, first, placed)
        tuned = replace(tuned, study=replace(tuned.study, trial=trial))
    cell = replace(
        outline,
        backbone=backbone,
        seed=seed,
        match=_placed(outline.match, backbone, seed, first, placed) if outline.match else None,
        widths_of=_placed(outline.widths_of, backbone, seed, first, placed) if outline.widths_of else None,
        scratch_of=_placed(outline.scratch_of, backbone, seed, first, placed) if outline.scratch_of else None,
        candidates=tuple(_placed(candidate, backbone, seed, first, placed) for candidate in outline.candidates),
        tuned=tuned,
    )
    placed[id(outline), seed] = cell
    return cell
