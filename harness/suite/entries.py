"""Reads the entries under `methods:` and gives each one's grid as outlines: cells without a backbone and a seed."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness import registry
from harness.errors import Location, UserError
from harness.method import Method
from harness.suite.axes import HARNESS_KEYS, Axis, Spread, Target, axes_of, scratch_modes
from harness.suite.cell import Budget, Cell, DataChoice, Solve
from harness.suite.partners import Draft, resolve_partners
from harness.suite.problems import Problems
from harness.suite.protocol import DEFAULT_TRACK, TRACKS, Scratch, Track
from harness.suite.recipe import Recipe
from harness.suite.solving import asks_to_solve, solve_of
from harness.suite.source import Node, plain
from harness.suite.tune import asks_to_tune, tuned_drafts
from harness.suite.wording import must_be, validated

EACH = "each"


@dataclass(frozen=True)
class Entry:
    """One method as one entry of the file states it.

    Attributes:
        method: which.
        at: where its name stands.
        block: what stands under its name; shared by the methods of an `each`.
    """

    method: type[Method]
    at: Location
    block: dict[str, Node]


def outlines(
    nodes: Sequence[Node],
    data: DataChoice,
    recipe: Recipe,
    problems: Problems,
    most: int,
    tracks: Sequence[Track] = (DEFAULT_TRACK,),
) -> tuple[Cell, ...]:
    """The cells that the entries declare, without backbones ("") and seeds (0), in the file's order.

    Args:
        nodes: the entries under `methods:`.
        data: of every cell.
        recipe: of every cell.
        problems: where what is wrong is noted.
        most: how many points a grid may have.
        tracks: of every entry that states none.
    """
    named: dict[str, None] = {}
    base = Cell("", data, "", {}, 0, recipe)
    drafts: list[Draft] = []
    for node in nodes:
        if asks_to_tune(node):
            drafts.extend(
                tuned_drafts(node, named, lambda *entry: _points(Entry(*entry), base, problems, most, tracks), problems)
            )
            continue
        for entry in _entries(node, named, problems):
            drafts.extend(_points(entry, base, problems, most, tracks))
    return resolve_partners(_told_apart(drafts), list(named), problems, most)


def _points(entry: Entry, base: Cell, problems: Problems, most: int, tracks: Sequence[Track]) -> list[Draft]:
    """The points of one entry's grid; none if there are too many."""
    before = len(problems)
    axes = axes_of(entry.method, entry.block, problems)
    if "track" not in entry.block:
        axes.insert(0, Axis("track", tracks))
    scratch = _scratch(entry, problems)
    sound = len(problems) == before
    count = math.prod(len(axis.choices) for axis in axes)
    if count > most:
        problems.add(entry.at, f"the grid of {entry.method.name!r} has {count} points; a suite may have {most}")
        return []
    cell = replace(base, method=entry.method.name)
    return [replace(draft, sound=sound, scratch=scratch) for draft in _drafts(entry, axes, cell, problems)]


def _told_apart(drafts: list[Draft]) -> list[Draft]:
    """The drafts with names that leave out what is stated, but the same for all points of a method."""
    values: dict[tuple[str, str], set[str]] = {}
    for draft in drafts:
        for cell in (draft.cell, *draft.candidates) if draft.cell.tuned is None else ():
            for name, value in cell.params.items():
                values.setdefault((cell.method, name), set()).add(json.dumps(value))
    varied = {pair for pair, found in values.items() if len(found) > 1}

    def named_shortly(cell: Cell) -> Cell:
        strength = registry.method(cell.method).strength
        shown = tuple(name for name in cell.shown if (cell.method, name) in varied or name == strength)
        return replace(
            cell, shown=shown or cell.shown, constant=tuple(sorted(set(cell.shown) - set(shown or cell.shown)))
        )

    return [
        replace(draft, cell=named_shortly(draft.cell), candidates=tuple(map(named_shortly, draft.candidates)))
        if draft.cell.tuned is None
        else draft
        for draft in drafts
    ]


