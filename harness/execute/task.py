"""What a method is given: the harness's side of `harness.method.Task`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.channels.allocate import best_channels_within, global_kept, met, per_cost_kept, spread, uniform_widths
from harness.channels.cost import CostModel
from harness.channels.graph import ChannelGroup, KeptChannels
from harness.channels.profile import profile_widths, rates_of, stated_widths
from harness.data.batches import steps_per_epoch
from harness.data.interface import Loader, scoring_batch
from harness.data.seeds import derive
from harness.errors import StageFailure
from harness.execute.evaluator import Bench, WidthEvaluator
from harness.execute.journal import Evaluation
from harness.execute.network import example_of, graph_of
from harness.execute.place import Place
from harness.execute.rounds import run_rounds
from harness.inside import inside
from harness.method import Compressed, Round, Scores
from harness.registry import method
from harness.suite.cell import Mode
from harness.train.histogram import histogram
from harness.train.loop import Loss, Progress, Source, Step, save_finished, train_epochs


class HarnessTask:
    """One network to make smaller, with what a method needs for it; bills what is trained.

    Attributes:
        billed: epochs, training MACs, seconds and curve of all calls of `train` so far.
        searched: the evaluations of a search so far; their MACs and seconds are in the bill, their epochs are not.
    """

    def __init__(self, place: Place, key: str, config: Mapping[str, Any], params: Any, network: nn.Module) -> None:
        example = example_of(config["data"])
        self.params = params
        self.graph = graph_of(config, network)
        self.groups = self.graph.cuttable(config["cuts"])
        self.model = CostModel(network, self.graph, example)
        self.device = torch.device(place.device)
        self.network = network.to(self.device)
        if config["channels_last"]:
            self.network.to(memory_format=torch.channels_last)
        self.target: int | None = config["target"]
        self.allocation: Mode = config["allocate"]
        self.generator = torch.Generator().manual_seed(derive(config["seed"], "method", config["method"]))
        self.epochs: int = config["search_epochs"]
        self.billed = Progress()
        self.training_macs = 0
        self.searched: list[Evaluation] = []
        self.granted: dict[str, int] | None = None
        self._place, self._key, self._config = place, key, config
        self._train, self._held_out = place.loaders(dict(config))
        self.steps_per_epoch = steps_per_epoch(len(self._train), config["batch"], config.get("accumulate", 1))
        self._calls = 0
        self._observe: Callable[[], dict[str, Any]] | None = None

    def cost(self, widths: Mapping[str, int]) -> int:
        """The executed network's cost at these widths, in the budget's metric."""
        return self.model.params(widths) if self._config["metric"] == "params" else self.model.macs(widths)

    def allocate(self, scores: Scores) -> KeptChannels:
        """The best channels of each group, as many as the budget and the allocation mode leave it."""
        kept = self._allocated(scores)
        self.granted = {name: len(channels) for name, channels in self.graph.complete(kept).items()}
        return kept

    def _allocated(self, scores: Scores) -> KeptChannels:
        missing = [group.name for group in self.groups if group.name not in scores]
        if missing:
            raise StageFailure("crashed", f"the method gave no score for group {missing[0]!r}")
        ranked = {group.name: _by_channel(group, scores[group.name]) for group in self.groups}
        if self.allocation == "from":
            return self._chosen(ranked, self._partner_widths())
        if self.target is None and self.allocation == "profile":
            return self._chosen(ranked, stated_widths(self.groups, self._rates()))
        if self.target is None:
            raise StageFailure("crashed", "the method allocates to a budget, and the cell has none")
        kept = self._at(ranked, self.target)
        if self._count(kept) == self.cost({name: len(channels) for name, channels in kept.items()}):
            return kept
        return met(lambda aim: self._at(ranked, aim), self._count, self.target)

    def arrange(self, widths: Mapping[str, int]) -> KeptChannels:
        """Channels of a network of these widths, where any will do."""
        return spread(self.graph, widths, self._partner_streams())

    def _partner_streams(self) -> dict[str, int]:
        """How many channels of each stream the partner's branches write, where its widths are taken."""
        if self.allocation != "from":
            return {}
        mine = {group.name for group in self.groups}
        taken: dict[str, int] = self._config["widths"]
        return {name: taken[name] for name, stream in self.graph.streams.items() if stream.drains and name not in mine}

    def _at(self, scores: Scores, target: int) -> KeptChannels:
        """The selection whose widths cost about `target`."""
        config, mode = self._config, self.allocation
        if mode in ("global", "per_mac"):
            if mode == "global":
                kept = global_kept(scores, self.groups, self.cost, target, config.get("normalise", "mean"))
            else:
                kept = per_cost_kept(scores, self.groups, self.cost, target)
            widths = {name: len(channels) for name, channels in kept.items()}
        elif mode == "profile":
            widths = profile_widths(self.groups, self._rates(), config["profile"]["most"], self.cost, target)
        else:
            widths = uniform_widths(self.groups, self.cost, target)
        return self._chosen(scores, widths)

    def _rates(self) -> dict[str, float]:
        return rates_of([(pattern, rate) for pattern, rate in self._config["profile"]["rates"]], self.groups)

    def _chosen(self, scores: Scores, widths: Mapping[str, int]) -> KeptChannels:
        if all(bool((values == values[0]).all()) for values in scores.values()):
            return self.arrange(widths)
        return best_channels_within(self.graph, scores, widths, self._partner_streams())

    def _count(self, kept: KeptChannels) -> int:
        """What a selection costs once all its consequences are drawn."""
        return self.cost({name: len(channels) for name, channels in self.graph.settled(kept).items()})

    def _partner_widths(self) -> dict[str, int]:
        """The partner's widths of the groups that this cell may cut; the others must be whole in the partner too.

        Not asked for is what follows by itself: a stream's channel that no branch writes, a branch that is as wide as
        its stream, or that was removed with a layer inside it.
        """
        widths: dict[str, int] = self._config["widths"]
        mine = {group.name for group in self.groups}
        whole = self.graph.widths
        for name, width in widths.items():
            stream = self.graph.groups[name].stream
            follows = name in self.graph.streams or (stream is not None and width in (0, widths[stream]))
            if name not in mine and width != whole[name] and not follows:
                raise StageFailure("out of reach", f"the partner cut group {name!r}, which `cuts` leaves whole here")
        return {name: width for name, width in widths.items() if name in mine}

    def run_rounds(self, rounds: Generator[Round, None, Compressed], epochs: int) -> Compressed:
        """The decision at the end of the rounds."""
        return run_rounds(self, rounds, epochs)

    def training_batches(
        self, limit: int | None = None, *, augment: bool = True, epoch: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Training batches of one pass, in an order of the method's own."""
        config = self._config
        seed = derive(config["seed"], "batches", config["method"])
        return islice(self._train.epoch(seed, epoch, config["batch"], augment and config["augment"]), limit)

    def held_out_batches(self, limit: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Held-out batches in their order, as they are."""
        loader = self._held_out_loader()
        return islice(loader.plain(scoring_batch(loader)), limit)

    def _held_out_loader(self) -> Loader:
        if not method(self._config["method"]).needs_held_out or self._held_out is None:
            raise StageFailure("crashed", "the method reads held-out images and does not declare `needs_held_out`")
        return self._held_out

    def bill(self, macs: int) -> None:
        """Adds what was computed outside `train` to the training MACs of the cell."""
        self.training_macs += macs

    def record_gates(self, factors: Callable[[], Iterable[Tensor]]) -> None:
        """Each later epoch of `train` keeps a histogram of all gates' factors in its point of the curve."""
        self._observe = lambda: {"gates": histogram(torch.cat(list(factors())))}

    def evaluator(self, power: int) -> WidthEvaluator:
        """Tries widths on the held-out images, with the weights of the network as it is now."""
        bench = Bench(
            self.graph,
            self.groups,
            self.model,
            self._train,
            self._held_out_loader(),
            derive(self._config["seed"], "evaluation"),
            self._config,
            self.work_folder(),
            self._place.watch,
        )
        return WidthEvaluator(bench, self.network, power, self._bill_evaluation)

    def _bill_evaluation(self, evaluation: Evaluation) -> None:
        self.searched.append(evaluation)
        self.bill(evaluation.macs)
        self.billed.seconds += evaluation.seconds

    def work_folder(self) -> Path:
        """The folder of the stage's unfinished work; gone once the stage is done."""
        folder = inside(self._place.checkpoints(self._key), "work")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def train(
        self,
        network: nn.Module,
        *,
        epochs: int,
        learning_rate: float | Sequence[float],
        parameters: Iterable[nn.Parameter],
        momentum: float,
        weight_decay: float,
        penalty: Callable[[], Tensor] | None = None,
        before_epoch: Callable[[int], None] | None = None,
        frozen_batch_norm: bool = False,
        rebuild_momentum: bool = True,
        loss: Loss | None = None,
        before_step: Callable[[int], None] | None = None,
        after_backward: Callable[[], None] | None = None,
        after_step: Callable[[float], None] | None = None,
        state: Mapping[str, Tensor] | None = None,
        extra_macs_per_image: int = 0,
    ) -> None:
        """Trains, bills, and leaves a checkpoint so that an interrupted stage goes on from it."""
        config = self._config
        trained = list(parameters)
        rates = [learning_rate] * epochs if isinstance(learning_rate, int | float) else list(learning_rate)
        if len(rates) != epochs:
            raise StageFailure("crashed", f"the method trains {epochs} epochs and gave {len(rates)} learning rates")
        checkpoint = self._place.checkpoint(self._key, f"call-{self._calls}")
        self._calls += 1
        step = Step(
            trained,
            momentum,
            weight_decay,
            penalty,
            frozen_batch_norm,
            rebuild_momentum,
            bfloat16=config["precision"] == "bfloat16",
            cuda_graphs=config.get("cuda_graphs", False),
            loss=loss,
            before_step=before_step,
            after_backward=after_backward,
            after_step=after_step,
            state=state or {},
        )
        source = Source(
            self._train,
            self._held_out,
            derive(config["seed"], "order"),
            config["batch"],
            config["augment"],
            config.get("accumulate", 1),
        )
        progress = train_epochs(
            network,
            step,
            source,
            rates,
            first_epoch=config["first_epoch"] + self.billed.epochs,
            stage="compress",
            checkpoint=checkpoint,
            watch=self._place.watch,
            before_epoch=before_epoch,
            observe=self._observe,
        )
        save_finished(checkpoint, network, progress, state)
        self.billed.epochs += progress.epochs
        self.billed.seconds += progress.seconds
        self.billed.curve += progress.curve
        trains_convolutions = any(parameter.dim() == 4 for parameter in trained)
        passes = 3 if trains_convolutions else 2
        each = passes * self.model.dense_macs + extra_macs_per_image
        self.training_macs += each * len(self._train) * progress.epochs


def _by_channel(group: ChannelGroup, scores: Tensor) -> Tensor:
    """One score a channel: as given, or the sum over the rows that each channel has in its producers."""
    shape = tuple(scores.shape)
    if shape == (group.size,):
        return scores
    if shape == (group.size * group.rows,):
        return scores.view(group.size, group.rows).sum(dim=1)
    raise StageFailure("crashed", f"scores of group {group.name!r} have shape {shape}, expected ({group.size},)")
