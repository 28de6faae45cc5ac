"""A method that does nothing, so that what a cell still costs is the harness; see `bench/overhead.py`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from harness.method import Compressed, Method, Params, Task


class NoOpParams(Params):
    """What tells the cells apart."""

    number: Annotated[int, Field(ge=0, description="of the cell")] = 0


class NoOp(Method):
    """Keeps every channel."""

    name = "no_op"
    title = "No-op"
    Params = NoOpParams
    takes_budget: ClassVar[Literal["required", "optional", "refused"]] = "refused"

    def compress(self, task: Task) -> Compressed:
        """Nothing is cut."""
        del task
        return Compressed(kept={})
