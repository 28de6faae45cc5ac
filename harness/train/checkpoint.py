"""Checkpoints of a training in progress: one safetensors file, replaced atomically, never a pickle."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from harness.inside import LARGEST_WEIGHTS, inside, read_bytes
from harness.store.atomic import write_bytes


def tensors_to_bytes(tensors: Mapping[str, Tensor], facts: Mapping[str, Any] | None = None) -> bytes:
    """The safetensors form of `tensors` (shared storage is written once a name), with JSON `facts` in its header."""
    from safetensors.torch import save

    separate = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return save(separate, {"facts": json.dumps(dict(facts or {}), sort_keys=True)})


def tensors_from_bytes(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the facts of `tensors_to_bytes`; raises ValueError if the bytes are not whole."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        facts = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["facts"])
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"not a whole safetensors file: {error}") from error
    if not isinstance(facts, dict):
        raise ValueError("not a whole safetensors file: its facts are no mapping")
    return tensors, facts


class Checkpoint:
    """One file of tensors and facts, with a checksum; a damaged one is named and counts as absent."""

    def __init__(self, path: Path, writes: bool = True) -> None:
        """Takes the file; one of a process that must not write it is only read."""
        self.path = path
        self._writes = writes

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Replaces the file as a whole."""
        if not self._writes:
            return
        body = tensors_to_bytes(tensors, facts)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(self.path, hashlib.sha256(body).digest() + body)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What was saved last, or None if there is nothing whole."""
        try:
            data = read_bytes(inside(self.path.parent, self.path.name), LARGEST_WEIGHTS)
        except FileNotFoundError:
            return None
        digest, body = data[:32], data[32:]
        try:
            if hashlib.sha256(body).digest() == digest:
                return tensors_from_bytes(body)
            why = "its checksum differs"
        except ValueError as error:
            why = str(error)
        logging.getLogger(__name__).warning("the checkpoint %s is damaged: %s; its work begins again", self.path, why)
        return None
