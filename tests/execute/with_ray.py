"""Ray's side of the harness, imported after the settings that Ray reads when it is imported."""

from __future__ import annotations

from harness.execute.ray_environment import prepare

prepare()

from ray.tune.search import Searcher  # noqa: E402

from harness.execute import ray_feeder  # noqa: E402

__all__ = ["Searcher", "ray_feeder"]
