"""Several processes that train one network together: each takes its micro-batches of every step.

The gradient of a step is the mean over all of its images, so that the processes change the speed and not the outcome:
weights differ from those of one process that takes the same micro-batches one after the other by the rounding of sums,
and running statistics of batch norm by no more.
"""

from __future__ import annotations

import inspect
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import FileStore, distributed_c10d  # type: ignore[attr-defined]
from torch.nn.parallel import DistributedDataParallel

from harness.data.batches import Share
from harness.errors import StageFailure, UserError

JOINING = timedelta(seconds=60)
"""How long a process waits for the others to join it."""
WAITING = timedelta(hours=12)
"""How long a step may wait for another process, which may be scoring; one that died is noticed at once."""


@dataclass(frozen=True)
class Ranks:
    """The processes that train one network; by default this one alone.

    Attributes:
        rank: of this process. 0 is the cell's own process: it alone scores, saves and reports.
        count: of all processes.
        sync_batch_norm: each micro-batch is spread over all processes, and batch norm sees the whole of it; else each
            process takes whole micro-batches.
    """

    rank: int = 0
    count: int = 1
    sync_batch_norm: bool = False

    def share(self, accumulate: int) -> Share:
        """What this process takes of steps in so many micro-batches."""
        parts = accumulate * (self.count if self.sync_batch_norm else 1)
        if parts % self.count:
            raise UserError(f"{self.count} ranks cannot share the {parts} micro-batches of a step (recipe.accumulate)")
        return Share(parts, self.rank, self.count)


ALONE = Ranks()

_NAMES = inspect.signature(DistributedDataParallel.__init__).parameters
# torch 2.15 renames the option and warns of the old name
_OWN_STATISTICS: dict[str, Any] = {
    "forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers": False
}


