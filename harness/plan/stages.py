"""A cell's work as stages, each named by the content of all that decides its outcome."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from harness.data.catalogue import data_set
from harness.plan.costs import network_cost
from harness.plan.fingerprint import backbone_fingerprint, fingerprint
from harness.plan.solve import Solution, Try, limits_of, next_strength
from harness.registry import method
from harness.suite.cell import Cell, DataChoice, Solve
from harness.suite.protocol import scratch_epochs
from harness.suite.recipe import PHOTOGRAPH_OPTIONS, Recipe
from harness.suite.schedule import rates

if TYPE_CHECKING:
    from harness.plan.studies import Blocked

Kind = Literal["dense", "compress", "trim", "finetune", "choose", "measure"]

VERSIONS: dict[str, int] = {"dense": 1, "compress": 1, "trim": 1, "finetune": 1, "choose": 1, "measure": 1}
"""Raised by hand when the engine's own part of a stage changes what comes out."""

Results = Mapping[str, Mapping[str, Any]]
"""What finished stages told: {stage key: payload}."""


@dataclass(frozen=True)
class Stage:
    """A piece of work with a name of its own: two stages with one key are one stage.

    Attributes:
        key: sha256 over kind, version, configuration and parents' keys.
        config: all that decides the outcome, JSON values only; enough to run the stage without the suite.
        parents: keys of the stages whose artifacts it reads.
        epochs: passes over the training images.
        training_macs: multiply-adds of its training, estimated where the width is not known yet.
    """

    kind: Kind
    key: str
    config: dict[str, Any]
    parents: tuple[str, ...]
    epochs: int
    training_macs: int


@dataclass(frozen=True)
class Chain:
    """The stages of one cell, in the order in which they run.

    Attributes:
        stages: as far as they can be named now; the last is "measure" once nothing is unknown.
        waits_for: the deciding stage of the partner cell, while its outcome is needed and unknown.
        partner: the cell of that stage.
        deciding: the key of the stage that decides what is kept, once it can be named.
        solution: how the strength is being found, where the cell leaves it to be solved for.
        blocked: why a cell that rests on a study cannot be named.
        borrowed: so many of the first stages are another cell's: they say what to build, and are no part of the bill.
        controlled_macs: training MACs of the cell that this one controls, once they are known.
    """

    cell: Cell
    stages: tuple[Stage, ...]
    deciding: str | None
    waits_for: str | None = None
    partner: Cell | None = None
    solution: Solution | None = None
    blocked: Blocked | None = None
    borrowed: int = 0
    controlled_macs: int | None = None

    @property
    def own_stages(self) -> tuple[Stage, ...]:
        """The stages that the cell's bill holds."""
        return self.stages[self.borrowed :]

    @property
    def measure(self) -> Stage | None:
        """The last stage, or None while the chain cannot be named to its end."""
        return self.stages[-1] if self.stages and self.stages[-1].kind == "measure" else None


def training_images(data: DataChoice, all_train: bool) -> int:
    """How many images weights are trained on."""
    declared = data_set(data.name)
    available = declared.train_images - (0 if all_train else declared.held_out_images)
    return min(data.train_images or available, available)


