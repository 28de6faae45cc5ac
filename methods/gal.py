"""GAL: soft masks learned without labels, from a teacher and a discriminator (CVPR 2019)."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from harness.method import Compressed, Gates, Paper, Task
from methods._gate_search import Fraction, GateGradients, GateSearch, GateSearchParams, Granularity

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

MASK_STEPS = 195
"""Steps of the masks in the protocol of the paper's code: every 200th of 100 epochs of 391 steps."""


class GalParams(GateSearchParams):
    """Parameters of `gal`; the defaults are those of the paper's code."""

    lambda_m: Annotated[float, Field(ge=0, le=10, description="strength of the L1 penalty on the masks")] = 0.1
    granularity: Granularity = "channel"
    distillation: Annotated[float, Field(ge=0, description="μ, weight of the squared distance of the logits")] = 1.0
    initial: Annotated[Literal["normal", "one"], Field(description="masks start at max(0, N(0, 1)), or at one")] = (
        "normal"
    )
    interval: Annotated[
        int | None,
        Field(ge=1, description="weight steps for each step of the masks; default: as gives 195 of them in a search"),
    ] = None
    statistics_batches: Annotated[
        int, Field(ge=0, description="batches on which batch norm's statistics are taken anew in the end; 0: none")
    ] = 20
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.01
    milestones: Annotated[
        tuple[Fraction, ...], Field(description="where the learning rate falls, as fractions of the search")
    ] = (0.3, 0.6, 0.9)
    weight_decay: Annotated[float, Field(ge=0, lt=1, description="of the weights; masks have none")] = 2e-4


def mask_interval(params: GalParams, steps: int) -> int:
    """How many weight steps there are to one of the masks, in a search of so many."""
    return params.interval or max(1, round(steps / MASK_STEPS))


class MaskSteps:
    """FISTA on the masks, begun again whenever the learning rate falls.

    Attributes:
        state: all that the next step needs; changed in place.
    """

    def __init__(self, masks: Mapping[str, Tensor], strength: float) -> None:
        """Starts at masks whose first step has no momentum.

        Args:
            masks: {name: values}; changed in place by `step`.
            strength: λ of the L1 penalty.
        """
        import torch

        self.masks = masks
        self.strength = strength
        self.state = {f"previous.{name}": values.detach().clone() for name, values in masks.items()}
        self.state["a"] = torch.ones((), dtype=torch.float64)
        self.state["learning_rate"] = torch.full((), math.nan, dtype=torch.float64)

    def step(self, gradients: Mapping[str, Tensor], learning_rate: float) -> None:
        """y = m + (a - 1) / a' · (m - m_prev), then m ← max(0, S_{η·λ}(y - η·g)), a' = (1 + √(1 + 4a²)) / 2.

        Args:
            gradients: of the loss without the penalty; a mask without one stays.
            learning_rate: η.
        """
        import torch
        from torch.nn.functional import softshrink

        if float(self.state["learning_rate"]) != learning_rate:
            self.state["learning_rate"].fill_(learning_rate)
            self.state["a"].fill_(1.0)
        a = float(self.state["a"])
        following = (1 + math.sqrt(1 + 4 * a * a)) / 2
        with torch.no_grad():
            for name, gradient in gradients.items():
                mask, previous = self.masks[name], self.state[f"previous.{name}"]
                y = mask + (a - 1) / following * (mask - previous)
                previous.copy_(mask)
                mask.copy_(softshrink(y - learning_rate * gradient, learning_rate * self.strength).clamp_(min=0))
        self.state["a"].fill_(following)


class Discriminator:
    """Tells the teacher's logits from the student's: linear layers of 128, 256, 128 and 1 units.

    Attributes:
        network: logits [batch, classes] → [batch, 1], large for the teacher's; without a sigmoid.
        state: its weights and the momentum of its SGD; changed in place.
    """

    def __init__(self, classes: int, generator: torch.Generator, device: torch.device, params: GalParams) -> None:
        import torch
        from torch import nn

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            widths = (classes, 128, 256, 128)
            layers = [layer for i, o in itertools.pairwise(widths) for layer in (nn.Linear(i, o), nn.ReLU())]
            self.network = nn.Sequential(*layers, nn.Linear(widths[-1], 1)).to(device)
        self.optimiser = torch.optim.SGD(
            self.network.parameters(), lr=0.0, momentum=params.momentum, weight_decay=params.weight_decay
        )
        self.state: dict[str, Tensor] = {}
        for name, weight in self.network.named_parameters():
            momentum = torch.zeros_like(weight).detach()
            self.optimiser.state[weight]["momentum_buffer"] = momentum
            self.state |= {f"discriminator.{name}": weight.detach(), f"discriminator.momentum.{name}": momentum}

    @property
    def macs(self) -> int:
        """Multiply-adds of a forward pass."""
        return sum(weight.numel() for weight in self.network.parameters() if weight.dim() == 2)

    def fooled(self, student: Tensor) -> Tensor:
        """The student's part: -log D(student), the mean over the batch; it leaves no gradient on D's weights."""
        from torch.func import functional_call

        fixed = {name: self.state[f"discriminator.{name}"] for name, _ in self.network.named_parameters()}
        return _taken_for(functional_call(self.network, fixed, (student,)), teacher=True)

    def step(self, teacher: Tensor, student: Tensor, learning_rate: float) -> None:
        """One step of SGD on -log D(teacher) - log(1 - D(student)) - log D(student).

        The last term is the paper's adversarial regularisation of the discriminator.
        """
        import torch

        self.optimiser.zero_grad(set_to_none=True)
        self.optimiser.param_groups[0]["lr"] = learning_rate
        there = self.network(student)
        loss = _taken_for(self.network(teacher), teacher=True)
        torch.autograd.backward(loss + _taken_for(there, teacher=False) + _taken_for(there, teacher=True))
        self.optimiser.step()


