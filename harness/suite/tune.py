"""Reads the entries `tune: {method: …, space: …}`: which parameters of a method are tried, and what is made of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from harness import registry
from harness.errors import Location, UserError, unknown
from harness.method import Method
from harness.suite.axes import HARNESS_KEYS
from harness.suite.partners import Draft
from harness.suite.problems import Problems
from harness.suite.recipe import Recipe
from harness.suite.source import Node, parse, plain
from harness.suite.study import Domain, DomainKind, Objective, Scalar, Stopping, Study, Tuned
from harness.suite.wording import must_be, shown, unknown_key, validated

TUNE = "tune"
_KINDS: dict[DomainKind, str] = {
    "loguniform": "(low, high)",
    "uniform": "(low, high)",
    "quniform": "(low, high, step)",
    "randint": "(low, high)",
    "choice": "(value, …)",
}
_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\((.*)\)\s*", re.DOTALL)
_OPEN_CALL = re.compile(r"\s*[A-Za-z_]\w*\s*\([^)]*")
_RANGE = "a range such as loguniform(1e-5, 1e-3), or {loguniform: [1e-5, 1e-3]}"


class AshaBlock(BaseModel):
    """When a trial ends early."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grace: Annotated[int | None, Field(ge=1, description="epochs of fine-tuning before a trial may be stopped")] = None
    reduction: Annotated[int, Field(ge=2, le=100, description="one trial in so many passes a rung")] = 3


class TuneBlock(BaseModel):
    """What may stand under `tune`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    method: str
    space: dict[str, Any]
    params: Annotated[dict[str, Any], Field(description="other parameters of the method, the same in all trials")] = {}
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1, max_length=3)] = ("top1",)
    trials: Annotated[int, Field(ge=1, le=10_000)]
    best: Annotated[int | None, Field(ge=1, le=100, description="how many configurations become cells at most")] = None
    parallel: Annotated[int, Field(ge=1, le=1000, description="how many trials may run at once")] = 4
    asha: Annotated[AshaBlock | bool | None, Field(description="end trials early; default: with one objective")] = None
    finetune: Annotated[int | None, Field(ge=1, description="epochs of a trial's fine-tuning")] = None
    seed: Annotated[int | None, Field(ge=0, lt=2**31, description="of the trials; default: the suite's first")] = None
    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")] = "tuned"
    budget: Any = None
    allocate: Any = None
    cuts: Any = None
    track: Any = None


DraftsOf = Callable[[type[Method], Location, dict[str, Node]], list[Draft]]
"""The points of the grid that a method's block declares."""


def asks_to_tune(node: Node) -> bool:
    """Whether an entry under `methods:` is a study."""
    return isinstance(node.value, dict) and TUNE in node.value


def tuned_drafts(node: Node, named: dict[str, None], drafts_of: DraftsOf, problems: Problems) -> Iterator[Draft]:
    """One draft for each configuration that the study may choose; `named` collects the method's name.

    Args:
        node: the entry.
        named: the methods that the suite names.
        drafts_of: reads a method's block, with values of the space standing in.
        problems: where what is wrong is noted.
    """
    assert isinstance(node.value, dict)
    for key, inner in node.value.items():
        if key != TUNE:
            problems.add(inner.name_at, f"{key!r} stands beside 'tune'; put it under 'tune'")
            return
    stated = node.value[TUNE]
    if isinstance(stated.value, dict) and "method" in stated.value and isinstance(stated.value["method"].value, str):
        named[stated.value["method"].value] = None
    block = validated(TuneBlock, stated, problems, subject=TUNE)
    if block is None:
        return
    assert isinstance(stated.value, dict)
    entries = stated.value
    try:
        method = registry.method(block.method)
    except UserError as error:
        problems.add(entries["method"].at, str(error))
        return
    before = len(problems)
    if not block.space:
        problems.add(entries["space"].at, "'space' must name at least one parameter to vary")
    space = dict(_space(method, entries["space"], problems))
    if len(problems) == before:
        yield from _drafts(method, block, entries, space, drafts_of, problems)


