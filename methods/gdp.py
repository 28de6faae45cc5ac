"""GDP: filters are masked over the whole network and may come back while it trains (Lin et al., IJCAI 2018).

Every so many steps all filters are put back, their saliency is measured, and those of lowest saliency in the whole
network are masked until the budget is met. In between the weights train, those of masked filters too.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from harness.errors import StageFailure
from harness.method import Compressed, Paper, Params, Round, RoundsMethod, Scores, Task
from methods._images import dense_macs, evaluating

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.channels.graph import KeptChannels


class GdpParams(Params):
    """Parameters of `gdp`; rates and periods of the paper's code are for ImageNet."""

    every: Annotated[
        int | None,
        Field(ge=1, description="steps between masks; default: a twentieth of the search, at least 20 (the code: 500)"),
    ] = None
    batches: Annotated[
        int | None,
        Field(ge=1, description="minibatches that a saliency is the mean of; default: a fifth of `every`, as the code"),
    ] = None
    warm_up: Annotated[float, Field(ge=0, lt=1, description="share of the search that trains without a mask")] = 0.1
    min_keep: Annotated[float, Field(ge=0, lt=1, description="share of each layer that is never masked, or one")] = 0.1
    threshold: Annotated[
        Literal["global", "allocation"],
        Field(description="global: one for all filters (the paper) unless `allocate` is set; allocation: as that says"),
    ] = "global"
    straight_through: Annotated[
        bool, Field(description="masked filters learn on (the paper); otherwise they only decay (its code)")
    ] = True
    epochs: Annotated[int | None, Field(ge=1, description="default: the recipe's search epochs")] = None
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 4e-5


class Gdp(RoundsMethod):
    """Global and dynamic filter pruning.

    The saliency of a filter is |Σ ∂L/∂W·W + ∂L/∂b·b|, which is |∂L/∂m| of a mask m = 1 on the filter. Before a batch
    norm that sum is zero whatever the filter is worth, since the loss does not depend on its scale; so the mask, and
    with it the saliency, stands behind the batch norm: |∂L/∂γ·γ + ∂L/∂β·β|. All saliencies are compared as they are,
    without a norm for each layer. The paper's second phase, the fixed mask, is the harness's fine-tuning of what is
    cut.
    """

    name = "gdp"
    title = "GDP"
    paper = Paper(
        "Lin, Ji, Li, Wu, Huang, Zhang",
        "Accelerating Convolutional Networks via Global & Dynamic Filter Pruning",
        "IJCAI",
        2018,
    )
    Params = GdpParams

    @classmethod
    def search_epochs(cls, params: Any, recipe_epochs: int) -> int:
        """The recipe's search epochs, unless the parameters say otherwise."""
        return int(params.epochs or recipe_epochs)

    def rounds(self, task: Task) -> Generator[Round, None, Compressed]:
        """One round, in which masks come and go; what the last one masks is cut."""
        import torch

        from harness.channels.straight_through import insert_masks, remove_masks

        params: GdpParams = task.params
        epochs = self.search_epochs(params, task.epochs)
        moments, batches_each = schedule(params, epochs * task.steps_per_epoch)
        masks = insert_masks(task.network, task.groups, straight_through=params.straight_through)
        found = {name: torch.zeros(len(mask), dtype=torch.float64) for name, mask in masks.items()}

        def before_step(step: int) -> None:
            if step in moments:
                batches = task.training_batches(batches_each, epoch=1 + moments.index(step))
                measured = saliency(task.network, masks, batches, task.device)
                set_masks(masks, self._chosen(task, measured))
                for name, values in measured.items():
                    found[name].copy_(values)

        yield Round(
            {},
            epochs,
            learning_rate=params.learning_rate,
            momentum=params.momentum,
            weight_decay=params.weight_decay,
            before_step=before_step,
            state=found,
        )
        # Billed here, not at each update: a run that goes on after a kill does not measure again.
        images = sum(len(labels) for _, labels in task.training_batches(batches_each))
        task.bill(3 * dense_macs(task.graph) * images * len(moments))
        kept = {name: tuple(torch.nonzero(mask.detach()).flatten().tolist()) for name, mask in masks.items()}
        remove_masks(task.network)
        return Compressed(kept=kept, scores=found)

    def _chosen(self, task: Task, scores: Scores) -> KeptChannels:
        """The mask that meets the budget at these saliencies."""
        if task.params.threshold == "allocation" or task.allocation != "uniform" or task.target is None:
            return task.allocate(scores)
        return within_budget(task, scores, task.params.min_keep)


