"""What `sss`, `network_slimming` and `gal` share: weights and gates train together, a channel at zero goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from harness.method import GateMethod, Gates, Params, Task

if TYPE_CHECKING:
    from torch import Tensor

Fraction = Annotated[float, Field(gt=0, lt=1)]

CLOSED = 1e-20
"""What a closed gate lets through: nothing in float32, but the gradient of a gate behind the activation.

A gate folded into batch norm stands before the ReLU, whose derivative at exactly zero is zero: a gate that once closed
could never open. For g > 0 relu(g · y) = g · relu(y), so that a gate this small has the right gradient.
"""


class GateSearchParams(Params):
    """How a search trains."""

    epochs: Annotated[int | None, Field(ge=1, description="search epochs; default: the recipe's")] = None
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.1
    milestones: Annotated[
        tuple[Fraction, ...], Field(description="where the learning rate falls, as fractions of the search")
    ] = ()
    decay: Annotated[float, Field(gt=0, le=1, description="factor at each milestone")] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0, lt=1, description="of the weights; gates have none")] = 1e-4


Granularity = Annotated[
    Literal["channel", "block"],
    Field(description="one gate a channel, or one for each residual branch, which goes as a whole"),
]


class GateSearch(GateMethod):
    """A gate is its scalar, at least zero; what is at exactly zero goes, the rest is multiplied into the weights."""

    folds: ClassVar[bool] = True
    reopens: ClassVar[bool] = True

    @classmethod
    def search_epochs(cls, params: Any, recipe_epochs: int) -> int:
        """The recipe's search epochs, unless the parameters say otherwise."""
        return int(params.epochs or recipe_epochs)

    @classmethod
    def learning_rates(cls, params: GateSearchParams, epochs: int) -> list[float]:
        """One an epoch: the first, times `decay` from each milestone on."""
        passed = [sum(epoch >= place * epochs for place in params.milestones) for epoch in range(epochs)]
        return [params.learning_rate * params.decay**count for count in passed]

    def by_branch(self, task: Task) -> bool:
        """Under `granularity: block`."""
        return getattr(task.params, "granularity", "channel") == "block"

    def initial_value(self, task: Task) -> float:
        """Open."""
        del task
        return 1.0

    def gate(self, values: Tensor, state: Mapping[str, float]) -> Tensor:
        """The scalar; the addend is below the last digit of any scalar but zero."""
        del state
        return values + CLOSED

    def keeps(self, task: Task, values: Tensor, state: Mapping[str, float]) -> Tensor:
        """Above zero."""
        del task, state
        return values > 0


class GateGradients:
    """Takes the gates' gradients out of the optimiser's reach: gates have a step of their own and no weight decay."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates
        self.of: dict[str, Tensor] = {}

    def take(self) -> None:
        """After the backward pass; a gate that the loss did not reach has none."""
        for name, values in self._gates.values.items():
            if values.grad is not None:
                self.of[name] = values.grad
            else:
                self.of.pop(name, None)
            values.grad = None
