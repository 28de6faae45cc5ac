"""Stand-in methods, so that these tests hold whatever methods ship."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from harness import registry
from harness.method import Compressed, Method, Params, Task
from harness.suite.load import Suite, load_suite


class _StandIn(Method):
    def compress(self, task: Task) -> Compressed:
        raise NotImplementedError


class Dense(_StandIn):
    name, title, takes_budget = "dense", "Dense", "refused"


class DnalParams(Params):
    lambda_a: Annotated[float, Field(gt=0)] = 1e-4
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.9
    schedule: Literal["exponential", "linear"] = "exponential"


class Dnal(_StandIn):
    name, title, takes_budget, strength, Params = "dnal", "DNAL", "optional", "lambda_a", DnalParams


class L1Norm(_StandIn):
    name, title = "l1_norm", "L1"


class RandomParams(Params):
    rounds: Annotated[int, Field(ge=1)] = 1
    steps: tuple[int, ...] = (1,)
    start: int | Literal["warm"] | None = None


class Random(_StandIn):
    name, title, Params = "random", "Random", RandomParams


class FussyParams(Params):
    depth: int

    def model_post_init(self, context: Any) -> None:
        if self.depth > 5:
            raise RuntimeError("too deep for this author's code")


class Fussy(_StandIn):
    name, title, takes_budget, Params = "fussy", "Fussy", "optional", FussyParams


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = {method.name: method for method in (Dense, Dnal, L1Norm, Random, Fussy)}
    broken = {"cracked": registry.Broken("cracked", "methods.cracked", "ImportError: no module named 'abacus'")}
    monkeypatch.setattr(registry, "_found", lambda: (sound, broken))


HEAD = """\
suite: tiny
dataset: digits
backbones: [vgg_digits]
seeds: [0]
recipe: short_digits
"""

Load = Callable[..., Suite]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a suite from text: a whole file, or with `methods` the entries under `methods:` of a small one."""

    def loaded(
        text: str = "", *, methods: str = "", profile: str | None = None, overrides: Sequence[str] = ()
    ) -> Suite:
        path = tmp_path / "tiny.yaml"
        path.write_text(f"{HEAD}methods:\n{methods}\n" if methods else text, encoding="utf-8")
        return load_suite(str(path), profile, overrides)

    return loaded
