"""The whole network, trained on the baseline's schedule: what every other row is compared with."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from harness.method import Compressed, FinetuneSchedule, Method, Params, Task
from harness.suite.recipe import Epochs, Recipe


class DenseParams(Params):
    """Parameters of `dense`."""

    epochs: Literal["baseline", "total"] = "total"
    """`baseline`: the schedule of the recipe; `total`: that schedule stretched to the total of a pruned cell."""
    lr: Annotated[float | None, Field(gt=0, le=10, description="in place of the recipe's, to calibrate it")] = None
    weight_decay: Annotated[float | None, Field(ge=0, lt=1, description="in place of the recipe's")] = None


class Dense(Method):
    """Nothing is cut; the training that all methods start from goes on to its end."""

    name = "dense"
    title = "Dense"
    Params = DenseParams
    takes_budget: ClassVar[Literal["required", "optional", "refused"]] = "refused"

    @classmethod
    def recipe(cls, params: Any, recipe: Recipe) -> Recipe:
        """The suite's recipe with the learning rate and the weight decay that are to be tried."""
        stated = {name: getattr(params, name) for name in ("lr", "weight_decay") if getattr(params, name) is not None}
        return recipe.model_copy(update=stated)

    @classmethod
    def finetune_schedule(cls, params: Any, epochs: Epochs) -> FinetuneSchedule:
        """The rest of the schedule that the shared training began."""
        length = epochs.schedule if params.epochs == "baseline" else epochs.total
        return FinetuneSchedule(length=max(length, epochs.dense), start=epochs.dense)

    def compress(self, task: Task) -> Compressed:
        """Keeps everything."""
        return Compressed(kept={})