def _entries(node: Node, named: dict[str, None], problems: Problems) -> Iterator[Entry]:
    """The methods of one entry; `named` collects the names that are stated, usable or not."""
    block: dict[str, Node] = {}
    if isinstance(node.value, str):
        names = [(node.value, node.at)]
    elif isinstance(node.value, dict) and EACH in node.value:
        names = _each(node.value[EACH], problems)
        block = {key: inner for key, inner in node.value.items() if key != EACH}
    elif isinstance(node.value, dict) and len(node.value) == 1:
        ((name, inner),) = node.value.items()
        names = [(name, inner.name_at)]
        if isinstance(inner.value, dict):
            block = inner.value
        elif inner.value is not None:
            problems.add(inner.at, must_be(f"what stands under {name!r}", "a mapping of its parameters", plain(inner)))
    else:
        problems.add(*_malformed(node))
        return
    for name, where in names:
        named[name] = None
        try:
            method = registry.method(name)
        except UserError as error:
            problems.add(where, str(error))
            continue
        yield Entry(method, where, block)


def _each(node: Node, problems: Problems) -> list[tuple[str, Location]]:
    if not isinstance(node.value, list) or not node.value:
        problems.add(node.at, must_be("'each'", "a list of methods' names", plain(node)))
        return []
    names = []
    for entry in node.value:
        if isinstance(entry.value, str):
            names.append((entry.value, entry.at))
        else:
            problems.add(entry.at, must_be("an entry of 'each'", "a method's name", plain(entry)))
    return names


def _malformed(node: Node) -> tuple[Location, str]:
    if isinstance(node.value, dict) and len(node.value) > 1:
        (first, inner), (second, misplaced) = list(node.value.items())[:2]
        if inner.value is None:
            return misplaced.name_at, f"{second!r} stands beside {first!r}; indent it further to put it under {first!r}"
        return (
            misplaced.name_at,
            f"an entry names one method: put {second!r} under {first!r}, or use `each: [METHOD, …]`",
        )
    return node.at, must_be("an entry of 'methods'", "a method's name or `METHOD: {…}`", plain(node))


def _drafts(entry: Entry, axes: Sequence[Axis], base: Cell, problems: Problems) -> Iterator[Draft]:
    """The points of one entry's grid; the last axis of the file varies fastest."""
    method = entry.method
    strength = method.strength
    candidates = next((axis for axis in axes if axis.key == strength), None)
    solve: Solve | None = None
    if candidates is not None and isinstance(only := candidates.choices[0], Node) and asks_to_solve(only):
        solve = solve_of(method, only, problems)
        if solve is None:
            return
        first = replace(only, value=solve.start)
        axes = [replace(axis, choices=[first]) if axis is candidates else axis for axis in axes]
    tested: dict[str, dict[str, Any] | None] = {}
    for point in itertools.product(*(axis.choices for axis in axes)):
        chosen = dict(zip((axis.key for axis in axes), point, strict=True))
        nodes = {key: choice for key, choice in chosen.items() if isinstance(choice, Node) and key not in HARNESS_KEYS}
        target, spread = chosen.get("budget"), chosen.get("allocate")
        assert target is None or isinstance(target, Target)
        assert spread is None or isinstance(spread, Spread)
        if not _consistent(entry, target, spread, problems):
            continue
        params = _params(entry, nodes, tested, problems)
        if params is None:
            continue
        cuts = chosen.get("cuts")
        cell = replace(
            base,
            params=params,
            shown=tuple(nodes),
            budget=Budget(target.metric, target.value) if target and target.metric != "match" else None,
            allocate=spread.mode if spread else "uniform",
            normalise=spread.normalise if spread else "mean",
            profile=spread.profile if spread else None,
            cuts=cuts if isinstance(cuts, tuple) else base.cuts,
        ).in_track(_track(chosen.get("track")))
        varying = [_place(choice) for axis, choice in zip(axes, point, strict=True) if len(axis.choices) > 1]
        draft = Draft(
            cell=cell,
            at=entry.at,
            varying=tuple(place for place in varying if place),
            match=(target.partner, target.at) if target and target.partner is not None else None,
            widths_of=(spread.partner, spread.at) if spread and spread.partner is not None else None,
        )
        if solve is not None:
            if target is None:
                problems.add(entry.at, f"{method.name}: `solve` needs a budget to land on: add `budget: {{macs: 0.5}}`")
                continue
            shown = tuple(name for name in cell.shown if name != strength)
            yield replace(draft, cell=replace(cell, shown=shown, solve=solve))
        elif target is None or strength is None or method.takes_budget != "optional":
            yield draft
        elif candidates is None:
            yield replace(draft, candidates=(_natural(cell, strength, params),))
        elif nodes[strength] is candidates.choices[0]:
            # The values of the strength are no axis here: the first point stands for all of them.
            natural = []
            for choice in candidates.choices:
                assert isinstance(choice, Node)
                values = _params(entry, {**nodes, strength: choice}, tested, problems)
                if values is not None:
                    natural.append(_natural(cell, strength, values))
            stated = tuple(name for name in cell.shown if name != strength)
            yield replace(draft, cell=replace(cell, shown=stated), candidates=tuple(natural))


