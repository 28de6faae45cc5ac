"""Networks on their way between stages: built by name, cut to what was kept, saved as tensors and indices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.backbones.catalogue import build, reset
from harness.channels.cost import CostModel
from harness.channels.graph import ChannelGraph, KeptChannels
from harness.channels.surgery import cut
from harness.data.catalogue import data_set
from harness.data.seeds import derive
from harness.store.artifacts import Damaged, read_artifact
from harness.train.checkpoint import tensors_from_bytes, tensors_to_bytes

WEIGHTS = "network.safetensors"
SCORES = "scores.safetensors"


def example_of(data: str) -> Tensor:
    """One black image, to trace and count with: [1, C, H, W]."""
    declared = data_set(data)
    return torch.zeros(1, declared.channels, declared.size, declared.size)


def fresh_network(config: Mapping[str, Any]) -> nn.Module:
    """The whole network with the cell's initial weights, on the CPU."""
    return build(config["backbone"], data_set(config["data"]), derive(config["seed"], "init"))


def graph_of(config: Mapping[str, Any], network: nn.Module) -> ChannelGraph:
    """The channel graph of a backbone, found once a process: it does not depend on the weights."""
    key = (str(config["backbone"]), str(config["data"]))
    if key not in _GRAPHS:
        _GRAPHS[key] = ChannelGraph.trace(network, example_of(config["data"]))
    return _GRAPHS[key]


_GRAPHS: dict[tuple[str, str], ChannelGraph] = {}


def model_of(config: Mapping[str, Any], network: nn.Module) -> CostModel:
    """The cost model of a backbone, made once a process."""
    key = (str(config["backbone"]), str(config["data"]))
    if key not in _MODELS:
        _MODELS[key] = CostModel(network, graph_of(config, network), example_of(config["data"]))
    return _MODELS[key]


_MODELS: dict[tuple[str, str], CostModel] = {}


def widths_of(graph: ChannelGraph, kept: KeptChannels) -> dict[str, int]:
    """{group: channels that stay}, of all groups."""
    return {name: len(kept[name]) if name in kept else group.size for name, group in graph.groups.items()}


def macs_of(config: Mapping[str, Any], kept: KeptChannels) -> int:
    """Multiply-adds of the cut network for one image, by the cost model; it need not be built."""
    key = (str(config["backbone"]), str(config["data"]))
    if key not in _MODELS:
        model_of(config, fresh_network(config))
    return _MODELS[key].macs(widths_of(_GRAPHS[key], kept))


def cut_fresh(config: Mapping[str, Any], kept: KeptChannels) -> nn.Module:
    """A network of the kept widths, initialised as a network of these widths is."""
    whole = fresh_network(config)
    narrow = cut(whole, graph_of(config, whole), kept, in_place=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(config["seed"], "init"))
        reset(config["backbone"], narrow)
    return narrow


@dataclass(frozen=True)
class Decision:
    """What a deciding stage leaves for fine-tuning.

    Attributes:
        kept: {group: indices that stay}.
        base: key of the dense stage whose weights go on, or None for new weights.
        changed: weights of the whole network that differ from the base's.
    """

    kept: KeptChannels
    base: str | None
    changed: dict[str, Tensor]

    def to_bytes(self) -> bytes:
        """The artifact's form."""
        return tensors_to_bytes(self.changed, {"kept": self.kept, "base": self.base})

    @classmethod
    def read(cls, results: Path, key: str) -> Decision:
        """The decision of a finished stage."""
        changed, facts = read_tensors(results, key, WEIGHTS)
        base = facts.get("base")
        if base is not None and not isinstance(base, str):
            raise Damaged(f"{WEIGHTS} of stage {key[:12]} does not say whose weights go on")
        return cls(kept_of(facts, key), base, changed)

    def network(self, results: Path, config: Mapping[str, Any]) -> nn.Module:
        """The cut network with the weights that fine-tuning starts from, on the CPU."""
        if self.base is None:
            return cut_fresh(config, self.kept)
        whole = fresh_network(config)
        weights, _ = read_tensors(results, self.base, WEIGHTS)
        whole.load_state_dict(weights | self.changed)
        return cut(whole, graph_of(config, whole), self.kept, in_place=True)


def changed_weights(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `after` that are not bit-equal to those of `before`."""
    return {name: tensor for name, tensor in after.items() if not torch.equal(tensor.cpu(), before[name].cpu())}


def trained_weights(results: Path, key: str) -> tuple[dict[str, Tensor], KeptChannels]:
    """What a fine-tuning stage left: the cut network's tensors, and what was kept."""
    weights, facts = read_tensors(results, key, WEIGHTS)
    return weights, kept_of(facts, key)


def trained_network(results: Path, key: str, config: Mapping[str, Any]) -> tuple[nn.Module, KeptChannels]:
    """The network that a fine-tuning stage left, in its cut form, with what was kept."""
    weights, kept = trained_weights(results, key)
    whole = fresh_network(config)
    narrow = cut(whole, graph_of(config, whole), kept, in_place=True)
    narrow.load_state_dict(weights)
    return narrow, kept


def kept_of(facts: Mapping[str, Any], key: str) -> KeptChannels:
    """{group: indices that stayed} as a stage's weights say it; raises Damaged if they do not."""
    kept = facts.get("kept")
    if not isinstance(kept, dict) or not all(_are_indices(channels) for channels in kept.values()):
        raise Damaged(f"{WEIGHTS} of stage {key[:12]} does not say which channels were kept")
    return {group: tuple(channels) for group, channels in kept.items()}


def _are_indices(channels: object) -> bool:
    return isinstance(channels, list) and all(type(index) is int and index >= 0 for index in channels)


def read_tensors(results: Path, key: str, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of an artifact's file; raises Damaged if they are not as they were written."""
    try:
        return tensors_from_bytes(read_artifact(results, key, name))
    except ValueError as error:
        raise Damaged(f"{name} of stage {key[:12]} cannot be read: {error}") from error
