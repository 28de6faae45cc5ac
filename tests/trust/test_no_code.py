"""Data is never run: no pickle, no unsafe YAML, no shell, no evaluated text; and what tries ends in one line."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

import harness
import methods
from harness.errors import UserError
from harness.store import artifacts
from harness.train.checkpoint import Checkpoint
from tests.cli.calling import call

SOURCES = sorted(path for package in (harness, methods) for path in Path(next(iter(package.__path__))).rglob("*.py"))

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle", "yaml", "pty"}
NAMES = {"eval", "exec", "compile", "__import__"}
CALLS = {
    "os.system",
    "os.popen",
    "os.execv",
    "os.execvp",
    "os.spawnl",
    "os.spawnv",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "pandas.read_pickle",
    "pd.read_pickle",
    "torch.package",
    "torch.jit.load",
    "builtins.eval",
    "builtins.exec",
}
SQL = {"execute", "executemany", "executescript"}


def faults(source: str) -> list[str]:
    """What in a source could run data, with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        at = f"{getattr(node, 'lineno', 0)}: "
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
            found += [f"{at}imports {name}" for name in names if name.split(".")[0] in MODULES]
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if called in NAMES or called in CALLS:
            found.append(f"{at}{called}")
        if called == "torch.load" and given.get("weights_only") != "True":
            found.append(f"{at}torch.load without weights_only=True")
        if called in {"np.load", "numpy.load"} and given.get("allow_pickle", "False") != "False":
            found.append(f"{at}{called} that allows pickles")
        if given.get("shell", "False") != "False":
            found.append(f"{at}a shell")
        if called == "YAML" and (given.get("typ") != "'safe'" or node.args):
            found.append(f"{at}YAML that is not safe")
        if called.rpartition(".")[2] in {"extractall", "unpack_archive"}:
            found.append(f"{at}{called} of an archive")
        statement = node.args[0] if node.args else None
        if called.rpartition(".")[2] in SQL and isinstance(statement, ast.JoinedStr | ast.BinOp | ast.Call):
            found.append(f"{at}SQL put together from texts")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from cloudpickle import loads",
        "import yaml\nyaml.load(x)",
        "eval(x)",
        "exec(x)",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "np.load(x, allow_pickle=True)",
        "os.system(x)",
        "subprocess.run(x, shell=True)",
        "YAML()",
        "YAML(typ='unsafe')",
        "archive.extractall(x)",
        "database.execute(f'SELECT {x}')",
        "database.execute('SELECT ' + x)",
        "database.execute('SELECT {}'.format(x))",
    ],
)
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert faults(source)


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(x, weights_only=True)",
        "network.eval()",
        "re.compile(x)",
        "subprocess.run([x])",
        "YAML(typ='safe', pure=True)",
        "database.execute('SELECT ?', (x,))",
    ],
)
def test_the_search_passes_over_what_is_harmless(source: str) -> None:
    assert faults(source) == []


def test_no_source_runs_data() -> None:
    assert len(SOURCES) > 100
    found = {str(path): faults(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {path: told for path, told in found.items() if told} == {}


class Payload:
    """A pickle that leaves a mark when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self._mark),)


def plain_pickle(mark: Path) -> bytes:
    return pickle.dumps(Payload(mark))


def torch_pickle(mark: Path) -> bytes:
    file = io.BytesIO()
    torch.save({"network": Payload(mark)}, file)
    return file.getvalue()


def zipped(mark: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("network/data.pkl", pickle.dumps(Payload(mark)))
    return file.getvalue()


FORMS = [plain_pickle, torch_pickle, zipped]


@pytest.fixture(params=FORMS, ids=lambda form: form.__name__)
def malicious(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    """The content; `tmp_path / "mark"` appears when it is unpickled."""
    content: bytes = request.param(tmp_path / "mark")
    return content


def test_the_pickle_does_what_it_is_made_for(tmp_path: Path) -> None:
    pickle.loads(plain_pickle(tmp_path / "mark"))
    assert (tmp_path / "mark").exists()


def test_a_pickle_that_is_called_an_exported_network_is_refused(tmp_path: Path, malicious: bytes) -> None:
    (tmp_path / "network.safetensors").write_bytes(malicious)
    with pytest.raises(UserError, match="cannot be read as safetensors"):
        harness.load(tmp_path / "network.safetensors")
    assert not (tmp_path / "mark").exists()


def test_a_pickle_in_the_place_of_a_checkpoint_counts_as_absent(tmp_path: Path, malicious: bytes) -> None:
    path = tmp_path / "epoch.safetensors"
    for content in (malicious, hashlib.sha256(malicious).digest() + malicious):
        path.write_bytes(content)
        assert Checkpoint(path).load() is None
    assert not (tmp_path / "mark").exists()


def test_pickles_in_the_place_of_all_weights_are_refused_by_every_command(
    downloaded: Path, tmp_path: Path, malicious: bytes
) -> None:
    """The checksums are right: whoever makes a results folder can compute them."""
    done = downloaded / "done"
    for key in artifacts.artifact_keys(done):
        files = artifacts.read_files(done, key)
        artifacts.install_artifact(artifacts.artifact_folder(done, key), dict.fromkeys(files, malicious))
    for key in [*artifacts.artifact_keys(done), "0f" * 32]:
        (done / "checkpoints" / key).mkdir(parents=True, exist_ok=True)
        (done / "checkpoints" / key / "epoch.safetensors").write_bytes(hashlib.sha256(malicious).digest() + malicious)
    results = ("--results", "done")
    told = [
        call(downloaded, "plan", "tiny.yaml", *results),
        call(downloaded, "report", "tiny.yaml", *results, "--format", "md"),
        call(downloaded, "report", "tiny.yaml", *results, "--format", "csv"),
        call(downloaded, "compare", "tiny.yaml", "dense", "l1_norm", *results),
        call(downloaded, "export", "tiny.yaml", *results, "--to", "safetensors"),
        call(downloaded, "merge", "done", "--into", "joint"),
        call(downloaded, "run", "tiny.yaml", *results, "--executor", "inline"),
        call(downloaded, "run", "tiny.yaml", *results, "--executor", "inline", "--set", "recipe.epochs.finetune=2"),
    ]
    assert not (tmp_path / "mark").exists()
    for called in told:
        assert "Traceback" not in called.err
        assert called.status in {0, 1, 2}
    assert told[4].status == 2
    assert "cannot be read" in told[4].err
    # A stage that reads them is refused by name; its checksums say that they are what was written.
    assert told[7].status == 1
    assert "network.safetensors of stage" in told[7].err
    assert "cannot be read" in told[7].err
