"""Batches between which a training or a measurement can be interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from harness.data.interface import Loader


class InterruptibleLoader:
    """A loader that calls a function before each batch; what the function raises ends the pass."""

    def __init__(self, loader: Loader, between: Callable[[], None]) -> None:
        """Takes the loader and the function."""
        self.device, self.size = loader.device, loader.size
        self._loader, self._between = loader, between

    def __len__(self) -> int:
        """The number of images."""
        return len(self._loader)

    def epoch(self, *given: Any, **named: Any) -> Iterator[tuple[Tensor, Tensor]]:
        """As the loader's."""
        return self._each(self._loader.epoch(*given, **named))

    def plain(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """As the loader's."""
        return self._each(self._loader.plain(batch))

    def _each(self, batches: Iterator[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in batches:
            self._between()
            yield batch
