"""A cut network as one safetensors file: its weights, and in the header what is needed to build it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from harness.backbones.catalogue import build
from harness.channels.surgery import cut
from harness.data.catalogue import data_set
from harness.errors import UserError
from harness.execute.network import graph_of
from harness.export.stored import StoredNetwork
from harness.inside import LARGEST_WEIGHTS, check_plain
from harness.printable import one_line
from harness.store.atomic import write_bytes

FORMAT = "nas-harness/1"
"""Stands in the header under "format"; a later number is refused."""


def metadata(stored: StoredNetwork) -> dict[str, str]:
    """The header: {"format", "cell", "backbone", "dataset", "widths", "kept", "measured", "provenance"}, JSON texts.

    `widths` is {group: [kept, of how many]}, `kept` {group: indices}; `measured` has top1 and top5 as shares 0..1.
    """
    facts = dict(stored.facts)
    provenance = facts.pop("provenance", {})
    measured = {name: value for name, value in facts.items() if isinstance(value, int | float)}
    return {
        "format": FORMAT,
        "cell": stored.cell.label,
        "backbone": stored.cell.backbone,
        "dataset": stored.cell.data.name,
        "widths": json.dumps(stored.widths),
        "kept": json.dumps(stored.kept),
        "measured": json.dumps(measured),
        "provenance": json.dumps(provenance),
    }


def write_safetensors(stored: StoredNetwork, path: Path) -> None:
    """Writes the file, whole or not at all.

    Raises:
        UserError: the machine refused.
    """
    from safetensors.torch import save

    tensors = {name: tensor.contiguous().clone() for name, tensor in stored.network.state_dict().items()}
    write_bytes(path, save(tensors, metadata(stored)))


def read_safetensors(path: Path) -> nn.Module:
    """The network of an exported file, in evaluation mode on the CPU.

    The file is data: it names a backbone and indices, and holds tensors. Nothing of it is executed.

    Raises:
        UserError: there is no such file, or it is not one that `export` wrote.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_plain(path, LARGEST_WEIGHTS, links=True)
        with safe_open(str(path), framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{path} cannot be read as safetensors: {error}") from None
    if header.get("format") != FORMAT:
        found = header.get("format")
        said = f", but {one_line(found)[:40]}" if found else ""
        raise UserError(f"{path} is not an exported network of format {FORMAT}{said}")
    try:
        whole = build(header["backbone"], data_set(header["dataset"]), 0)
        kept = {group: tuple(channels) for group, channels in _mapping(header["kept"]).items()}
        config = {"backbone": header["backbone"], "data": header["dataset"]}
        network = cut(whole, graph_of(config, whole), kept)
        network.load_state_dict(tensors)
    except UserError:
        raise
    except Exception as error:
        text = one_line(f"{type(error).__name__}: {error}".splitlines()[0])
        raise UserError(f"{path} does not describe a network that can be built: {text}") from None
    return network.eval()


def _mapping(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("not a mapping")
    return found
