"""Reads `lambda_a: solve`: the strength is not stated but searched for, until the outcome lands on the budget."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from harness.method import Method
from harness.suite.cell import Solve
from harness.suite.problems import Problems
from harness.suite.source import Node
from harness.suite.wording import must_be, validated

SOLVE = "solve"


class SolveBlock(BaseModel):
    """What may stand under `solve`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    within: Annotated[float, Field(gt=0, lt=1, description="how far from the budget, as a share of it")] = 0.02
    searches: Annotated[int, Field(ge=1, le=64, description="how many searches at most")] = 8
    start: Annotated[float | None, Field(gt=0, description="the first strength; default: the method's")] = None


def asks_to_solve(node: Node) -> bool:
    """Whether a strength's value is `solve`, or a mapping that begins with it."""
    return node.value == SOLVE or (isinstance(node.value, dict) and SOLVE in node.value)


def solve_of(method: type[Method], node: Node, problems: Problems) -> Solve | None:
    """How the strength is to be found, or None after noting what is wrong with `node`."""
    name = method.strength
    assert name is not None
    block = Node({}, node.at)
    if isinstance(node.value, dict):
        for key, inner in node.value.items():
            if key != SOLVE:
                problems.add(inner.name_at, f"{key!r} stands beside 'solve'; put it under 'solve'")
                return None
        block = node.value[SOLVE]
        if not isinstance(block.value, dict):
            problems.add(block.at, must_be("'solve'", "a mapping such as {within: 0.02, searches: 8}", block.value))
            return None
    stated = validated(SolveBlock, block, problems, subject="solve")
    if stated is None:
        return None
    start = stated.start if stated.start is not None else method.Params.model_fields[name].default
    if isinstance(start, bool) or not isinstance(start, int | float) or start <= 0:
        problems.add(node.name_at, f"{method.name}: {name!r} has no default above 0; add `solve: {{start: …}}`")
        return None
    return Solve(stated.within, stated.searches, float(start))
