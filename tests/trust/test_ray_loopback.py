"""Ray as the harness starts it on one machine: nothing listens where others reach it, and nobody enters uninvited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import ipaddress, json, os, subprocess, sys, tempfile
from pathlib import Path
from harness.errors import UserError
from harness.execute.ray_environment import prepare

prepare()
import ray
from harness.execute import ray_tune
from harness.execute.place import Place
from harness.execute.stop import StopSign
from harness.suite.schema import Resources

told = Path(sys.argv[1])
tempfile.tempdir = str(told.parent / "scratch")

@ray.remote(num_cpus=0)
def worker():
    return ray.util.get_node_ip_address()

def descendants():
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:
            pass
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found

def arguments(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""

def sockets(pids):
    numbers = set()
    for pid in pids:
        try:
            links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        numbers |= {link[8:-1] for link in links if link.startswith("socket:[")}
    return numbers

def address(text):
    raw = bytes.fromhex(text)
    words = b"".join(raw[at:at + 4][::-1] for at in range(0, len(raw), 4))
    found = ipaddress.ip_address(words)
    return str(getattr(found, "ipv4_mapped", None) or found)

client = '''
import sys
from ray._raylet import GcsClient
try:
    GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, timeout=3)
    print("let in")
except Exception as error:
    print("kept out:", error)
'''

def look(resources):
    node = ray.get(worker.remote())
    own = sockets(descendants())
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in own:
                listening.append(address(fields[1].partition(":")[0]))
    gcs = ray.get_runtime_context().gcs_address
    without = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    quick = {"RAY_gcs_rpc_server_connect_timeout_s": "1", "RAY_gcs_server_request_timeout_seconds": "3"}
    token = {name: os.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    clients = {
        name: subprocess.Popen([sys.executable, "-c", client, gcs], env=without | quick | more, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
        for name, more in {
            "without": {}, "wrong": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}, "right": token}.items()
    }
    heard = {name: process.communicate()[0] for name, process in clients.items()}
    told.write_text(json.dumps({
        "node": node, "listening": listening, "clients": heard,
        "scratch": [path.name for path in Path(tempfile.tempdir).iterdir()],
        "home": [str(path) for path in Path.home().rglob("*")],
        "in_arguments": [pid for pid in descendants() if token["RAY_AUTH_TOKEN"].encode() in arguments(pid)],
    }))
    raise UserError("enough seen")

# What a run does first once Ray is there.
ray_tune._check_resources = look
try:
    ray_tune.run_tune(None, Place(told.parent, told.parent), StopSign(told.parent / "stop"), Resources(), None)
except UserError as error:
    assert str(error) == "enough seen", error
"""


def test_ray_listens_on_loopback_alone_keeps_out_whoever_lacks_the_token_and_leaves_no_scratch(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "scratch").mkdir()
    told_in = tmp_path / "told.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(told_in)],
        env=environment | {"HOME": str(home), "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(told_in.read_text())
    assert told["node"] == "127.0.0.1"
    assert len(told["listening"]) >= 3
    assert set(told["listening"]) <= {"127.0.0.1", "::1"}
    assert "let in" in told["clients"]["right"]
    for name in ("without", "wrong"):
        assert "let in" not in told["clients"][name]
        assert "InvalidAuthToken" in told["clients"][name]
    assert [name.startswith("harness-tune-") for name in told["scratch"]] == [True]
    assert list((tmp_path / "scratch").iterdir()) == []
    assert told["home"] == []
    assert told["in_arguments"] == []