def _taken_for(answers: Tensor, *, teacher: bool) -> Tensor:
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    return binary_cross_entropy_with_logits(answers, torch.full_like(answers, float(teacher)))


class Gal(GateSearch):
    """Masks of channels or residual branches are learned without labels, against a discriminator."""

    name = "gal"
    title = "GAL"
    paper = Paper(
        "Lin, Ji, Yan, Zhang, Cao, Ye, Huang, Doermann",
        "Towards Optimal Structured CNN Pruning via Generative Adversarial Learning",
        "CVPR",
        2019,
    )
    Params = GalParams
    strength: ClassVar[str | None] = "lambda_m"

    def compress(self, task: Task) -> Compressed:
        """The teacher is the network as it comes, before it has masks."""
        self.teacher = copy.deepcopy(task.network).eval().requires_grad_(False)
        return super().compress(task)

    def search(self, task: Task, gates: Gates, network: nn.Module) -> None:
        """Trains weights and masks to look like the teacher to a discriminator that trains beside them."""
        import torch

        params: GalParams = task.params
        epochs = self.search_epochs(params, task.epochs)
        if params.initial == "normal":
            for values in gates.values.values():
                drawn = torch.randn(values.shape, generator=task.generator)
                values.data.copy_(drawn.clamp_(min=0))
        masks = MaskSteps(gates.values, params.lambda_m)
        macs = task.cost({})
        with torch.no_grad():
            image = next(iter(task.training_batches(1, augment=False)))[0][:1]
            classes = self.teacher(image).shape[1]
        task.bill(macs)
        discriminator = Discriminator(classes, task.generator, task.device, params)
        interval = mask_interval(params, epochs * task.steps_per_epoch)
        gradients = GateGradients(gates)
        seen: dict[str, Tensor] = {}
        number = 0

        def count(step: int) -> None:
            nonlocal number
            number = step

        def loss(student: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            del labels
            with torch.no_grad():
                taught = self.teacher(images).float()
            logits = student(images)
            seen["teacher"], seen["student"] = taught, logits.detach().float()
            distance = torch.nn.functional.mse_loss(logits.float(), taught)
            return logits, params.distillation * distance + discriminator.fooled(logits.float())

        def step(learning_rate: float) -> None:
            discriminator.step(seen["teacher"], seen["student"], learning_rate)
            if (number + 1) % interval == 0:
                masks.step(gradients.of, learning_rate)

        # Of the discriminator: to and fro for the student, then the same and its weights' gradients for two batches.
        adversary = (2 + 2 * 3) * discriminator.macs
        task.train(
            network,
            epochs=epochs,
            learning_rate=self.learning_rates(params, epochs),
            parameters=network.parameters(),
            momentum=params.momentum,
            weight_decay=params.weight_decay,
            rebuild_momentum=False,
            loss=loss,
            before_step=count,
            after_backward=gradients.take,
            after_step=step,
            state=masks.state | discriminator.state,
            extra_macs_per_image=macs + adversary,
        )
        self._take_statistics(task, network)

    def _take_statistics(self, task: Task, network: nn.Module) -> None:
        """Batch norm's statistics of the network with its last masks."""
        import torch
        from torch.optim.swa_utils import update_bn

        batches = [images for images, _ in task.training_batches(task.params.statistics_batches)]
        if batches:
            with torch.random.fork_rng(devices=[task.device] if task.device.type == "cuda" else []):
                torch.manual_seed(0)  # for networks with dropout
                update_bn(batches, network)
            task.bill(task.cost({}) * sum(len(images) for images in batches))
