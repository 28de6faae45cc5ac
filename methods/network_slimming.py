"""Network Slimming: L1 on batch norm's γ, and one threshold for the whole network (ICCV 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from harness.method import Gates, Paper, Task
from methods._gate_search import GateSearch, GateSearchParams

if TYPE_CHECKING:
    from torch import Tensor, nn


class NetworkSlimmingParams(GateSearchParams):
    """Parameters of `network_slimming`; the paper trains with learning rate 0.1 and weight decay 1e-4."""

    pruned: Annotated[float, Field(ge=0, lt=1, description="share of all channels that goes, those of least |γ|")] = 0.5
    sparsity: Annotated[float, Field(ge=0, le=1, description="strength of the L1 penalty on γ")] = 1e-4


def threshold(scores: Mapping[str, Tensor], pruned: float) -> float:
    """The largest score among the ⌊pruned · n⌋ least of all; below all of them if that is none."""
    import torch

    everything = torch.cat([values.flatten().double() for values in scores.values()]).sort().values
    count = int(pruned * len(everything))
    return float(everything[count - 1]) if count else float("-inf")


class NetworkSlimming(GateSearch):
    """Channels whose batch norm has a small γ go, by one quantile of |γ| over all layers."""

    name = "network_slimming"
    title = "Network Slimming"
    paper = Paper(
        "Liu, Li, Shen, Huang, Yan, Zhang",
        "Learning Efficient Convolutional Networks through Network Slimming",
        "ICCV",
        2017,
    )
    Params = NetworkSlimmingParams
    strength = "pruned"
    own_norms: ClassVar[bool] = True
    folds: ClassVar[bool] = False
    keeps_one: ClassVar[bool] = True

    def search(self, task: Task, gates: Gates, network: nn.Module) -> None:
        """Trains all weights by SGD; the subgradient s · sign(γ) is added to the gradient of γ."""
        params: NetworkSlimmingParams = task.params
        epochs = self.search_epochs(params, task.epochs)

        def add_subgradient() -> None:
            for weight in gates.values.values():
                if weight.grad is not None:
                    weight.grad.add_(weight.detach().sign(), alpha=params.sparsity)

        task.train(
            network,
            epochs=epochs,
            learning_rate=self.learning_rates(params, epochs),
            parameters=network.parameters(),
            momentum=params.momentum,
            weight_decay=params.weight_decay,
            rebuild_momentum=False,
            after_backward=add_subgradient,
        )
        gates.state["threshold"] = threshold(self.scores(task, gates), params.pruned)

    def keeps(self, task: Task, values: Tensor, state: Mapping[str, float]) -> Tensor:
        """|γ| above the threshold."""
        del task
        return values.double() > state["threshold"]
