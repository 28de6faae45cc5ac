"""Tells the axes of a method's grid: which lists under its name are alternatives, and which are one value."""

from __future__ import annotations

import math
import types
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from harness.errors import Location, unknown
from harness.method import Method
from harness.suite.cell import Cut, Mode, Norm, Profile
from harness.suite.problems import Problems
from harness.suite.protocol import SCRATCHES, TRACKS, Scratch, Track
from harness.suite.source import Node, plain
from harness.suite.wording import must_be, shown, unknown_key

HARNESS_KEYS = ("budget", "allocate", "cuts", "track", "scratch")
"""The keys under a method's name that the harness reads; all others are the method's own."""
METRICS = ("macs", "params", "match")
_CUTS: tuple[Cut, ...] = ("inner", "branch", "stream", "fc")
_BUDGET = "a mapping such as {macs: 0.5}, {params: 0.5} or {match: METHOD}"
_NAMED: tuple[Mode, ...] = ("uniform", "global", "per_mac")
_MODES = (*_NAMED, "profile", "from")
_FILLED = ("global", "profile", "from")
"""Modes that are written as a mapping, with what they take."""
_NORMS: tuple[Norm, ...] = ("mean", "l2", "max", "none")
_ALLOCATE = "uniform, global, per_mac, {global: NORM}, {profile: {PATTERN: RATE}} or {from: METHOD}"
_PROFILE = "a mapping of patterns of groups' names to pruning rates, or a list with a rate for each group"


@dataclass(frozen=True)
class Target:
    """One value of `budget`: a cost, or with metric "match" the method whose cost is to be met."""

    metric: Literal["macs", "params", "match"]
    value: float
    partner: str | None
    at: Location


@dataclass(frozen=True)
class Spread:
    """One value of `allocate`: a mode and what it takes.

    Attributes:
        partner: with mode "from", the method whose widths are taken.
        normalise: with mode "global", what each group's scores are divided by.
        profile: with mode "profile", the rates.
    """

    mode: Mode
    at: Location
    partner: str | None = None
    normalise: Norm = "mean"
    profile: Profile | None = None


Choice = Node | Target | Spread | tuple[Cut, ...] | Track


@dataclass(frozen=True)
class Axis:
    """A key under a method's name and the values that the grid tries, at least one."""

    key: str
    choices: Sequence[Choice]


def axes_of(method: type[Method], block: dict[str, Node], problems: Problems) -> list[Axis]:
    """The axes of a method's block in the file's order; a key with a single value is an axis of length one.

    A list is an axis unless the parameter itself takes a list; then a list of lists is one. Keys that neither the
    method nor the harness knows are noted and left out.
    """
    known = [*method.Params.model_fields, *HARNESS_KEYS]
    axes = []
    for key, node in block.items():
        choices: Sequence[Choice]
        if key not in known:
            problems.add(node.name_at, f"{method.name}: {unknown_key(key, known)}")
            continue
        if key == "budget":
            choices = list(_targets(node, problems)) or [Target("macs", 1.0, None, node.at)]
        elif key == "allocate":
            choices = list(_spreads(node, problems))
        elif key == "cuts":
            choices = list(_cuts(node, problems))
        elif key == "track":
            choices = list(_named(key, node, TRACKS, problems))
        elif key == "scratch":
            continue  # no axis: it adds controls to each point
        else:
            field = method.Params.model_fields[key]
            choices = _alternatives(key, node, _list_depth(field.annotation), problems)
        if choices:
            axes.append(Axis(key, choices))
    return axes


def scratch_modes(block: dict[str, Node], problems: Problems) -> tuple[Scratch, ...]:
    """The controls that a block asks for beside each of its cells."""
    node = block.get("scratch")
    found = () if node is None else tuple(_named("scratch", node, SCRATCHES, problems))
    return tuple(mode for mode in SCRATCHES if mode in {entry.value for entry in found})