def chain_of(cell: Cell, results: Results) -> Chain:
    """Names the stages of a cell, given what is known of finished ones."""
    if cell.tuned is not None:
        from harness.plan.studies import Blocked, settled

        found = settled(cell, results)
        if isinstance(found, Blocked):
            return Chain(cell, (), None, blocked=found)
        cell = found
    if cell.scratch_of is not None:
        return _control(cell, chain_of(cell.scratch_of, results), results)
    known = _Known(cell)
    dense = known.dense()
    stages: list[Stage] = [] if dense is None else [dense]
    root = () if dense is None else (dense.key,)

    target: int | None = None
    widths: dict[str, int] | None = None
    partner = cell.partner
    if partner is not None:
        theirs = chain_of(partner, results)
        if theirs.blocked is not None and theirs.blocked.state == "vacant":
            return Chain(cell, (), None, blocked=theirs.blocked)
        deciding = theirs.deciding
        outcome = results.get(deciding) if deciding is not None else None
        if outcome is None:
            return Chain(cell, tuple(stages), None, waits_for=deciding or "", partner=partner)
        if cell.match is not None:
            target = int(outcome["macs"])
        else:
            widths = {group: int(kept) for group, (kept, _) in outcome["widths"].items()}
    elif cell.budget is not None:
        target = cell.budget.absolute(getattr(known.cost, cell.budget.metric))

    solution: Solution | None = None
    if cell.solve is not None:
        assert target is not None
        solution, searches = known.solved(cell.solve, root, target, results)
        stages += searches[:-1]
        if searches[-1].key not in results:
            return Chain(cell, (*stages, searches[-1]), None, solution=solution)
        decide = next(stage for stage in searches if known.strength(stage) == solution.best.strength)
        stages += [stage for stage in searches[-1:] if stage is not decide]
        stages = [stage for stage in stages if stage is not decide]
    elif cell.candidates:
        naturals = [next(s for s in chain_of(each, results).stages if s.kind == "compress") for each in cell.candidates]
        stages += naturals
        decide = known.trim(naturals, target)
    else:
        decide = known.compress(root, target, widths)
    kept_macs = int(results[decide.key]["macs"]) if decide.key in results else known.guess_macs(target)
    trained = known.trained(decide, kept_macs)
    return Chain(cell, (*stages, decide, *trained, known.measure(trained[-1])), decide.key, solution=solution)


def _control(cell: Cell, controlled: Chain, results: Results) -> Chain:
    """The stages of a control from new weights: those that decide the widths, and its own training."""
    deciding = controlled.deciding
    if deciding is None:
        return replace(controlled, cell=cell, borrowed=len(controlled.stages))
    known = _Known(cell)
    keys = [stage.key for stage in controlled.stages]
    borrowed = controlled.stages[: keys.index(deciding) + 1]
    # what a method's search billed is known once it ran; all else is exact beforehand
    searches = [stage.key for stage in borrowed if stage.kind in {"compress", "trim"}]
    decided = all(key in results for key in searches)
    if not decided and cell.scratch == "macs":
        return Chain(cell, borrowed, None, deciding, cell.scratch_of, borrowed=len(borrowed))
    bill = None
    if decided:
        bill = sum(
            int(results[stage.key]["training_macs"]) if stage.key in searches else stage.training_macs
            for stage in controlled.stages
        )
    kept_macs = int(results[deciding]["macs"]) if decided else known.guess_macs(None)
    scratch = known.scratch(borrowed[-1], kept_macs, bill or 0)
    chain = (*borrowed, scratch, known.measure(scratch))
    return replace(controlled, cell=cell, stages=chain, deciding=deciding, borrowed=len(borrowed), controlled_macs=bill)


def outline(cell: Cell) -> list[Stage]:
    """The stages of a cell whose partner's outcome is not known yet, under names that serve for sums alone."""
    known = _Known(cell)
    if cell.scratch_of is not None:
        decided = replace(known.compress((), None, None), key=f"{cell.label}/compress")
        controlled = chain_of(cell.scratch_of, {})
        unnamed = [] if controlled.measure is not None else outline(cell.scratch_of)
        bill = sum(stage.training_macs for stage in (*controlled.stages, *unnamed))
        scratch = replace(known.scratch(decided, known.guess_macs(None), bill), key=f"{cell.label}/finetune")
        return [scratch, _stage("measure", {**known.identity, "of": cell.label}, (), 0, 0)]
    decide = replace(known.compress((), None, None), key=f"{cell.label}/compress")
    finetune = replace(known.finetune(decide, known.guess_macs(None)), key=f"{cell.label}/finetune")
    return [decide, finetune, _stage("measure", {**known.identity, "of": cell.label}, (), 0, 0)]


