"""Widths by lot: the control that every width search must beat at an equal number of trials."""

from __future__ import annotations

from typing import Any

from methods.optuna_width import Sampler, TrialSearch


class RandomSearch(TrialSearch):
    """The ratios of the layers are uniform random numbers, whatever the trials before gave."""

    name = "random_search"
    title = "Random width search"

    def sampler(self, params: Any) -> Sampler:
        """The one that learns nothing."""
        del params
        return "random"