def _drafts(
    method: type[Method],
    block: TuneBlock,
    entries: dict[str, Node],
    space: dict[str, tuple[Domain, Node]],
    drafts_of: DraftsOf,
    problems: Problems,
) -> Iterator[Draft]:
    before = len(problems)
    own = entries["params"].value if "params" in entries else {}
    fixed: dict[str, Node] = own if isinstance(own, dict) else {}
    for name in sorted(set(fixed) & set(space)):
        problems.add(fixed[name].name_at, f"{name!r} is in the space of the study, too")
    for name in sorted(set(fixed) & set(HARNESS_KEYS)):
        problems.add(fixed[name].name_at, f"{name!r} is no parameter of {method.name}; put it directly under 'tune'")
    _check_ends(method, fixed, space, problems)
    if "top1" not in block.objectives or len(set(block.objectives)) < len(block.objectives):
        problems.add(entries["objectives"].at, "'objectives' must state top1, and none of macs and params twice")
    if len(problems) > before:
        return
    standing_in = {name: Node(domain.values[0], at.at, at.key_at) for name, (domain, at) in space.items()}
    harness = {key: entries[key] for key in HARNESS_KEYS if key in entries and entries[key].value is not None}
    points = drafts_of(method, entries["method"].at, {**fixed, **standing_in, **harness})
    if len(problems) > before:
        return
    if len(points) != 1:
        problems.add(entries["method"].at, f"a study has one grid point, not {len(points)}; write one `tune` for each")
        return
    (point,) = points
    if point.partner is not None:
        problems.add(point.partner[1], "a study's budget is a share or a count: trials have no partner to match")
        return
    if point.cell.solve is not None:
        problems.add(entries["params"].at, "a study cannot have a strength to solve for")
        return
    recipe = _recipe(point.cell.recipe, block.finetune, entries, problems)
    if recipe is None:
        return
    trial = replace(
        point.cell,
        recipe=recipe,
        candidates=tuple(replace(candidate, recipe=recipe) for candidate in point.candidates),
    )
    several = len(block.objectives) > 1
    stopping = _stopping(block, recipe.epochs.finetune, several)
    if stopping is not None and stopping.grace > recipe.epochs.finetune:
        grace, epochs = stopping.grace, recipe.epochs.finetune
        problems.add(entries["asha"].at, f"'grace' is at most a trial's {epochs} epochs of fine-tuning, not {grace}")
        return
    study = Study(
        name=block.name,
        space=tuple((name, domain) for name, (domain, _) in space.items()),
        objectives=block.objectives,
        trials=block.trials,
        best=block.best if block.best is not None else 3 if several else 1,
        parallel=block.parallel,
        stopping=stopping,
        seed=block.seed,
        trial=trial,
    )
    for rank in range(min(study.best, study.trials)):
        cell = replace(point.cell, shown=tuple(space), tuned=Tuned(study, rank))
        yield replace(point, cell=cell, candidates=())


def _recipe(recipe: Recipe, finetune: int | None, entries: dict[str, Node], problems: Problems) -> Recipe | None:
    """The recipe of trials: held-out images are held out, and fine-tuning may be shorter, on the same schedule."""
    epochs = recipe.epochs
    if finetune is not None:
        if finetune > epochs.finetune:
            at = entries["finetune"].at
            problems.add(at, f"a trial's fine-tuning is at most the recipe's {epochs.finetune} epochs, not {finetune}")
            return None
        epochs = epochs.model_copy(update={"finetune": finetune, "baseline": epochs.schedule})
    if epochs.finetune == 0:
        problems.add(entries["method"].at, "a study judges trials after fine-tuning, and the recipe has none")
        return None
    # a trial has one curve: the rate is chosen for the cells that the study leads to
    rate = "base" if recipe.finetune_lr == "choose" else recipe.finetune_lr
    return recipe.model_copy(
        update={"all_train": False, "record_test_curve": False, "epochs": epochs, "finetune_lr": rate}
    )