class _Known:
    """What of a cell is the same for all its stages."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.method = method(cell.method)
        self.params = _validated(cell.method, json.dumps(cell.params, sort_keys=True))
        recipe = self.method.recipe(self.params, cell.recipe)
        self.recipe = recipe
        self.all_train = recipe.all_train and not self.method.needs_held_out
        self.images = training_images(cell.data, self.all_train)
        self.cost = network_cost(cell.backbone, cell.data.name)
        self.identity = {"backbone": cell.backbone, "data": cell.data.name, "seed": cell.seed}
        if (source := backbone_fingerprint(cell.backbone)) is not None:
            self.identity["backbone_source"] = source
        declared = data_set(cell.data.name)
        self.training = _training(recipe, declared.photographs) | {
            "train_images": cell.data.train_images,
            "all_train": self.all_train,
            "checksum": declared.checksum,
        }
        # What fine-tuning alone has; left out where it is off, so that what was named without it keeps its name.
        self.tested = {"record_test_curve": True} if recipe.record_test_curve else {}
        self.schedule = self.method.finetune_schedule(self.params, recipe.epochs)
        self.search_epochs = self.method.search_epochs(self.params, recipe.epochs.search)

    def dense(self) -> Stage | None:
        """The training that all methods of this backbone, data set, recipe and seed start from."""
        if self.method.starts_from == "scratch":
            return None
        epochs = self.recipe.epochs
        goes_on = self.schedule.start == epochs.dense
        length = self.schedule.length if goes_on else self.recipe.dense_horizon or epochs.schedule
        learning_rates, count = _rates(self.recipe, length, 0, epochs.dense)
        config = {**self.identity, **self.training, "learning_rates": learning_rates}
        return _stage("dense", config, (), count, 3 * self.cost.macs * self.images * count)

    def solved(
        self, solve: Solve, parents: tuple[str, ...], target: int, results: Results
    ) -> tuple[Solution, list[Stage]]:
        """The searches so far, each a natural outcome's own stage; the last is open unless the search has ended."""
        metric = self.cell.budget.metric if self.cell.budget is not None else "macs"
        name, limits = str(self.method.strength), limits_of(self.method)
        solution = Solution(target, solve.within, ())
        searches: list[Stage] = []
        while (strength := next_strength(solution, solve.start, limits, solve.searches)) is not None:
            natural = replace(
                self.cell, params={**self.cell.params, name: strength}, budget=None, match=None, solve=None
            )
            searches.append(_Known(natural).compress(parents, None, None))
            outcome = results.get(searches[-1].key)
            if outcome is None:
                break
            solution = replace(solution, tries=(*solution.tries, Try(strength, int(outcome[metric]))))
        return solution, searches

    def strength(self, stage: Stage) -> float:
        """The strength that a search runs with."""
        return float(stage.config["params"][self.method.strength])

    def compress(self, parents: tuple[str, ...], target: int | None, widths: dict[str, int] | None) -> Stage:
        """The method's own act."""
        cell = self.cell
        config = {
            **self.identity,
            **self.training,
            "method": cell.method,
            "source": fingerprint(cell.method),
            "params": cell.params,
            "search_epochs": self.recipe.epochs.search,
            "first_epoch": self.recipe.epochs.dense,
            "cuts": list(cell.cuts),
            "target": target,
            "metric": cell.budget.metric if cell.budget is not None else "macs",
            "allocate": cell.allocate,
            "widths": widths,
        }
        if cell.normalise != "mean":
            config["normalise"] = cell.normalise
        if cell.profile is not None:
            config["profile"] = {"rates": [list(rate) for rate in cell.profile.rates], "most": cell.profile.most}
        macs = 2 * self.cost.macs * self.images * self.search_epochs
        return _stage("compress", config, parents, self.search_epochs, macs)

    def trim(self, naturals: list[Stage], target: int | None) -> Stage:
        """Takes the natural outcome nearest above the budget and removes its weakest channels."""
        config = {
            **self.identity,
            "target": target,
            "metric": self.cell.budget.metric if self.cell.budget is not None else "macs",
            "cuts": list(self.cell.cuts),
        }
        if self.method.reopens:
            config["reopens"] = True
        return _stage("trim", config, tuple(stage.key for stage in naturals), 0, 0)

    def finetune(self, decided: Stage, kept_macs: int, *, tenth: bool = False) -> Stage:
        """Trains what was kept, on the schedule's rates or a tenth of them."""
        start, length = self.schedule.start, self.schedule.length
        recipe = self.recipe.model_copy(update={"lr": self.recipe.lr / 10}) if tenth else self.recipe
        learning_rates, count = _rates(recipe, length, start, length)
        fresh = self.method.starts_from == "scratch"
        epochs = self.recipe.epochs
        config = {
            **self.identity,
            **self.training,
            **self.tested,
            "learning_rates": learning_rates,
            "first_epoch": 0 if fresh else epochs.dense + self.search_epochs,
        }
        return _stage("finetune", config, (decided.key,), count, 3 * kept_macs * self.images * count)

    def trained(self, decided: Stage, kept_macs: int) -> tuple[Stage, ...]:
        """The stages that train what was kept; the last one leaves the weights that are measured."""
        wanted = self.recipe.finetune_lr if self.method.is_finetuned(self.params) else "base"
        if wanted == "base":
            return (self.finetune(decided, kept_macs),)
        tenth = self.finetune(decided, kept_macs, tenth=True)
        if wanted == "tenth":
            return (tenth,)
        base = self.finetune(decided, kept_macs)
        stated = {"rates": [self.recipe.lr, self.recipe.lr / 10]}
        choose = _stage("choose", {**self.identity, **self.training, **stated}, (base.key, tenth.key), 0, 0)
        return base, tenth, choose

    def scratch(self, decided: Stage, kept_macs: int, bill: int) -> Stage:
        """Trains new weights in what was kept, on the schedule stretched to as long as that may take."""
        assert self.cell.scratch is not None
        per_epoch = 3 * kept_macs * self.images
        length = scratch_epochs(self.cell.scratch, self.recipe.epochs.total, bill, per_epoch)
        learning_rates, count = _rates(self.recipe, length, 0, length)
        own = {"learning_rates": learning_rates, "first_epoch": 0, "fresh": True}
        config = {**self.identity, **self.training, **self.tested, **own}
        return _stage("finetune", config, (decided.key,), count, per_epoch * count)

    def measure(self, trained: Stage) -> Stage:
        """Reads the test split once."""
        config = {**self.identity, "test": data_set(self.cell.data.name).checksum}
        return _stage("measure", config, (trained.key,), 0, 0)

    def guess_macs(self, target: int | None) -> int:
        """What a cut network will cost while that is not known: the budget, else half of the whole."""
        if target is not None and (self.cell.budget is None or self.cell.budget.metric == "macs"):
            return target
        if self.method.takes_budget == "refused":
            return self.cost.macs
        return self.cost.macs // 2


