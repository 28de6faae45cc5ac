"""DNAL: channel gates by a scaled sigmoid that is annealed into a step (Guo et al., Pattern Recognition 126, 2022).

The gate of a channel is sigmoid(δ·s): s is learned, δ grows from 1 to 10,000 over the search, so that a gate which
begins at one half ends at nought or one. A constant push on s, the penalty, sets how many end at nought.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from harness.method import GateMethod, Gates, Paper, Params, Task

if TYPE_CHECKING:
    from torch import Tensor, nn


class DnalParams(Params):
    """Parameters of `dnal`; the defaults are those of the paper's code."""

    lambda_a: Annotated[float, Field(ge=0, le=1, description="strength of the penalty, in the paper's units")] = 1e-4
    scale_lambda: Annotated[bool, Field(description="scale λ so that a recipe of other length pushes as far")] = True
    reference_epochs: Annotated[int, Field(ge=1, description="search epochs of the protocol that λ's units are of")] = (
        20
    )
    reference_steps: Annotated[int, Field(ge=1, description="steps an epoch of that protocol")] = 782
    epochs: Annotated[int | None, Field(ge=1, description="search epochs; default: the recipe's")] = None
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    rebuild_momentum: Annotated[bool, Field(description="the optimiser starts each epoch without momentum")] = True
    delta_initial: Annotated[float, Field(gt=0)] = 1.0
    delta_final: Annotated[float, Field(gt=0)] = 1e4
    delta_schedule: Literal["exponential", "linear", "constant"] = "exponential"
    delta_in_penalty: Annotated[bool, Field(description="penalise sigmoid(δ·s); the paper's code has sigmoid(s)")] = (
        False
    )
    initial: Annotated[float, Field(description="where every s starts")] = 0.0
    threshold: Annotated[float, Field(gt=0, lt=1, description="a channel stays if its gate is larger")] = 0.9
    train_classifier: Annotated[bool, Field(description="linear layers and their batch norm train in the search")] = (
        True
    )
    train_batch_norm: Annotated[bool, Field(description="γ and β of the convolutions' batch norm train too")] = False
    train_convolutions: Annotated[bool, Field(description="convolutions train in the search too")] = False
    update_statistics: Annotated[bool, Field(description="batch norm's running statistics move in the search")] = True


def effective_steps(steps: int, momentum: float, rebuilt: bool) -> float:
    """How many steps of full momentum an epoch of `steps` is worth; momentum that starts at zero costs some."""
    if not rebuilt:
        return float(steps)
    return steps - momentum / (1 - momentum) * (1 - momentum**steps)


class Dnal(GateMethod):
    """Differentiable neural architecture learning."""

    name = "dnal"
    title = "DNAL"
    paper = Paper(
        "Guo, Wu, Kittler, Feng",
        "Differentiable Neural Architecture Learning for Efficient Neural Networks",
        "Pattern Recognition 126",
        2022,
    )
    Params = DnalParams
    strength = "lambda_a"

    @classmethod
    def search_epochs(cls, params: Any, recipe_epochs: int) -> int:
        """The recipe's search epochs, unless the parameters say otherwise."""
        return int(params.epochs or recipe_epochs)

    @classmethod
    def strength_factor(cls, params: Any, steps_per_epoch: int, recipe_epochs: int) -> float:
        """The factor on λ that keeps λ · steps · learning rate / (1 - momentum) as in the protocol of λ's units."""
        if not params.scale_lambda:
            return 1.0
        epochs = cls.search_epochs(params, recipe_epochs)
        here = epochs * effective_steps(steps_per_epoch, params.momentum, params.rebuild_momentum)
        there = params.reference_epochs * effective_steps(params.reference_steps, 0.9, True)
        return float((there / here) * (0.01 / params.learning_rate) * ((1 - params.momentum) / (1 - 0.9)))

    def initial_value(self, task: Task) -> float:
        """The parameters' start: 0 makes every gate one half."""
        return float(task.params.initial)

    def gate(self, values: Tensor, state: Mapping[str, float]) -> Tensor:
        """sigmoid(δ·s)."""
        import torch

        return torch.sigmoid(state["delta"] * values)

    def penalty(self, task: Task, gates: Gates) -> Tensor:
        """λ · Σ sigmoid(s) over all channels, each at the same price."""
        import torch

        factor = self.strength_factor(task.params, task.steps_per_epoch, task.epochs)
        scale = gates.state["delta"] if task.params.delta_in_penalty else 1.0
        strength = float(task.params.lambda_a) * factor
        return strength * torch.sigmoid(scale * torch.cat(list(gates.values.values()))).sum()

    def delta(self, params: DnalParams, epoch: int, epochs: int) -> float:
        """δ in an epoch of the search, counted from 0; the last epoch has the final value."""
        if params.delta_schedule == "constant":
            return params.delta_final
        share = (epoch + 1) / epochs
        if params.delta_schedule == "linear":
            return params.delta_initial + (params.delta_final - params.delta_initial) * share
        return float(params.delta_initial * (params.delta_final / params.delta_initial) ** share)

    def search(self, task: Task, gates: Gates, network: nn.Module) -> None:
        """Trains the gates, and with them what the parameters leave trainable, while δ grows."""
        from torch import nn

        params: DnalParams = task.params
        epochs = self.search_epochs(params, task.epochs)
        parameters = list(gates.values.values())
        for module in network.modules():
            trains = (
                (isinstance(module, nn.Linear | nn.BatchNorm1d) and params.train_classifier)
                or (isinstance(module, nn.BatchNorm2d) and params.train_batch_norm)
                or (isinstance(module, nn.Conv2d) and params.train_convolutions)
            )
            if trains:
                known = {id(parameter) for parameter in parameters}
                parameters += [own for own in module.parameters(recurse=False) if id(own) not in known]

        def anneal(epoch: int) -> None:
            gates.state["delta"] = self.delta(params, epoch, epochs)

        gates.state["delta"] = params.delta_initial
        task.train(
            network,
            epochs=epochs,
            learning_rate=params.learning_rate,
            parameters=parameters,
            momentum=params.momentum,
            weight_decay=params.weight_decay,
            penalty=lambda: self.penalty(task, gates),
            before_epoch=anneal,
            frozen_batch_norm=not params.update_statistics,
            rebuild_momentum=params.rebuild_momentum,
        )

    def keeps(self, task: Task, values: Tensor, state: Mapping[str, float]) -> Tensor:
        """sigmoid(δ·s) > threshold, decided on s in double precision: the sigmoid rounds to 1 in float32."""
        threshold = task.params.threshold
        return values.double() * state["delta"] > math.log(threshold / (1 - threshold))
