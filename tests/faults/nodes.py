"""Ray nodes on this machine, each with processes and a core of its own, that may be killed one by one."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.execute.ray_environment import prepare
from harness.store.atomic import write_json
from tests.faults.faulty import put_on_path
from tests.faults.processes import descendants, family_of, kill_family, start, until


@dataclass(frozen=True)
class Nodes:
    """A Ray cluster on this machine; its first node is the head.

    Attributes:
        address: for drivers.
        environment: what drivers must have in theirs, such as the cluster's token.
        processes: {kind: process} of each node, such as "raylet" and "gcs_server".
    """

    address: str
    environment: dict[str, str]
    processes: list[dict[str, int]]

    def of(self, pid: int) -> int | None:
        """The node that a worker belongs to."""
        for number, node in enumerate(self.processes):
            if any(child == pid for child, _ in descendants(node["raylet"])):
                return number
        return None


@contextmanager
def ray_nodes(folder: Path, count: int, plugins: Path, **environment: str) -> Iterator[Nodes]:
    """So many nodes, whose workers have these words in their environment and the methods of `plugins`."""
    told = folder / "nodes.json"
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    # a control store that was killed is not waited for
    secret |= {"RAY_gcs_rpc_server_reconnect_timeout_s": "5"}
    holder = start(_hold, told, count, plugins, {**environment, **secret})
    try:
        until(lambda: told.exists() or not holder.is_alive())
        found = json.loads(told.read_text())
        yield Nodes(found["address"], secret, found["processes"])
    finally:
        family = family_of(holder.pid) if holder.is_alive() else {}
        holder.kill()
        kill_family(family)
        holder.join()
        told.unlink(missing_ok=True)


def _hold(told: Path, count: int, plugins: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    put_on_path(plugins)
    prepare()
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes = [cluster.head_node, *(cluster.add_node(num_cpus=1) for _ in range(count - 1))]
    processes = [{kind: infos[0].process.pid for kind, infos in node.all_processes.items() if infos} for node in nodes]
    write_json(told, {"address": cluster.address, "processes": processes})
    while True:
        time.sleep(3600)