def _stage(kind: Kind, config: dict[str, Any], parents: tuple[str, ...], epochs: int, macs: int) -> Stage:
    content = {"kind": kind, "version": VERSIONS[kind], "config": config, "parents": parents}
    key = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return Stage(kind, key, config, parents, epochs, macs)


@cache
def _validated(name: str, params: str) -> Any:
    return method(name).Params.model_validate_json(params)


@cache
def _training(recipe: Recipe, photographs: bool) -> dict[str, Any]:
    wanted = {"batch", "momentum", "weight_decay", "rebuild_momentum", "augment", "channels_last", "precision"}
    wanted |= {"accumulate", "compile", "cuda_graphs", "deterministic"}
    return recipe.model_dump(include=wanted | PHOTOGRAPH_OPTIONS if photographs else wanted)


def _rates(recipe: Recipe, length: int, start: int, end: int) -> tuple[list[float] | dict[str, Any], int]:
    """Learning rates as a stage states them, and the number of epochs."""
    stated = _stated_rates(recipe, length, start, end)
    return (dict(stated), int(stated["epochs"])) if isinstance(stated, dict) else (list(stated), len(stated))


@cache
def _stated_rates(recipe: Recipe, length: int, start: int, end: int) -> list[float] | dict[str, Any]:
    return rates(recipe, length, start, end)
