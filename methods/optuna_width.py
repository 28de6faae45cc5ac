"""Widths by samplers of Optuna (Akiba et al., A Next-generation Hyperparameter Optimization Framework, KDD 2019)."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from harness.data.seeds import derive
from harness.method import Evaluate, Paper, SearchMethod, SearchParams, Task

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from harness.channels.space import WidthSpace

Sampler = Literal["tpe", "cmaes", "nsga2", "random"]


class TrialParams(SearchParams):
    """How many trials, and what they draw."""

    trials: Annotated[int, Field(ge=1, le=100_000, description="width vectors that are proposed")] = 30
    levels: Annotated[int, Field(ge=2, le=1000, description="ratios that a layer is proposed: 1/levels, …, 1")] = 10


class OptunaWidthParams(TrialParams):
    """Parameters of `optuna_width`."""

    sampler: Annotated[Sampler, Field(description="Optuna's: what proposes the next ratios")] = "tpe"


class TrialSearch(SearchMethod):
    """One keep ratio a layer, proposed by a sampler and scaled so that the widths meet the budget.

    The sampler sees the ratios as it drew them; the projection scales them all by one factor. So every trial is
    feasible, and the sampler needs no constraint. The first trial has equal ratios. The most accurate trial wins, of
    equals the first.
    """

    Params = TrialParams

    @abstractmethod
    def sampler(self, params: Any) -> Sampler:
        """Which sampler proposes."""

    def search(self, task: Task, evaluate: Evaluate, space: WidthSpace) -> Mapping[str, int]:
        """Asks, projects, evaluates, tells.

        The study lives in memory. After a kill it is told the same accuracies again, read from the journal, and each
        trial's sampler is seeded by the trial's number: so it comes to the same state without any pickle.
        """
        import torch

        params = task.params
        seed = int(torch.randint(2**62, (1,), generator=task.generator))
        found: list[tuple[float, dict[str, int]]] = []
        with _quiet():
            from optuna import create_study
            from optuna.distributions import IntDistribution

            study = create_study(direction="maximize")
            shares = {group: IntDistribution(1, params.levels) for group in space.sizes}
            study.enqueue_trial(dict.fromkeys(shares, params.levels))
            for number in range(params.trials):
                study.sampler = sampler_of(self.sampler(params), params.trials, derive(seed, "trial", number) % 2**32)
                trial = study.ask(dict(shares))
                widths = space.project({group: share / params.levels for group, share in trial.params.items()})
                accuracy = evaluate(widths, params.fidelity)
                study.tell(trial, accuracy)
                found.append((accuracy, widths))
        return max(found, key=lambda each: each[0])[1]


class OptunaWidth(TrialSearch):
    """The ratios of the layers are proposed by a sampler of Optuna that learns from the trials before."""

    name = "optuna_width"
    title = "Optuna width search"
    Params = OptunaWidthParams
    paper = Paper(
        "Akiba, Sano, Yanase, Ohta, Koyama",
        "Optuna: A Next-generation Hyperparameter Optimization Framework",
        "KDD",
        2019,
    )

    def sampler(self, params: Any) -> Sampler:
        """The one that the suite names."""
        named: Sampler = params.sampler
        return named


def sampler_of(name: Sampler, trials: int, seed: int) -> BaseSampler:
    """A sampler of Optuna for one trial; what it learned is in the study, not in the sampler.

    Args:
        trials: of the whole search; small ones get smaller generations.
        seed: below 2³².
    """
    from optuna import samplers

    if name == "tpe":
        return samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=min(10, 1 + trials // 3))
    if name == "cmaes":
        return samplers.CmaEsSampler(seed=seed, n_startup_trials=1, warn_independent_sampling=False)
    if name == "nsga2":
        return samplers.NSGAIISampler(seed=seed, population_size=max(4, min(50, trials // 5)))
    return samplers.RandomSampler(seed=seed)


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna says nothing: a trial is a detail of one row, and its experimental samplers are chosen on purpose."""
    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="optuna")
            warnings.filterwarnings("ignore", message=".*experimental.*")
            yield
    finally:
        logging.set_verbosity(before)
