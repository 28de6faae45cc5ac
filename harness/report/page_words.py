"""The page's words: what was found, by which methods, under which protocol, on which machines."""

from __future__ import annotations

import inspect
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.report import numbers
from harness.report.entries import Entry
from harness.report.facts import SuiteFacts
from harness.report.page_cells import provenance
from harness.report.table import Table
from harness.stats.pareto import front
from harness.store.rows import Row
from harness.suite.recipe import Recipe


@dataclass(frozen=True)
class MethodWords:
    """A method in words: its title, name, what its file says of it, the paper's citation, parameters that the suite
    states (name, values)."""

    title: str
    name: str
    told: tuple[str, ...]
    paper: str
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Environment:
    """A place where cells were measured: how many, and (name, text) of what is known of it."""

    cells: int
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Summary:
    """What stands on top: {state: cells}, sentences, and for each backbone its title and the front in words."""

    states: dict[str, int]
    sentences: tuple[str, ...]
    fronts: tuple[tuple[str, tuple[str, ...]], ...]


def summary(rows: Sequence[Row], tables: Sequence[Table], facts: SuiteFacts) -> Summary:
    """The page's first words."""
    counted = Counter(row.state for row in rows)
    states = {state: counted[state] for state in ("done", "failed", "running", "waiting") if counted[state]}
    methods = len({row.cell.method for row in rows})
    seeds = len({row.cell.seed for row in rows})
    sentences = [
        f"{_many(methods, 'method')}, {_many(len(tables), 'backbone')}, {_many(seeds, 'seed')} on {facts.data_title}: "
        f"{_many(len(rows), 'cell')}."
    ]
    return Summary(states, tuple(sentences), tuple((table.title, _front(table)) for table in tables))


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _front(table: Table) -> tuple[str, ...]:
    """The points of the Pareto front of the means over MACs, dearest first, one phrase each."""
    known: list[tuple[Entry, float, float]] = []
    for entry in table.entries:
        macs, top1 = entry.spread("macs"), entry.accuracy("top1")
        if macs is not None and top1 is not None:
            known.append((entry, macs.mean, top1.mean))
    told = []
    for position in reversed(front([(macs, top1) for _, macs, top1 in known])):
        entry = known[position][0]
        top1, ratio = entry.accuracy("top1"), entry.ratio("macs")
        assert top1 is not None
        at = f"at {numbers.ratio(ratio)} fewer MACs" if ratio is not None and ratio > 1.001 else "uncut"
        told.append(f"{table.title_of(entry)}: {numbers.interval(top1)} % {at}")
    return tuple(told)


def method_words(rows: Sequence[Row], facts: SuiteFacts) -> list[MethodWords]:
    """One for each method that has cells, in the suite's order."""
    from harness.registry import methods

    stated: dict[str, dict[str, dict[str, None]]] = {}
    for row in rows:
        cell = row.cell
        known = stated.setdefault(cell.method, {})
        for name in (*cell.shown, *cell.constant):
            if name in cell.params:
                value = cell.params[name]
                text = json.dumps(value, default=str) if isinstance(value, dict | list) else numbers.plain(value)
                known.setdefault(name, {})[text] = None
    found = []
    for name, parameters in stated.items():
        author = methods().get(name)
        told: tuple[str, ...] = ()
        paper = ""
        if author is not None:
            module = sys.modules.get(author.__module__)
            told = _paragraphs(module.__doc__ if module is not None else author.__doc__)
            if author.paper is not None:
                cited = author.paper
                paper = f"{cited.authors}: {cited.title}. {cited.venue}, {cited.year}."
        values = tuple((each, ", ".join(texts)) for each, texts in parameters.items())
        found.append(MethodWords(facts.method_title(name), name, told, paper, values))
    return found


def _paragraphs(text: str | None) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in inspect.cleandoc(text or "").split("\n\n") if part.strip())


def protocol(rows: Sequence[Row], facts: SuiteFacts) -> tuple[str, ...]:
    """How the figures were made, a sentence or two a paragraph."""
    recipe, epochs = facts.recipe, facts.recipe.epochs
    told = [
        f"Every method has the same {epochs.total} epochs: {epochs.dense} of dense training, which the methods of a "
        f"seed share, {epochs.search} of search, {epochs.finetune} of fine-tuning what was kept; a method that needs "
        f"no search fine-tunes for longer, one that starts from new weights trains for all of them.",
        f"Weights are trained by SGD on batches of {recipe.batch} images with momentum {recipe.momentum:g}, weight "
        f"decay {numbers.plain(recipe.weight_decay)} and a learning rate of {numbers.plain(recipe.lr)} "
        f"{_schedule(recipe)}, in {recipe.arithmetic}"
        f"{', with the augmentation of the data set' if recipe.augment else ', without augmentation'}.",
    ]
    declared = facts.declared_data
    if declared is not None:
        held, images = f"{declared.held_out_images:,}", f"{declared.train_images:,}"
        told.append(
            f"Weights are trained on all {images} training images; a method that reads held-out images keeps {held} of "
            "them out of its training."
            if recipe.all_train
            else f"{held} of the {images} training images are held out; every choice reads these alone."
        )
    told.append(
        "The test split is read once a cell, after the last epoch. Networks are physically narrowed before they are "
        "fine-tuned, counted and measured. Costs of a cell include the stages that it shares, in full."
    )
    if facts.digest:
        told.append(f"SHA-256 of the resolved suite: {facts.digest}.")
    return tuple(told)


def _schedule(recipe: Recipe) -> str:
    if recipe.schedule == "step":
        steps = ", ".join(f"{100 * milestone:g} %" for milestone in recipe.milestones)
        return f"that is multiplied by {recipe.gamma:g} at {steps} of its schedule of {recipe.epochs.schedule} epochs"
    if recipe.schedule == "cosine":
        return f"that falls as a cosine over {recipe.epochs.schedule} epochs"
    return "that stays"


def environments(rows: Sequence[Row]) -> list[Environment]:
    """The places where cells were measured, most cells first; load averages are not what tells them apart."""
    counted: Counter[tuple[tuple[str, str], ...]] = Counter()
    for row in rows:
        known = {name: value for name, value in row.provenance.items() if name != "load_average"}
        if known:
            counted[provenance(known)] += 1
    return [Environment(cells, facts) for facts, cells in counted.most_common()]