def _stopping(block: TuneBlock, epochs: int, several: bool) -> Stopping | None:
    if block.asha is False or (block.asha is None and several):
        return None
    stated = block.asha if isinstance(block.asha, AshaBlock) else AshaBlock()
    return Stopping(stated.grace if stated.grace is not None else -(-epochs // stated.reduction**2), stated.reduction)


def _space(method: type[Method], node: Node, problems: Problems) -> Iterator[tuple[str, tuple[Domain, Node]]]:
    assert isinstance(node.value, dict)
    known = list(method.Params.model_fields)
    for name, stated in rejoined(node.value).items():
        if name not in known:
            problems.add(stated.name_at, f"{method.name}: {unknown_key(name, known)}")
            continue
        domain = _domain(name, stated, problems)
        if domain is not None:
            yield name, (domain, stated)


def rejoined(block: dict[str, Node]) -> dict[str, Node]:
    """The entries of a mapping in which `{a: uniform(1, 2)}` reads as it is meant.

    Between braces YAML ends a value at a comma, so that it reads `a: "uniform(1"` and a key `2)` without a value.
    """
    found: dict[str, Node] = {}
    open_at: str | None = None
    for key, node in block.items():
        if open_at is not None and node.value is None:
            found[open_at] = replace(found[open_at], value=f"{found[open_at].value}, {key}")
            open_at = None if key.rstrip().endswith(")") else open_at
            continue
        found[key] = node
        open_at = key if isinstance(node.value, str) and _OPEN_CALL.fullmatch(node.value) else None
    return found


def _domain(name: str, node: Node, problems: Problems) -> Domain | None:
    if isinstance(node.value, str):
        call = _CALL.fullmatch(node.value)
        if call is None:
            problems.add(node.at, must_be(repr(name), _RANGE, node.value))
            return None
        kind, inside = call.groups()
        inner = parse(f"[{inside}]", problems.file, Problems(problems.file))
        values = plain(inner) if inner is not None else None
    elif isinstance(node.value, dict) and len(node.value) == 1:
        ((kind, inner),) = node.value.items()
        values = plain(inner)
    else:
        problems.add(node.at, must_be(repr(name), _RANGE, plain(node)))
        return None
    if kind not in _KINDS:
        problems.add(node.at, f"{name!r}: {unknown('kind of range', kind, _KINDS)}")
        return None
    wrong = _wrong(kind, values)
    if wrong or not isinstance(values, list):
        problems.add(node.at, f"{name!r}: {kind}{_KINDS[kind]} {wrong}")
        return None
    return Domain(kind, tuple(values))


def _wrong(kind: DomainKind, values: object) -> str | None:
    """What is wrong with the values of a range, or None."""
    if not isinstance(values, list) or not all(isinstance(value, Scalar) for value in values):
        return "needs plain values"
    if kind == "choice":
        if not values:
            return "needs at least one value"
        return "has a value twice" if len({str(value) for value in values}) < len(values) else None
    wanted = 3 if kind == "quniform" else 2
    if len(values) != wanted:
        return f"takes {wanted} numbers, not {len(values)}"
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int if kind == "randint" else int | float):
            return f"takes {'whole ' if kind == 'randint' else ''}numbers, not {shown(value)}"
    low, high = values[:2]
    if low >= high:
        return f"needs low below high, and {low:g} is not below {high:g}"
    if kind == "loguniform" and low <= 0:
        return f"needs a low end above 0, not {low:g}"
    if kind == "quniform" and not 0 < values[2] <= high - low:
        return f"needs a step above 0 that fits between its ends, not {values[2]:g}"
    return None


def _check_ends(
    method: type[Method], fixed: dict[str, Node], space: dict[str, tuple[Domain, Node]], problems: Problems
) -> None:
    """Notes what the method's parameters refuse: of the first values together, then of each other end by itself."""
    first = {name: Node(domain.values[0], node.at, node.key_at) for name, (domain, node) in space.items()}
    at = next(iter(space.values()))[1].at
    stated = {**fixed, **first}
    if validated(method.Params, Node(stated, at), problems, subject=method.name) is None:
        return
    for name, (domain, node) in space.items():
        others = domain.values[1:] if domain.kind == "choice" else domain.values[1:2]
        for value in others:
            end = value - 1 if domain.kind == "randint" and isinstance(value, int) else value
            changed = {**stated, name: Node(end, node.at, node.key_at)}
            validated(method.Params, Node(changed, at), problems, subject=method.name)
        between = _between(domain)
        changed = {**stated, name: Node(between, node.at, node.key_at)}
        if between is not None and validated(method.Params, Node(changed, at), Problems(problems.file)) is None:
            problems.add(
                node.at,
                f"{name!r}: {domain.kind} draws values such as {between:.4g}, which {method.name} refuses; "
                "randint(low, high) draws whole numbers",
            )


def _between(domain: Domain) -> float | None:
    """A value inside a range of numbers that its ends do not speak for."""
    if domain.kind in {"randint", "choice"}:
        return None
    low, high = (float(str(value)) for value in domain.values[:2])
    return low + (float(str(domain.values[2])) if domain.kind == "quniform" else 0.382 * (high - low))
