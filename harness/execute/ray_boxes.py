"""What a driver hands to its running workers; a file of its own, because its process needs neither torch nor Tune."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any


class Boxes:
    """A box of jobs a worker, in an actor of its own: Tune has no other way to hand something to a running trial."""

    def __init__(self) -> None:
        self._boxes: dict[str, asyncio.Queue[dict[str, Any] | None]] = defaultdict(asyncio.Queue)

    async def give(self, worker: str, job: dict[str, Any] | None) -> None:
        """Puts a job into a worker's box; None sends the worker home."""
        await self._boxes[worker].put(job)

    async def take(self, worker: str) -> dict[str, Any] | None:
        """The next job of a worker, once there is one."""
        return await self._boxes[worker].get()
