"""The epoch loop: the same for dense training, a method's search and fine-tuning."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from harness.data.batches import WHOLE, batch_bounds
from harness.data.interface import Loader, scoring_batch
from harness.data.seeds import derive
from harness.errors import StageFailure
from harness.train.checkpoint import Checkpoint
from harness.train.compiled import compiled
from harness.train.ranks import ALONE, Ranks, Together, synchronised
from harness.train.rates import Rates, in_epoch
from harness.train.replay import Act, CudaRecorder, Replayed, set_rate
from harness.train.watch import Stopped, Watch

Loss = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(network, images [B, C, H, W], labels [B]) → (logits [B, classes], loss, a scalar)."""


@dataclass(frozen=True)
class Step:
    """How one step changes weights.

    Attributes:
        penalty: added to the loss of every step.
        frozen_batch_norm: batch norm uses and keeps its running statistics.
        rebuild_momentum: momentum starts each epoch at zero.
        bfloat16: the forward pass runs under autocast.
        compile: the forward pass of whole batches is `torch.compile`'s; the loss is of the same network.
        cuda_graphs: steps are recorded once an epoch and replayed, unless something is called within them.
        loss: (network, images, labels) → (logits, loss), a mean over the images; None: cross-entropy of the network's
            logits.
        before_step: called with the number of the step, from 0 in the first epoch of the call.
        after_backward: called when the gradients are there, before they are used.
        after_step: called with the learning rate that the step used.
        state: what these calls keep between steps. Saved with each checkpoint and put back in place, so that an
            interrupted training ends in the same bits.
    """

    parameters: Sequence[nn.Parameter]
    momentum: float
    weight_decay: float
    penalty: Callable[[], Tensor] | None = None
    frozen_batch_norm: bool = False
    rebuild_momentum: bool = True
    bfloat16: bool = False
    compile: bool = False
    cuda_graphs: bool = False
    loss: Loss | None = None
    before_step: Callable[[int], None] | None = None
    after_backward: Callable[[], None] | None = None
    after_step: Callable[[float], None] | None = None
    state: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def replays(self) -> bool:
        """Whether steps are replayed: what is called within a step may do something else each time."""
        within = (self.loss, self.before_step, self.after_backward, self.after_step)
        return self.cuda_graphs and all(call is None for call in within)


@dataclass(frozen=True)
class Source:
    """Where images come from.

    Attributes:
        train: the training images.
        held_out: scored after each epoch, or None where the recipe trains on them.
        seed: order and augmentation of an epoch are a function of it and of the epoch alone.
        batch: images a step.
        accumulate: micro-batches that a step takes one after the other; the gradient is that of the mean over all of
            its images, and batch norm sees one micro-batch at a time.
        test: scored after each epoch where the recipe asks for it; nothing that trains reads the score.
    """

    train: Loader
    held_out: Loader | None
    seed: int
    batch: int
    augment: bool
    accumulate: int = 1
    test: Loader | None = None


@dataclass
class Progress:
    """What a training has done so far; saved with its checkpoint."""

    epochs: int = 0
    seconds: float = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)