@contextmanager
def joined(ranks: Ranks, folder: Path, device: torch.device) -> Iterator[None]:
    """This process among the others: they meet in a folder and talk over the loopback interface alone.

    Args:
        folder: of this training, on this machine, and nobody else's.
        device: of this process. Processes that have a GPU each use NCCL, all others gloo.
    """
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), None)
    if loopback is None:
        raise UserError("ranks talk over the loopback interface, and this machine has none")
    own_gpu = device.type == "cuda" and torch.cuda.device_count() >= ranks.count
    with _variables({"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback}):
        dist.init_process_group(
            "nccl" if own_gpu else "gloo",
            store=FileStore(str(folder / "meeting"), ranks.count),
            rank=ranks.rank,
            world_size=ranks.count,
            timeout=JOINING,
            device_id=device if own_gpu else None,
        )
        try:
            set_timeout = getattr(distributed_c10d, "set_timeout", None) or distributed_c10d._set_pg_timeout
            set_timeout(WAITING)
            yield
        finally:
            dist.destroy_process_group()


class Together:
    """A network as the ranks train it; with one rank nothing but the network.

    Attributes:
        network: what a forward pass goes through.
    """

    def __init__(self, network: nn.Module, parameters: Sequence[nn.Parameter], ranks: Ranks) -> None:
        """Takes the state of rank 0. `parameters` are those of the network that require gradients."""
        self.ranks = ranks
        self.network = network
        self._parameters = parameters
        self._norms: list[nn.modules.batchnorm._BatchNorm] = []
        self._wrapped: DistributedDataParallel | None = None
        if ranks.count > 1:
            if not ranks.sync_batch_norm:
                self._norms = _norms(network)
            self._wrapped = DistributedDataParallel(network, gradient_as_bucket_view=True, **_OWN_STATISTICS)
            self.network = self._wrapped

    def weight(self, images: int, step: int) -> float:
        """What a micro-batch's mean loss counts in this process: gradients are averaged over the ranks."""
        return images / step * self.ranks.count

    def gathering(self, last: bool) -> AbstractContextManager[None]:
        """Around a forward and backward pass: gradients are averaged over the ranks in the last one of a step."""
        if self._wrapped is None or last:
            return nullcontext()
        waiting: AbstractContextManager[None] = self._wrapped.no_sync()
        return waiting

    @contextmanager
    def epoch(self) -> Iterator[None]:
        """Around an epoch: afterwards running statistics are what all ranks' micro-batches in turn leave.

        In one process a step decays them by (1 - m) once for each of its micro-batches. Here each rank sees every
        `count`-th and decays them by (1 - m) ** count at once. Rank i's micro-batches are followed by those of
        count - 1 - i others before the next decay, which is its weight in the end.

        Raises:
            StageFailure: "crashed": the ranks' weights are not the same bits.
        """
        momenta = [norm.momentum for norm in self._norms]
        seen = [int(norm.num_batches_tracked) for norm in self._norms if norm.num_batches_tracked is not None]
        count = self.ranks.count
        for norm, momentum in zip(self._norms, momenta, strict=True):
            if momentum is not None:
                norm.momentum = 1 - (1 - momentum) ** count
        try:
            yield
        finally:
            for norm, momentum in zip(self._norms, momenta, strict=True):
                norm.momentum = momentum
        if count == 1:
            return
        self._check_agreement()
        learning = [norm for norm in self._norms if norm.training]
        if learning:
            _merge(learning, self.ranks)
        tracked = [norm for norm in self._norms if norm.num_batches_tracked is not None]
        for norm, before in zip(tracked, seen, strict=True):
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked.mul_(count).sub_((count - 1) * before)

    def total(self, figures: Sequence[float | Tensor], device: torch.device) -> list[float]:
        """The sums of figures over all ranks."""
        if self.ranks.count == 1:
            return [float(each) for each in figures]
        summed = torch.stack([torch.as_tensor(each, dtype=torch.float64, device=device) for each in figures])
        dist.all_reduce(summed)
        return [float(each) for each in summed.tolist()]

    def _check_agreement(self) -> None:
        bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}
        sums = [each.detach().view(bits[each.element_size()]).sum(dtype=torch.int64) for each in self._parameters]
        found = torch.stack(sums)
        both = torch.stack([found, -found])
        dist.all_reduce(both, op=dist.ReduceOp.MAX)
        if not torch.equal(both[0], -both[1]):
            raise StageFailure("crashed", "the weights of the ranks differ, which started and were changed alike")


@contextmanager
def synchronised(network: nn.Module, ranks: Ranks) -> Iterator[None]:
    """Batch norms see the micro-batches of all ranks at once, if the ranks are to; the network is put back afterwards.

    Raises:
        UserError: a batch norm is not on a GPU, which torch's synchronised one must be.
    """
    if ranks.count == 1 or not ranks.sync_batch_norm:
        yield
        return
    replaced = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.modules.batchnorm._BatchNorm)
    ]
    if not all(child.weight is None or child.weight.is_cuda for _, _, child in replaced):
        raise UserError("sync_batch_norm works on GPUs alone, because torch's SyncBatchNorm does")
    nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for parent, name, child in replaced:  # its parameters and statistics are those that were trained
            setattr(parent, name, child)


def _norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None
    ]


def _merge(norms: Sequence[nn.modules.batchnorm._BatchNorm], ranks: Ranks) -> None:
    """Sums the ranks' running statistics, each with its weight."""
    buffers, weighted = [], []
    for norm in norms:
        kept = 1.0 if norm.momentum is None else 1 - norm.momentum
        weight = kept ** (ranks.count - 1 - ranks.rank) / sum(kept**place for place in range(ranks.count))
        for buffer in (norm.running_mean, norm.running_var):
            assert buffer is not None
            buffers.append(buffer)
            weighted.append(buffer.double().flatten() * weight)
    summed = torch.cat(weighted)
    dist.all_reduce(summed)
    parts = torch.split(summed, [buffer.numel() for buffer in buffers])
    for buffer, part in zip(buffers, parts, strict=True):
        buffer.copy_(part.view_as(buffer))


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    """Environment variables that libraries read in between."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
