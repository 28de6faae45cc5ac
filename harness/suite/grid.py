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
    for backbone in declaration.file.backbones:
        placed: dict[tuple[int, int], Cell] = {}
        for outline in declaration.outlines:
            written.extend(_placed(outline, backbone, seed, placed) for seed in declaration.file.seeds)
    return written


def _placed(outline: Cell, backbone: str, seed: int, placed: dict[tuple[int, int], Cell]) -> Cell:
    """The outline at one backbone and seed, with the cells it rests on at the same."""
    known = placed.get((id(outline), seed))
    if known is not None:
        return known
    cell = replace(
        outline,
        backbone=backbone,
        seed=seed,
        match=_placed(outline.match, backbone, seed, placed) if outline.match else None,
        widths_of=_placed(outline.widths_of, backbone, seed, placed) if outline.widths_of else None,
        scratch_of=_placed(outline.scratch_of, backbone, seed, placed) if outline.scratch_of else None,
        candidates=tuple(_placed(candidate, backbone, seed, placed) for candidate in outline.candidates),
    )
    placed[id(outline), seed] = cell
    return cell
