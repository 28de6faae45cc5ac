"""Ray nodes on this machine, each with processes and a core of its own, that may be killed one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.execute.ray_environment import prepare
from tests.faults.processes import alive, descendants, kill


class Nodes:
    """A Ray cluster on this machine; its first node is the head."""

    def __init__(self, count: int) -> None:
        """Starts the nodes; what the environment says is inherited by all workers."""
        prepare()
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        self._nodes: list[Any] = [self._cluster.head_node]
        self._nodes += [self._cluster.add_node(num_cpus=1) for _ in range(count - 1)]
        self.address = str(self._cluster.address)

    def processes(self, node: int, kind: str) -> list[int]:
        """The processes of a kind ("raylet", "gcs_server") of a node."""
        return [info.process.pid for info in self._nodes[node].all_processes.get(kind, [])]

    def of(self, pid: int) -> int | None:
        """The node that a worker belongs to."""
        for number in range(len(self._nodes)):
            [raylet] = self.processes(number, "raylet")
            if any(child == pid for child, _ in descendants(raylet)):
                return number
        return None

    def kill(self, node: int, kind: str) -> None:
        """kill -9 of all processes of a kind of a node."""
        for pid in self.processes(node, kind):
            kill(pid)

    def stop(self) -> None:
        """Ends all that is left."""
        family = [pid for node in range(len(self._nodes)) for pid, _ in self._family(node)]
        self._cluster.shutdown()
        for pid in filter(alive, family):
            kill(pid)

    def _family(self, node: int) -> Iterator[tuple[int, str]]:
        for pid in self.processes(node, "raylet"):
            yield from descendants(pid)


@contextmanager
def ray_nodes(count: int, plugins: Path | None = None, **environment: str) -> Iterator[Nodes]:
    """So many nodes, with these words in their environment."""
    if plugins is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(plugins), *filter(None, [os.environ.get("PYTHONPATH")])])
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        nodes = Nodes(count)
        try:
            yield nodes
        finally:
            nodes.stop()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