def train_epochs(
    network: nn.Module,
    step: Step,
    source: Source,
    learning_rates: Rates,
    *,
    first_epoch: int = 0,
    stage: str,
    checkpoint: Checkpoint | None = None,
    watch: Watch | None = None,
    ranks: Ranks = ALONE,
    before_epoch: Callable[[int], None] | None = None,
    observe: Callable[[], dict[str, Any]] | None = None,
) -> Progress:
    """Trains as many epochs as the learning rates are for; goes on from the checkpoint if there is one.

    Args:
        network: on the device of `source`; changed in place. What it draws at random (dropout) is a function of the
            source's seed and the epoch.
        first_epoch: number of the first epoch in the cell's life: it seeds order and augmentation.
        stage: the curve's label.
        ranks: the processes that make this call for the same network, joined (`harness.train.ranks`). Each is told all
            losses and training accuracies; rank 0 alone scores held-out images.
        before_epoch: called with the epoch (from 0 in this call) before it starts; must be a function of the epoch
            alone, because after an interruption it is called again for the last finished epoch.
        observe: called after each epoch; what it gives (JSON values) is added to the epoch's point of the curve.

    Raises:
        StageFailure: the loss is not finite ("diverged").
        Stopped: `watch` asked for it; the same call goes on after the last saved epoch.
    """
    watch = watch or Watch()
    progress = Progress()
    momentum: dict[str, Tensor] = {}
    if checkpoint is not None and (saved := checkpoint.load()) is not None:
        progress, momentum = _restore(network, step.state, *saved)
        if before_epoch is not None and progress.epochs:
            before_epoch(progress.epochs - 1)
    last_save = time.monotonic()
    alone = ranks.count == 1
    with (
        _only_trainable(network, step.parameters),
        synchronised(network, ranks),
        compiled(network, step.compile and alone) as forward,
    ):
        together = Together(network, step.parameters, ranks)
        optimiser = _optimiser(step)
        _load_momentum(optimiser, step.parameters, momentum)
        for epoch in range(progress.epochs, len(learning_rates)):
            if before_epoch is not None:
                before_epoch(epoch)
            if step.rebuild_momentum:
                optimiser = _optimiser(step)
            started = time.perf_counter()
            own = [ranks.rank] if ranks.rank else []
            drawing = _drawing(source.train.device, derive(source.seed, "network", first_epoch + epoch, *own))
            with drawing, together.epoch():
                rate = in_epoch(learning_rates, epoch)
                networks = (network, forward if alone else together.network)
                loss, right = _epoch(
                    networks, together, optimiser, step, source, first_epoch + epoch, epoch, rate, watch
                )
            if not torch.isfinite(torch.tensor(loss)):
                raise StageFailure(
                    "diverged", f"the loss is {loss} in epoch {first_epoch + epoch} of the {stage} stage"
                )
            scored = source.held_out if ranks.rank == 0 else None
            held_out = None if scored is None else accuracy(network, scored)
            tested = source.test if ranks.rank == 0 else None
            test = {} if tested is None else {"test_top1": accuracy(network, tested)}
            seconds = time.perf_counter() - started
            progress.epochs = epoch + 1
            progress.seconds += seconds
            progress.curve.append(
                {
                    "stage": stage,
                    "epoch": first_epoch + epoch,
                    "loss": loss,
                    "train_top1": right,
                    "held_out_top1": held_out,
                    **test,
                    **(observe() if observe is not None else {}),
                }
            )
            images = len(source.train)
            watch.note(
                {
                    "stage": stage,
                    "epoch": epoch + 1,
                    "epochs": len(learning_rates),
                    "loss": loss,
                    "images_per_second": images / seconds,
                }
            )
            due = time.monotonic() - last_save >= watch.checkpoint_seconds
            if checkpoint is not None and due and epoch + 1 < len(learning_rates):
                _save(checkpoint, network.state_dict(), progress, _momentum(optimiser, step), step.state)
                last_save = time.monotonic()
    return progress


def accuracy(network: nn.Module, loader: Loader) -> float:
    """The share of images classified right, 0..1, in evaluation mode without augmentation."""
    was_training = network.training
    network.eval()
    right = torch.zeros((), dtype=torch.int64, device=loader.device)
    with torch.inference_mode():
        for images, labels in loader.plain(scoring_batch(loader)):
            right += (network(images).argmax(dim=1) == labels).sum()
    network.train(was_training)
    return int(right) / len(loader)