def _named(key: str, node: Node, known: Sequence[str], problems: Problems) -> Iterator[Node]:
    """The entries of a key that takes names of its own, each stated once."""
    seen: set[str] = set()
    for entry in _alternatives(key, node, 0, problems):
        if not isinstance(entry.value, str):
            problems.add(entry.at, must_be(repr(key), " or ".join(known), plain(entry)))
        elif entry.value not in known:
            problems.add(entry.at, unknown(key, entry.value, known))
        elif entry.value in seen:
            problems.add(entry.at, f"{key} {shown(entry.value)} is stated twice")
        else:
            seen.add(entry.value)
            yield entry


def _alternatives(key: str, node: Node, own_depth: int, problems: Problems) -> list[Node]:
    """The values of an axis: those of a list that is nested deeper than the key's own value may be."""
    if not isinstance(node.value, list) or _depth(node) <= own_depth:
        return [node]
    if not node.value:
        problems.add(node.at, f"{key!r} is an empty list: an axis of the grid needs at least one value")
    return node.value


def _depth(node: Node) -> int:
    return 1 + max(map(_depth, node.value), default=0) if isinstance(node.value, list) else 0


def _list_depth(annotation: Any) -> int:
    """How deep lists may be nested in a value of this type."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return max(map(_list_depth, get_args(annotation)))
    if origin is Literal:
        return 0
    kind = origin or annotation
    if isinstance(kind, type) and issubclass(kind, list | tuple | Set | Sequence) and not issubclass(kind, str | bytes):
        return 1 + max(map(_list_depth, get_args(annotation)), default=0)
    if origin is not None and hasattr(annotation, "__metadata__"):
        return _list_depth(get_args(annotation)[0])
    return 0


def _targets(node: Node, problems: Problems) -> Iterator[Target]:
    for entry in _alternatives("budget", node, 0, problems):
        if not isinstance(entry.value, dict) or not entry.value:
            problems.add(entry.at, must_be("'budget'", _BUDGET, plain(entry)))
            continue
        strange = [(key, inner) for key, inner in entry.value.items() if key not in METRICS]
        for key, inner in strange:
            problems.add(inner.name_at, f"budget: {unknown_key(key, METRICS)}")
        if len(entry.value) > 1 and not strange:
            second = list(entry.value.values())[1]
            problems.add(second.name_at, f"'budget' states one of {', '.join(METRICS)}, not several; list alternatives")
        elif not strange:
            ((key, value),) = entry.value.items()
            for choice in _alternatives(key, value, 0, problems):
                if key == "match":
                    yield from _matched(choice, problems)
                else:
                    yield from _counted("macs" if key == "macs" else "params", choice, problems)


def _matched(node: Node, problems: Problems) -> Iterator[Target]:
    if isinstance(node.value, str):
        yield Target("match", 0.0, node.value, node.at)
    else:
        problems.add(node.at, must_be("'match'", "the name of a method of this suite", plain(node)))


def _counted(metric: Literal["macs", "params"], node: Node, problems: Problems) -> Iterator[Target]:
    value = node.value
    name = repr(metric)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
        hint = "; write 50% as 0.5" if isinstance(value, str) and value.endswith("%") else ""
        problems.add(node.at, must_be(name, "a number", plain(node)) + hint)
    elif value <= 0:
        problems.add(node.at, must_be(name, "above 0", value))
    elif value > 1 and value != int(value):
        expected = f"a share of at most 1, or a whole number of {'MACs' if metric == 'macs' else 'parameters'}"
        problems.add(node.at, must_be(name, expected, value))
    else:
        yield Target(metric, float(value), None, node.at)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _spreads(node: Node, problems: Problems) -> Iterator[Spread]:
    for entry in _alternatives("allocate", node, 0, problems):
        if not isinstance(entry.value, dict):
            named = next((mode for mode in _NAMED if mode == entry.value), None)
            if named is not None:
                yield Spread(named, entry.at)
            elif isinstance(entry.value, str) and entry.value not in _MODES:
                problems.add(entry.at, unknown("allocation", entry.value, _MODES))
            else:
                problems.add(entry.at, must_be("'allocate'", _ALLOCATE, plain(entry)))
            continue
        mode = next((key for key in entry.value if key in _FILLED), None)
        known = _FILLED if mode is None else (mode, "most") if mode == "profile" else (mode,)
        strange = [(key, inner) for key, inner in entry.value.items() if key not in known]
        for key, inner in strange:
            problems.add(inner.name_at, f"allocate: {unknown_key(key, known)}")
        if strange:
            continue
        if mode is None:
            problems.add(entry.at, must_be("'allocate'", _ALLOCATE, plain(entry)))
        elif mode == "profile":
            yield from _profiles(entry.value["profile"], entry.value.get("most"), problems)
        else:
            for choice in _alternatives(mode, entry.value[mode], 0, problems):
                yield from _taken(choice, problems) if mode == "from" else _global(choice, problems)


def _taken(node: Node, problems: Problems) -> Iterator[Spread]:
    if isinstance(node.value, str):
        yield Spread("from", node.at, partner=node.value)
    else:
        problems.add(node.at, must_be("'from'", "the name of a method of this suite", plain(node)))


def _global(node: Node, problems: Problems) -> Iterator[Spread]:
    for norm in _NORMS:
        if node.value == norm:
            yield Spread("global", node.at, normalise=norm)
            return
    if isinstance(node.value, str):
        problems.add(node.at, unknown("norm", node.value, _NORMS))
    else:
        problems.add(node.at, must_be("'global'", f"one of {', '.join(_NORMS)}", plain(node)))


def _profiles(node: Node, most: Node | None, problems: Problems) -> Iterator[Spread]:
    before = len(problems)
    largest = 1.0 if most is None else _rate("most", most, problems)
    listed = isinstance(node.value, list) and any(isinstance(each.value, dict | list) for each in node.value)
    for entry in node.value if isinstance(node.value, list) and listed else [node]:
        rates: list[tuple[str | None, float]]
        if isinstance(entry.value, dict):
            rates = [(key, _rate(key, inner, problems)) for key, inner in entry.value.items()]
        elif isinstance(entry.value, list):
            rates = [(None, _rate("profile", inner, problems)) for inner in entry.value]
        else:
            rates = []
        if len(problems) == before and not any(rate > 0 for _, rate in rates):
            problems.add(entry.at, must_be("'profile'", f"{_PROFILE}, one of them above 0", plain(entry)))
        if len(problems) == before:
            yield Spread("profile", entry.at, profile=Profile(tuple(rates), largest))


def _rate(key: str, node: Node, problems: Problems) -> float:
    """A share of channels from 0 to below 1 (for "most", above 0 and up to 1)."""
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
        hint = "; write 50% as 0.5" if isinstance(value, str) and value.endswith("%") else ""
        problems.add(node.at, must_be(repr(key), "a share of channels that go", plain(node)) + hint)
    elif key == "most" and not 0 < value <= 1:
        problems.add(node.at, must_be(repr(key), "above 0 and at most 1", value))
    elif key != "most" and not 0 <= value < 1:
        problems.add(node.at, must_be(repr(key), "from 0 to below 1", value))
    else:
        return float(value)
    return 0.0


def _cuts(node: Node, problems: Problems) -> Iterator[tuple[Cut, ...]]:
    for entry in _alternatives("cuts", node, 1, problems):
        if not isinstance(entry.value, list) or not entry.value:
            problems.add(entry.at, must_be("'cuts'", f"a list of {', '.join(_CUTS)}", plain(entry)))
            continue
        before = len(problems)
        stated = []
        for kind in entry.value:
            if not isinstance(kind.value, str):
                problems.add(kind.at, must_be("an entry of 'cuts'", f"one of {', '.join(_CUTS)}", plain(kind)))
            elif kind.value not in _CUTS:
                problems.add(kind.at, unknown("kind of cut", kind.value, _CUTS))
            elif kind.value in stated:
                problems.add(kind.at, f"cut {shown(kind.value)} is stated twice")
            else:
                stated.append(kind.value)
        if len(problems) == before:
            yield tuple(cut for cut in _CUTS if cut in stated)
