"""Sparse Structure Selection: scaling factors that an accelerated proximal step sets to exactly zero (ECCV 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from harness.method import Gates, Paper, Task
from methods._gate_search import GateGradients, GateSearch, GateSearchParams, Granularity

if TYPE_CHECKING:
    from torch import Tensor, nn


class SssParams(GateSearchParams):
    """Parameters of `sss`; the paper trains with learning rate 0.1 and weight decay 1e-4."""

    gamma: Annotated[float, Field(ge=0, le=10, description="strength of the L1 penalty on the factors")] = 1e-2
    granularity: Granularity = "channel"


def accelerated_proximal_step(
    factors: Tensor, velocity: Tensor, gradient: Tensor, learning_rate: float, gamma: float, momentum: float
) -> None:
    """One step of the accelerated proximal gradient method on `factors` and `velocity`, in place.

    With η the learning rate and S the soft threshold: z = S_{η·γ}(λ - η·g), v ← z - λ + μ·v, λ ← max(0, z + μ·v)
    (Huang and Wang 2018, section 3.3). Without γ it is Nesterov's gradient step, without momentum it is ISTA.

    Args:
        factors: λ, any shape.
        velocity: v, of that shape; zero at first.
        gradient: of the loss without the penalty, with respect to λ.
    """
    import torch
    from torch.nn.functional import softshrink

    with torch.no_grad():
        z = softshrink(factors - learning_rate * gradient, learning_rate * gamma)
        velocity.mul_(momentum).add_(z - factors)
        factors.copy_((z + momentum * velocity).clamp_(min=0))


class Sss(GateSearch):
    """Scaling factors of channels or residual branches are trained to exactly zero beside the weights."""

    name = "sss"
    title = "SSS"
    paper = Paper("Huang, Wang", "Data-Driven Sparse Structure Selection for Deep Neural Networks", "ECCV", 2018)
    Params = SssParams
    strength = "gamma"

    def search(self, task: Task, gates: Gates, network: nn.Module) -> None:
        """Trains all weights by SGD and, in the same steps, the factors by the proximal step."""
        import torch

        params: SssParams = task.params
        epochs = self.search_epochs(params, task.epochs)
        velocity = {name: torch.zeros_like(values).detach() for name, values in gates.values.items()}
        gradients = GateGradients(gates)

        def step(learning_rate: float) -> None:
            for name, gradient in gradients.of.items():
                accelerated_proximal_step(
                    gates.values[name], velocity[name], gradient, learning_rate, params.gamma, params.momentum
                )

        task.train(
            network,
            epochs=epochs,
            learning_rate=self.learning_rates(params, epochs),
            parameters=network.parameters(),
            momentum=params.momentum,
            weight_decay=params.weight_decay,
            rebuild_momentum=False,
            after_backward=gradients.take,
            after_step=step,
            state=velocity,
        )
