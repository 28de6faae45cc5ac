"""What a ledger may say of a stage that is done or has failed: types and ranges of all that rows are made of.

Digests tell damage, not intent: whoever writes a ledger can compute them. What is not named here is passed on unread.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from typing_extensions import TypedDict

from harness.errors import UserError


class Told(dict[str, Any]):
    """A payload of the ledger; to ask for what it does not tell is a UserError that says whose payload it is.

    Attributes:
        kind: of the stage that told it.
        key: of the stage.
        folder: of the ledger.
    """

    def __init__(self, values: Mapping[str, Any], kind: str, key: str, folder: Path) -> None:
        super().__init__(values)
        self.kind = kind
        self.key = key
        self.folder = folder

    @property
    def whose(self) -> str:
        """The ledger and the stage, in words."""
        return f"what the ledger {self.folder} holds of the {self.kind} stage {self.key[:12]}"

    def __missing__(self, name: str) -> Any:
        raise UserError(f"{self.whose} does not say {name!r}: it is damaged")

    def of_stage(self) -> Told:
        """What stages tell each other, all of it validated.

        Raises:
            UserError: it was not told by a stage.
        """
        if self.kind not in _STAGES:
            raise UserError(f"{self.whose} was not told by a stage: it is damaged")
        return Told({name: self[name] for name in self if name in _KNOWN}, self.kind, self.key, self.folder)


_STAGES = ("dense", "compress", "trim", "finetune", "choose", "measure")

Count = Annotated[int, Field(ge=0, le=10**30)]
Positive = Annotated[int, Field(gt=0, le=10**30)]
Share = Annotated[float, Field(ge=0, le=1)]
Loss = Annotated[float, Field(ge=-1e30, le=1e30)]
Epoch = Annotated[int, Field(ge=0, le=10**6)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]
Size = Annotated[list[Count], Field(min_length=2, max_length=2)]


class _Told(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Whole(BaseModel):
    """Its fields are those of what is made of it."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Gates(_Whole):
    """How gates are spread."""

    low: Loss
    high: Loss
    counts: Annotated[list[Count], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError("it begins where it ends, or behind")
        return self


class Point(_Whole):
    """One epoch."""

    stage: str
    epoch: Epoch
    loss: Loss
    train_top1: Share
    held_out_top1: Share | None
    gates: Gates | None = None
    test_top1: Share | None = None


class Search(_Whole):
    """The bill of a search."""

    evaluations: Count = 0
    epochs: Seconds = 0.0
    macs: Count = 0
    seconds: Seconds = 0.0


class Done(TypedDict, total=False):
    """A stage of any kind."""

    cell: str
    epochs: Count
    training_macs: Count
    train_images: Count | None
    seconds: Seconds
    curve: list[Point]
    macs: Positive
    params: Positive
    paper_flops: Positive
    paper_params: Positive
    dense_macs: Positive
    dense_params: Positive
    dense_paper_flops: Positive
    dense_paper_params: Positive
    target: Count | None
    metric: Literal["macs", "params"]
    widths: dict[str, Size]
    cuttable: list[str]
    notes: list[str]
    search: Search
    chosen: str
    top1: Share
    top5: Share
    provenance: dict[str, Any]


_KNOWN = frozenset(Done.__annotations__)
_DECIDED = ("macs", "params", "widths", "cuttable")
_COSTS = ("macs", "params", "paper_flops", "paper_params")
_NEEDED = {
    "compress": _DECIDED,
    "trim": _DECIDED,
    "measure": ("top1", "top5", *_COSTS, *(f"dense_{cost}" for cost in _COSTS)),
}
"""{kind of a stage: what it must tell}."""


class Bill(_Told):
    """What one stage of a study took."""

    kind: str
    epochs: Count
    training_macs: Count
    seconds: Seconds


class EndedTrial(_Told):
    """A trial of a study."""

    number: Count
    params: dict[str, Any]
    state: Literal["complete", "stopped", "failed"]
    reason: str
    curve: list[Share]
    top1: Share | None
    macs: Count | None
    params_count: Count | None
    epochs: Count = 0
    stages: dict[str, Bill] = {}


class EndedStudy(_Whole):
    """A study and its trials."""

    cell: str = ""
    trials: list[EndedTrial]
    best: list[Count]
    stages: dict[str, Bill]
    provenance: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check_numbers(self) -> Self:
        if [trial.number for trial in self.trials] != list(range(len(self.trials))):
            raise ValueError("its trials are not numbered from 0")
        if any(number >= len(self.trials) for number in self.best):
            raise ValueError("the best is none of its trials")
        return self


class Conditions(_Whole):
    """How a network was timed."""

    batch: Count
    device: str
    device_name: str
    threads: Count
    channels_last: bool
    compiled: bool
    precision: str = "float32"


class Timed(_Whole):
    """A network that was timed."""

    of: str
    settings: Conditions
    median: Seconds
    quartiles: Annotated[list[Seconds], Field(min_length=2, max_length=2)]
    passes: Count
    drift: float
    peak_memory: Count | None
    provenance: dict[str, Any] = {}


class Failed(_Told):
    """A stage that failed."""

    cell: str = ""
    reason: str = ""
    message: str = ""


_FORMS: dict[str, Any] = {"trial": EndedTrial, "study": EndedStudy, "latency": Timed}
"""{kind: what it tells}; all others are stages."""


def fault(kind: str, told: Mapping[str, Any]) -> str | None:
    """What is wrong with the result of a stage of a kind, in a few words; None if it can be used."""
    missing = next((name for name in _NEEDED.get(kind, ()) if name not in told), None)
    return f"{missing} is missing" if missing is not None else _fault(_FORMS.get(kind, Done), told)


def failure_fault(told: Mapping[str, Any]) -> str | None:
    """What is wrong with the account of a failure; None if it can be used."""
    return _fault(Failed, told)


def _fault(form: Any, told: Mapping[str, Any]) -> str | None:
    try:
        _adapter(form).validate_python(told, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return None


@cache
def _adapter(form: Any) -> TypeAdapter[Any]:
    return TypeAdapter(form)