def _track(choice: object) -> Track:
    """The track that a point states; the default's in place of one that is wrong, which has been said."""
    value = choice.value if isinstance(choice, Node) else choice
    return next((track for track in TRACKS if track == value), DEFAULT_TRACK)


def _scratch(entry: Entry, problems: Problems) -> tuple[Scratch, ...]:
    """The controls of each of the entry's cells."""
    modes = scratch_modes(entry.block, problems)
    if modes and entry.method.starts_from == "scratch":
        what = f"{entry.method.name} takes no 'scratch': it trains new weights already"
    elif modes and entry.method.takes_budget == "refused":
        what = f"{entry.method.name} takes no 'scratch': nothing is cut that could be trained anew"
    else:
        return modes
    problems.add(entry.block["scratch"].name_at, what)
    return ()


def _natural(cell: Cell, strength: str, params: dict[str, Any]) -> Cell:
    """The cell as its strength alone makes it, without a budget."""
    stated = cell.shown if strength in cell.shown else (*cell.shown, strength)
    return replace(cell, params=params, shown=stated, budget=None, allocate="uniform", normalise="mean", profile=None)


def _consistent(entry: Entry, target: Target | None, spread: Spread | None, problems: Problems) -> bool:
    name, rule = entry.method.name, entry.method.takes_budget
    takes_widths = spread is not None and spread.partner is not None
    before = len(problems)
    if rule == "refused":
        for key, given in (("budget", target is not None), ("allocate", spread is not None)):
            if given:
                problems.add(entry.block[key].name_at, f"{name} takes no {key!r}: it decides by itself what is kept")
    elif entry.method.chooses_widths and spread is not None:
        problems.add(entry.block["allocate"].name_at, f"{name} takes no 'allocate': it searches the widths by itself")
    elif target is not None and takes_widths:
        assert spread is not None
        problems.add(
            spread.at, f"{name}: `budget` and `allocate: {{from: …}}` exclude each other, since widths set the cost"
        )
    elif target is None and not takes_widths:
        if rule == "required" and (spread is None or spread.profile is None):
            problems.add(
                entry.at,
                f"{name} needs a budget: add `budget: {{macs: 0.5}}`, `budget: {{match: METHOD}}` "
                "or `allocate: {from: METHOD}`",
            )
        elif rule == "optional" and spread is not None and spread.mode != "uniform":
            problems.add(spread.at, f"{name}: 'allocate' spreads a budget over the layers, and there is no budget here")
    return len(problems) == before


def _params(
    entry: Entry, nodes: dict[str, Node], tested: dict[str, dict[str, Any] | None], problems: Problems
) -> dict[str, Any] | None:
    """The method's validated parameters with defaults filled in, or None after noting what is wrong."""
    key = json.dumps({name: plain(node) for name, node in nodes.items()})
    if key not in tested:
        stated = Node(nodes, entry.at)
        params = validated(entry.method.Params, stated, problems, subject=entry.method.name)
        tested[key] = None if params is None else params.model_dump(mode="json")
    return tested[key]


def _place(choice: object) -> Location | None:
    return choice.at if isinstance(choice, Node | Target | Spread) else None