def _epoch(
    networks: tuple[nn.Module, nn.Module],
    together: Together,
    optimiser: torch.optim.SGD,
    step: Step,
    source: Source,
    epoch: int,
    epoch_of_call: int,
    rate: Callable[[float], float],
    watch: Watch,
) -> tuple[float, float]:
    """One pass of the network, or of its compiled or shared form.

    Returns:
        Mean loss and share of training images classified right, over all ranks.
    """
    network, forward = networks
    network.train()
    if step.frozen_batch_norm:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    device = source.train.device
    loss_sum = torch.zeros((), dtype=torch.float64, device=device)
    right = torch.zeros((), dtype=torch.int64, device=device)
    seen = 0
    share = together.ranks.share(source.accumulate)
    bounds = batch_bounds(len(source.train), source.batch, share.parts)
    steps = len(bounds)
    compute_loss = step.loss or _cross_entropy
    full = source.batch // share.parts

    def take_parts(parts: Sequence[tuple[Tensor, Tensor]], size: int) -> None:
        optimiser.zero_grad(set_to_none=True)
        for position, (images, labels) in enumerate(parts, start=1):
            last = position == len(parts)
            through = forward if share.ranks > 1 or len(labels) == full else network
            with together.gathering(last):
                with torch.autocast(device.type, torch.bfloat16, enabled=step.bfloat16):
                    logits, loss = compute_loss(through, images, labels)
                if (weight := together.weight(len(labels), size)) != 1:
                    loss = loss * weight
                if step.penalty is not None and last:
                    loss = loss + step.penalty()
                torch.autograd.backward(loss)
            with torch.no_grad():
                loss_sum.add_(loss.detach() * size)
                right.add_((logits.argmax(dim=1) == labels).sum())
        if step.after_backward is not None:
            step.after_backward()
        optimiser.step()

    def take_whole(images: Tensor, labels: Tensor) -> None:
        take_parts([(images, labels)], len(labels))

    # a step in parts is several launches with waiting in between
    replays = step.replays and share == WHOLE
    take: Act = Replayed(take_whole, source.batch, CudaRecorder(device)) if replays else take_whole
    arriving = source.train.epoch(source.seed, epoch, source.batch, source.augment, share)
    for number, (start, end) in enumerate(bounds):
        micro_batches = list(islice(arriving, share.own))
        if not micro_batches:  # a loader may end before its images do
            break
        if watch.should_stop():
            raise Stopped
        if step.before_step is not None:
            step.before_step(epoch_of_call * steps + number)
        learning_rate = rate(number / steps)
        set_rate(optimiser, learning_rate, device if replays else None)
        if share == WHOLE:
            take(*micro_batches[0])
        else:
            take_parts(micro_batches, end - start)
        if step.after_step is not None:
            step.after_step(learning_rate)
        seen += end - start
    losses, hits = together.total([loss_sum, right], device)
    return losses / together.ranks.count / seen, hits / seen


def _cross_entropy(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    logits = network(images)
    return logits, cross_entropy(logits, labels)


def _optimiser(step: Step) -> torch.optim.SGD:
    """Without momentum so far; the learning rate is set before each step."""
    return torch.optim.SGD(
        list(step.parameters), lr=0.0, momentum=step.momentum, weight_decay=step.weight_decay, fused=True
    )


@contextmanager
def _drawing(device: torch.device, seed: int) -> Iterator[None]:
    """Torch's own generators start at `seed` and are put back afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def _only_trainable(network: nn.Module, parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Gradients are computed for `parameters` alone; the rest of the network is frozen meanwhile."""
    wanted = {id(parameter) for parameter in parameters}
    before = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    for parameter, _ in before:
        parameter.requires_grad_(id(parameter) in wanted)
    try:
        yield
    finally:
        for parameter, required in before:
            parameter.requires_grad_(required)
            parameter.grad = None


def _momentum(optimiser: torch.optim.SGD, step: Step) -> dict[str, Tensor]:
    """The momentum buffers that the next epoch needs, by position of their parameter."""
    if step.rebuild_momentum:
        return {}
    buffers = {}
    for position, parameter in enumerate(step.parameters):
        buffer = optimiser.state.get(parameter, {}).get("momentum_buffer")
        if buffer is not None:
            buffers[str(position)] = buffer.clone()
    return buffers


def _load_momentum(optimiser: torch.optim.SGD, parameters: Sequence[nn.Parameter], buffers: dict[str, Tensor]) -> None:
    for position, buffer in buffers.items():
        parameter = parameters[int(position)]
        optimiser.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(buffer).detach()


def _save(
    checkpoint: Checkpoint,
    weights: Mapping[str, Tensor],
    progress: Progress,
    momentum: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
) -> None:
    tensors = {f"network.{name}": tensor for name, tensor in weights.items()}
    tensors |= {f"momentum.{name}": tensor for name, tensor in momentum.items()}
    tensors |= {f"state.{name}": tensor for name, tensor in state.items()}
    checkpoint.save(tensors, asdict(progress))


def _restore(
    network: nn.Module, state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], facts: dict[str, Any]
) -> tuple[Progress, dict[str, Tensor]]:
    network.load_state_dict(_under("network.", tensors))
    saved = _under("state.", tensors)
    with torch.no_grad():
        for name, tensor in state.items():
            tensor.copy_(saved[name])
    return Progress(**facts), _under("momentum.", tensors)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def save_finished(
    checkpoint: Checkpoint, network: nn.Module, progress: Progress, state: Mapping[str, Tensor] | None = None
) -> None:
    """Saves the end of a training that more work of the same stage follows."""
    _save(checkpoint, network.state_dict(), progress, {}, state or {})
