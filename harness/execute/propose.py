"""Which parameters a trial tries: asked of Optuna, from the outcomes that the ledger holds and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from harness.data.seeds import derive
from harness.plan.studies import LARGER_IS_BETTER, values
from harness.suite.study import Domain, Study

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

STUDY = "study"
"""What Optuna calls the study."""

Propose = Callable[[Study, int, Sequence[Mapping[str, Any]]], dict[str, Any]]
"""(study, number of the trial, outcomes that it may know) → {parameter: value}."""


def propose(study: Study, number: int, known: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The parameters of a trial: a function of the study, the number and the outcomes that are known of earlier trials.

    The sampler is Optuna's TPE, made anew for each trial with a seed of its own, so that there is no state to keep: a
    study that was killed goes on as if it had not been.
    """
    import optuna

    asked = optuna.load_study(study_name=STUDY, storage=storage(study, known), sampler=sampler(study, number))
    return dict(asked.ask(fixed_distributions=distributions(study)).params)


def storage(study: Study, known: Sequence[Mapping[str, Any]]) -> BaseStorage:
    """Optuna's memory, holding the known trials.

    A trial that was stopped early counts with what it had reached, as Ray Tune's OptunaSearch has it; one that failed
    counts as failed.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    memory = optuna.storages.InMemoryStorage()
    directions: list[Literal["maximize", "minimize"]] = [
        "maximize" if name in LARGER_IS_BETTER else "minimize" for name in study.objectives
    ]
    told = optuna.create_study(storage=memory, study_name=STUDY, directions=directions)
    space = distributions(study)
    for trial in known:
        failed = trial["state"] == "failed"
        told.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE,
                values=None if failed else values(study, trial),
                params=dict(trial["params"]),
                distributions=space,
            )
        )
    return memory


def sampler(study: Study, number: int) -> BaseSampler:
    """The sampler of one trial."""
    import optuna

    # NumPy takes 32 bits
    return optuna.samplers.TPESampler(seed=derive(study.trial.seed, "study", number) % 2**32)


def distributions(study: Study) -> dict[str, BaseDistribution]:
    """The space in Optuna's terms."""
    return {name: _distribution(domain) for name, domain in study.space}


def _distribution(domain: Domain) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if domain.kind == "choice":
        return CategoricalDistribution(domain.values)
    low, high = (float(str(value)) for value in domain.values[:2])
    if domain.kind == "randint":
        return IntDistribution(int(low), int(high) - 1)
    step = float(str(domain.values[2])) if domain.kind == "quniform" else None
    return FloatDistribution(low, high, log=domain.kind == "loguniform", step=step)
