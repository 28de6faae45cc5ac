"""Layer by layer down to the budget (Yang et al., NetAdapt, ECCV 2018)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.errors import StageFailure
from harness.method import Evaluate, Paper, SearchMethod, SearchParams, Task

if TYPE_CHECKING:
    from harness.channels.space import WidthSpace


class NetAdaptParams(SearchParams):
    """Parameters of `netadapt`."""

    epochs: Annotated[float, Field(ge=0, le=100, description="of each proposal's short-term fine-tuning")] = 0.1
    iterations: Annotated[
        int, Field(ge=1, le=10_000, description="in which the budget is met; more where no layer has so much to give")
    ] = 8
    decay: Annotated[float, Field(gt=0, le=1, description="of the cost that an iteration cuts, an iteration")] = 0.96


class NetAdapt(SearchMethod):
    """Every iteration cuts a fixed cost from the one layer that can best do without.

    Each layer proposes to give it alone; the most accurate proposal on held-out images is taken. Proposals inherit the
    weights that the last one taken was fine-tuned to, and keep the filters of largest L2 norm.
    """

    name = "netadapt"
    title = "NetAdapt"
    Params = NetAdaptParams
    norm = 2
    paper = Paper(
        "Yang, Howard, Chen, Zhang, Go, Sandler, Sze, Adam",
        "NetAdapt: Platform-Aware Neural Network Adaptation for Mobile Applications",
        "ECCV",
        2018,
    )

    def search(self, task: Task, evaluate: Evaluate, space: WidthSpace) -> Mapping[str, int]:
        """Narrows one layer an iteration until the budget is met; what the last one cut too much goes back."""
        params = task.params
        widths = dict(space.sizes)
        cost = space.settled_cost(widths)
        steps = cuts(cost - space.target, params.iterations, params.decay)
        while cost > space.target:
            step = max(1, next(steps, cost - space.target))
            for proposal in proposals(space, widths, cost, step):
                evaluate(proposal, params.fidelity)
            widths = evaluate.adopt_best()
            cost = space.settled_cost(widths)
        return space.filled(widths)


def cuts(whole: int, iterations: int, decay: float) -> Iterator[int]:
    """What each iteration cuts: `iterations` counts, each `decay` times the one before, that sum up to `whole`."""
    weights = [decay**number for number in range(iterations)]
    reached = [round(whole * sum(weights[:number]) / sum(weights)) for number in range(iterations)]
    yield from (later - earlier for earlier, later in itertools.pairwise([*reached, whole]))


def proposals(space: WidthSpace, widths: Mapping[str, int], cost: int, step: int) -> list[dict[str, int]]:
    """For each layer, the widths that cut `step` (or what is above the budget, if that is less) from it alone.

    Each is the widest that does. A layer that has not so much to give makes no proposal; if none has, all are asked
    for half as much, and so on.

    Raises:
        StageFailure: "out of reach" if no layer alone can be narrowed.
    """
    while step > 0:
        most = max(space.target, cost - step)
        found = [space.narrowed(widths, group, most) for group in space.sizes]
        if any(found):
            return [proposal for proposal in found if proposal is not None]
        step //= 2
    raise StageFailure("out of reach", f"no layer alone can be narrowed at a cost of {cost:,}; target {space.target:,}")
