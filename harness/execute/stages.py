"""The work of each kind of stage: reads its parents' artifacts, returns its own and what the ledger keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from harness.channels.allocate import met, refilled, trim, trim_whole
from harness.channels.choose import with_a_way
from harness.channels.cost import CostModel
from harness.channels.graph import ChannelGraph, KeptChannels
from harness.channels.paper import paper_cost
from harness.channels.surgery import cut
from harness.data.seeds import derive
from harness.errors import StageFailure
from harness.execute.contract import check_agreement, check_budget, check_epochs, check_weights, checked_kept
from harness.execute.journal import EVALUATIONS, record
from harness.execute.network import (
    SCORES,
    WEIGHTS,
    Decision,
    changed_weights,
    cut_fresh,
    example_of,
    fresh_network,
    graph_of,
    macs_of,
    model_of,
    read_tensors,
    trained_network,
    trained_weights,
    widths_of,
)
from harness.execute.place import Place
from harness.execute.spread import spread
from harness.execute.task import HarnessTask
from harness.measure.accuracy import measure_accuracy
from harness.measure.macs import count_macs, count_params
from harness.registry import method
from harness.store.rows import SearchBill
from harness.train.checkpoint import tensors_to_bytes
from harness.train.device import check_device, only_deterministic
from harness.train.loop import Progress, Source, Step, accuracy, train_epochs
from harness.train.rates import rates_of

SPREAD = frozenset({"dense", "finetune"})
"""The kinds of stages that several ranks share. A method's own act is one process's: what it does between and within
steps cannot be shared out; it trains all micro-batches of a step in turn, which comes to the same."""


@dataclass(frozen=True)
class Outcome:
    """What a stage made.

    Attributes:
        files: the artifact, {name: content}.
        facts: what the ledger keeps; JSON values only.
    """

    files: dict[str, bytes]
    facts: dict[str, Any]


def run_stage(place: Place, kind: str, key: str, config: Mapping[str, Any], parents: tuple[str, ...]) -> Outcome:
    """Runs one stage whose parents are done, in as many processes as the place has ranks.

    Raises:
        UserError: the recipe asks for what the device does not have.
    """
    check_device(config, place.device)
    if place.ranks.count > 1 and kind in SPREAD:
        return spread(place, (kind, key, config, parents), lambda own: run_alone(own, kind, key, config, parents))
    return run_alone(place, kind, key, config, parents)


def run_alone(place: Place, kind: str, key: str, config: Mapping[str, Any], parents: tuple[str, ...]) -> Outcome:
    """The part of one process in a stage."""
    runners: dict[str, Callable[[Place, str, Mapping[str, Any], tuple[str, ...]], Outcome]] = {
        "dense": _dense,
        "compress": _compress,
        "trim": _trim,
        "finetune": _finetune,
        "choose": _choose,
        "measure": _measure,
    }
    with only_deterministic(config.get("deterministic", False), place.device):
        return runners[kind](place, key, config, parents)


def _dense(place: Place, key: str, config: Mapping[str, Any], parents: tuple[str, ...]) -> Outcome:
    network = fresh_network(config)
    macs = count_macs(network, example_of(config["data"]))
    progress, images = _train_weights(place, key, config, network, "dense", first_epoch=0)
    facts = _billed(progress, 3 * macs * images * progress.epochs) | {"macs": macs, "train_images": images}
    return Outcome({WEIGHTS: tensors_to_bytes(network.state_dict())}, facts)


def _compress(place: Place, key: str, config: Mapping[str, Any], parents: tuple[str, ...]) -> Outcome:
    author = method(config["method"])
    network = fresh_network(config)
    base = parents[0] if parents else None
    if base is not None:
        weights, _ = read_tensors(place.results, base, WEIGHTS)
        network.load_state_dict(weights)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    task = HarnessTask(place, key, config, author.Params.model_validate(config["params"]), network)
    decided = author().compress(task)
    kept = task.graph.settled(checked_kept(task.graph, decided.kept))
    left = decided.network or task.network
    after = left.state_dict()
    check_epochs(task.billed.epochs, author.search_epochs(task.params, config["search_epochs"]))
    widths = widths_of(task.graph, kept)
    check_budget(task.cost(widths), task.target, config["metric"], granted=widths == task.granted)
    if not decided.fresh:
        check_weights(before, after)
        check_agreement(left, config, task.graph, kept)
    decision = Decision(kept, None if decided.fresh else base, {} if decided.fresh else changed_weights(before, after))
    files = {WEIGHTS: decision.to_bytes()}
    if decided.scores is not None:
        files[SCORES] = tensors_to_bytes(decided.scores)
    facts = _billed(task.billed, task.training_macs) | _size(task.graph, task.model, kept, task.target, config)
    notes = [*decided.notes, *_removed(task.graph, kept)]
    if task.searched:
        files[EVALUATIONS] = record(task.searched)
        bill = SearchBill.of(task.searched)
        facts["search"] = asdict(bill)
        notes.append(str(bill))
    return Outcome(files, facts | {"notes": notes})


def _trim(place: Place, key: str, config: Mapping[str, Any], parents: tuple[str, ...]) -> Outcome:
    whole = fresh_network(config)
    graph, model = graph_of(config, whole), model_of(config, whole)
    count = model.params if config["metric"] == "params" else model.macs
    target = config["target"]
    reached = []
    for parent in parents:
        decision = Decision.read(place.results, parent)
        reached.append((count(widths_of(graph, decision.kept)), parent, decision))
    if target >= count(graph.widths):
        facts = _billed(Progress(), 0) | _size(graph, model, {}, target, config)
        return Outcome({WEIGHTS: Decision({}, reached[0][2].base, {}).to_bytes()}, facts | {"notes": []})
    above = [entry for entry in reached if entry[0] >= target]
    if not above and not config.get("reopens"):
        largest = max(entry[0] for entry in reached)
        raise StageFailure(
            "out of reach",
            f"the largest network of its candidates has {largest:,} {config['metric']}, below {target:,}",
        )
    natural, parent, decision = min(above or reached, key=lambda entry: (abs(entry[0] - target), entry[1]))
    scores, _ = read_tensors(place.results, parent, SCORES)
    start: KeptChannels = decision.kept if above else {}

    def settled_count(kept: KeptChannels) -> int:
        return count(widths_of(graph, graph.settled(kept)))

    def trimmed(aim: int) -> KeptChannels:
        return with_a_way(graph, trim(scores, start, count, aim), scores)

    if all(len(values) < graph.groups[name].size for name, values in scores.items()):
        kept = trim_whole(scores, start, settled_count, target)
    else:
        kept = trimmed(target)
        if settled_count(kept) < count(widths_of(graph, kept)):
            # channels went with others: what that frees goes back
            kept = met(trimmed, settled_count, target)
        if config.get("reopens") and target - settled_count(kept) > target // 100:
            kept = refilled(kept, start, scores, settled_count, target)
    kept = graph.settled(kept)
    facts = _billed(Progress(), 0) | _size(graph, model, kept, target, config)
    notes = [f"trimmed from {natural:,} {config['metric']}" if above else _reopened(decision.kept, kept, graph)]
    notes += _removed(graph, kept)
    files = {WEIGHTS: Decision(kept, decision.base, decision.changed).to_bytes()}
    return Outcome(files, facts | {"notes": notes, "chosen": parent})


def _finetune(place: Place, key: str, config: Mapping[str, Any], parents: tuple[str, ...]) -> Outcome:
    decision = Decision.read(place.results, parents[0])
    fresh = config.get("fresh", False)
    network = cut_fresh(config, decision.kept) if fresh else decision.network(place.results, config)
    # the measure stage counts the built network and holds the model to it
    macs = macs_of(config, decision.kept)
    progress, images = _train_weights(place, key, config, network, "finetune", config["first_epoch"])
    facts = _billed(progress, 3 * macs * images * progress.epochs) | {"macs": macs, "train_images": images}
    return Outcome({WEIGHTS: tensors_to_bytes(network.state_dict(), {"kept": decision.kept})}, facts)


def _choose(place: Place, key: str, config: Mapping[str, Any], parents: tuple[str, ...]) -> Outcome:
    """Takes the candidate that classifies more held-out images right after its last epoch; the first one of equals."""
    _, held_out = place.loaders(dict(config))
    if held_out is None:
        raise StageFailure("no data", "a learning rate is chosen on held-out images, and the recipe keeps none")
    found = []
    for parent in parents:
        network, kept = trained_network(place.results, parent, config)
        found.append((accuracy(network.to(place.device), held_out), parent, network, kept))
    best = max(found, key=lambda candidate: candidate[0])
    right, chosen, network, kept = best
    others = ", ".join(
        f"{100 * each[0]:.2f} % at {rate:g}"
        for each, rate in zip(found, config["rates"], strict=True)
        if each is not best
    )
    rate = config["rates"][found.index(best)]
    note = f"fine-tuned from learning rate {rate:g} ({100 * right:.2f} % of held-out images; {others})"
    facts = _billed(Progress(), 0) | {"notes": [note], "chosen": chosen, "held_out_top1": [each[0] for each in found]}
    return Outcome({WEIGHTS: tensors_to_bytes(network.state_dict(), {"kept": kept})}, facts)


def _measure(place: Place, key: str, config: Mapping[str, Any], parents: tuple[str, ...]) -> Outcome:
    weights, kept = trained_weights(place.results, parents[0])
    whole = fresh_network(config)
    graph, model = graph_of(config, whole), model_of(config, whole)
    paper, paper_dense = paper_cost(whole, graph, kept), paper_cost(whole, graph, {})
    network = cut(whole, graph, kept, in_place=True)
    network.load_state_dict(weights)
    widths = widths_of(graph, kept)
    macs, params = count_macs(network, example_of(config["data"])), count_params(network)
    if (macs, params) != (model.macs(widths), model.params(widths)):
        raise RuntimeError(
            f"the cut network has {macs:,} MACs and {params:,} parameters, "
            f"the cost model says {model.macs(widths):,} and {model.params(widths):,}"
        )
    tested = measure_accuracy(network.to(place.device), place.test_loader(config["data"]))
    facts = {
        "top1": tested.top1,
        "top5": tested.top5,
        "macs": macs,
        "params": params,
        "paper_flops": paper.flops,
        "paper_params": paper.params,
        "dense_macs": model.dense_macs,
        "dense_params": model.dense_params,
        "dense_paper_flops": paper_dense.flops,
        "dense_paper_params": paper_dense.params,
    }
    return Outcome({"hits.safetensors": tensors_to_bytes({"hits": tested.hits})}, facts)


def _train_weights(
    place: Place, key: str, config: Mapping[str, Any], network: nn.Module, stage: str, first_epoch: int
) -> tuple[Progress, int]:
    """Trains all weights on the configured learning rates; (what was done, number of training images)."""
    network.to(place.device)
    if config["channels_last"]:
        network.to(memory_format=torch.channels_last)
    train, held_out = place.loaders(dict(config))
    step = Step(
        list(network.parameters()),
        config["momentum"],
        config["weight_decay"],
        rebuild_momentum=config["rebuild_momentum"],
        bfloat16=config["precision"] == "bfloat16",
        compile=config.get("compile", False),
        cuda_graphs=config.get("cuda_graphs", False),
    )
    seed, accumulate = derive(config["seed"], "order"), config.get("accumulate", 1)
    test = place.test_loader(config["data"]) if config.get("record_test_curve") else None
    source = Source(train, held_out, seed, config["batch"], config["augment"], accumulate, test)
    progress = train_epochs(
        network,
        step,
        source,
        rates_of(config["learning_rates"]),
        first_epoch=first_epoch,
        stage=stage,
        checkpoint=place.checkpoint(key),
        watch=place.watch,
        ranks=place.ranks,
    )
    return progress, len(train)


def _billed(progress: Progress, training_macs: int) -> dict[str, Any]:
    return {
        "epochs": progress.epochs,
        "training_macs": training_macs,
        "train_seconds": progress.seconds,
        "curve": progress.curve,
    }


def _reopened(closed: KeptChannels, kept: KeptChannels, graph: ChannelGraph) -> str:
    """A phrase on the channels that a search closed and a budget above its outcome keeps."""
    count = sum(
        len(set(kept.get(name, range(group.size))) - set(closed.get(name, range(group.size))))
        for name, group in graph.groups.items()
    )
    return f"{count} channel{'s' if count != 1 else ''} opened again"


def _removed(graph: ChannelGraph, kept: KeptChannels) -> list[str]:
    """A phrase on the branches that a selection removes, if there are any."""
    count = len(graph.removed(kept))
    return [f"{count} of {sum(b.sum is not None for b in graph.branches.values())} branches removed"] if count else []


def _size(
    graph: ChannelGraph, model: CostModel, kept: KeptChannels, target: int | None, config: Mapping[str, Any]
) -> dict[str, Any]:
    widths = widths_of(graph, kept)
    return {
        "macs": model.macs(widths),
        "params": model.params(widths),
        "target": target,
        "metric": config["metric"],
        "widths": {name: [widths[name], group.size] for name, group in graph.groups.items()},
        "cuttable": [group.name for group in graph.cuttable(config["cuts"])],
    }
