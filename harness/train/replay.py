"""A training step that is recorded once as a CUDA graph and then replayed: one launch for hundreds of operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

Act = Callable[[Tensor, Tensor], None]
"""A whole training step: (images [B, C, H, W], labels [B]); what it leaves, it leaves in tensors."""

WARM_STEPS = 3
"""Steps that run as they are before the recording: libraries choose and allocate in their first calls."""


class Recorder(Protocol):
    """Records an act without running it, and replays it."""

    def warm(self, act: Callable[[], None]) -> None:
        """Runs an act in the way that the recording will."""

    def record(self, act: Callable[[], None]) -> None:
        """Takes up an act; nothing is computed."""

    def replay(self) -> None:
        """Computes what was recorded, on what its tensors hold now."""


class CudaRecorder:
    """Records by `torch.cuda.graph`, which must not see the operations of other streams."""

    def __init__(self, device: torch.device) -> None:
        """Takes the device of all tensors that a step has."""
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graph = torch.cuda.CUDAGraph()

    def warm(self, act: Callable[[], None]) -> None:
        """Runs the act on the stream of the recording."""
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            act()
        torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)

    def record(self, act: Callable[[], None]) -> None:
        """Records what the act launches; other threads may go on using the device."""
        with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
            act()

    def replay(self) -> None:
        """One launch."""
        self._graph.replay()


class Replayed:
    """An act that runs as it is for its first steps, is then recorded, and from there on replayed.

    What it reads beside images and labels must stay in the same tensors, and what it does must be the same each time.
    """

    def __init__(self, act: Act, batch: int, recorder: Recorder) -> None:
        """Takes the act and the images a step; batches of another size go on running as they are."""
        self._act, self._batch, self._recorder = act, batch, recorder
        self._warm_steps = 0
        self._held: tuple[Tensor, Tensor] | None = None

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        """One step."""
        if len(images) != self._batch or self._warm_steps < WARM_STEPS:
            self._warm_steps += 1
            self._recorder.warm(lambda: self._act(images, labels))
            return
        if self._held is None:
            held = images.clone(), labels.clone()
            self._recorder.record(lambda: self._act(*held))
            self._held = held
        for held_tensor, tensor in zip(self._held, (images, labels), strict=True):
            held_tensor.copy_(tensor)
        self._recorder.replay()


def set_rate(optimiser: torch.optim.Optimizer, rate: float, held_on: torch.device | None) -> None:
    """Sets the learning rate of the next step: a number, or where steps are replayed the value of a held tensor."""
    for group in optimiser.param_groups:
        if held_on is None:
            group["lr"] = rate
        elif isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = torch.full((), rate, device=held_on)