def schedule(params: GdpParams, steps: int) -> tuple[list[int], int]:
    """When the mask is set anew in a search of so many steps, and on how many minibatches.

    Returns:
        The steps, counted from 0, before which it is; the first comes right after the warm-up. Minibatches of each.
    """
    every = params.every if params.every is not None else max(20, steps // 20)
    batches = params.batches if params.batches is not None else max(1, every // 5)
    return list(range(min(int(params.warm_up * steps), steps - 1), steps, every)), batches


def saliency(
    network: nn.Module,
    masks: Mapping[str, nn.Parameter],
    batches: Iterable[tuple[Tensor, Tensor]],
    device: Any,
) -> Scores:
    """{group: mean over minibatches of |∂L/∂m| at m = 1, float64 [channels], on the CPU}; the masks end as all ones.

    Batch norm uses its running statistics, which are left as they are.
    """
    import torch
    from torch.nn.functional import cross_entropy

    values = list(masks.values())
    totals = [torch.zeros(len(mask), dtype=torch.float64) for mask in values]
    needed = [mask.requires_grad for mask in values]
    count = 0
    with evaluating(network), torch.enable_grad():
        for mask in values:
            mask.detach().fill_(1.0)
            mask.requires_grad_(True)
        for images, labels in batches:
            loss = cross_entropy(network(images.to(device)), labels.to(device))
            for total, slope in zip(totals, torch.autograd.grad(loss, values), strict=True):
                total.add_(slope.abs().double().cpu())
            count += 1
    for mask, need in zip(values, needed, strict=True):
        mask.requires_grad_(need)
    return {name: total / count for name, total in zip(masks, totals, strict=True)}


def set_masks(masks: Mapping[str, nn.Parameter], kept: Mapping[str, Iterable[int]]) -> None:
    """One for what is kept, zero for the rest; a group that is absent is kept whole."""
    for name, mask in masks.items():
        values = mask.detach()
        if name in kept:
            values.fill_(0.0)
            values[list(kept[name])] = 1.0
        else:
            values.fill_(1.0)


def ranked(scores: Scores) -> list[tuple[str, int]]:
    """(group, channel) of the whole network from the largest score down; of equal ones the earlier group, index.

    Raises:
        StageFailure: "diverged" if a score is not a number.
    """
    entries = []
    for position, (name, values) in enumerate(scores.items()):
        if bool(values.isnan().any()):
            raise StageFailure("diverged", f"saliencies of group {name!r} are not numbers")
        entries += [(-value, position, channel, name) for channel, value in enumerate(values.tolist())]
    return [(name, channel) for _, _, channel, name in sorted(entries)]


def largest(order: list[tuple[str, int]], count: int, floors: Mapping[str, int]) -> KeptChannels:
    """The first `count` of a ranking, and of each group at least the first `floors[group]`."""
    kept: dict[str, list[int]] = {name: [] for name, _ in order}
    for position, (name, channel) in enumerate(order):
        if position < count or len(kept[name]) < floors.get(name, 0):
            kept[name].append(channel)
    return {name: tuple(sorted(channels)) for name, channels in kept.items()}


def within_budget(task: Task, scores: Scores, min_keep: float) -> KeptChannels:
    """As many filters of the whole network as the budget allows, by score; what is left goes to the next that fit.

    One more filter than that is kept where the cost is so nearer to the budget.

    Args:
        min_keep: share of each group that stays in any case, rounded up; at least one channel.

    Raises:
        StageFailure: "out of reach" if that alone costs more than the budget.
    """
    assert task.target is not None
    target = task.target
    order = ranked(scores)
    floors = {name: max(1, math.ceil(min_keep * len(values))) for name, values in scores.items()}

    def cost(kept: KeptChannels) -> int:
        return task.cost({name: len(channels) for name, channels in task.graph.settled(kept).items()})

    if cost(largest(order, len(order), floors)) <= target:
        return largest(order, len(order), floors)
    low, high = 0, len(order)  # `low` filters meet the budget, `high` do not
    if (smallest := cost(largest(order, low, floors))) > target:
        raise StageFailure(
            "out of reach", f"with {min_keep:.0%} of every layer kept the cost is {smallest:,}; the target is below it"
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(largest(order, middle, floors)) <= target else (low, middle)
    kept = largest(order, low, floors)
    too_many: dict[str, KeptChannels] = {}
    for name, channel in order[low:]:
        if name not in too_many and channel not in kept[name]:
            wider = {**kept, name: tuple(sorted((*kept[name], channel)))}
            if cost(wider) <= target:
                kept = wider
            else:
                too_many[name] = {name: wider[name]}
    candidates = [kept, *({**kept, **more} for more in too_many.values())]
    return min(candidates, key=lambda each: abs(cost(each) - target))
