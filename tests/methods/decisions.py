"""What finished cells decided."""

from __future__ import annotations

from typing import Any

from torch import nn

from harness.execute.network import Decision, fresh_network, read_tensors
from tests.cells import Finished


def decisions(finished: Finished) -> list[tuple[dict[str, Any], Decision, nn.Module]]:
    """For each finished cell: a configuration, its decision, and the whole network that it was made on."""
    found = []
    for chain, row in zip(finished.chains, finished.rows, strict=True):
        if row.state != "done":
            continue
        config = chain.stages[-1].config
        decision = Decision.read(finished.results, chain.deciding or "")
        whole = fresh_network(config)
        if decision.base is not None:
            weights, _ = read_tensors(finished.results, decision.base, "network.safetensors")
            whole.load_state_dict(weights | decision.changed)
        found.append((config, decision, whole.eval()))
    assert found, "no cell of this method finished"
    return found
