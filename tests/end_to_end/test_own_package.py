"""A method in a package of its own, installed by pip: suites, lists and the checker know it by its entry point."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "their-methods"
version = "1.0"

[project.entry-points."harness.methods"]
steep = "their_methods.steep:Steep"
torn = "their_methods.torn:Torn"
"""

# A build backend of the package's own (PEP 517): pip then needs no index to install it.
BACKEND = """\
import zipfile
from pathlib import Path


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name, info = "their_methods-1.0-py3-none-any.whl", "their_methods-1.0.dist-info"
    files = {str(path): path.read_text() for path in sorted(Path("their_methods").glob("*.py"))}
    files[f"{info}/METADATA"] = "Metadata-Version: 2.1\\nName: their-methods\\nVersion: 1.0\\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    points = Path("pyproject.toml").read_text().split('[project.entry-points."harness.methods"]\\n')[1]
    files[f"{info}/entry_points.txt"] = "[harness.methods]\\n" + points.replace('"', "")
    record = f"{info}/RECORD"
    files[record] = "".join(f"{path},,\\n" for path in [*files, record])
    with zipfile.ZipFile(Path(wheel_directory) / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""

STEEP = '''\
from harness.method import ScoreMethod, Scores, Task

from their_methods.helpers import rising


class Steep(ScoreMethod):
    """Later channels are worth more."""

    name = "steep"
    title = "Steep"

    def score(self, task: Task) -> Scores:
        return {group.name: rising(group.size) for group in task.groups}
'''

HELPERS = """\
def rising(size):
    import torch

    return torch.arange(size).float()
"""

SUITE = """\
suite: theirs
dataset: {name: digits, train_images: 128}
backbones: [vgg_digits]
seeds: [0]
recipe: {use: short_digits, epochs: {dense: 1, search: 1, finetune: 1, baseline: 2}}
methods:
  - steep: {budget: {macs: 0.5}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the package, without any network."""
    project = tmp_path_factory.mktemp("project")
    (project / "their_methods").mkdir()
    texts = {"__init__": "", "steep": STEEP, "helpers": HELPERS, "torn": "import no_such_module\n"}
    for name, text in texts.items():
        (project / "their_methods" / f"{name}.py").write_text(text)
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / "backend.py").write_text(BACKEND)
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-index", "--no-build-isolation", "--no-deps", "--no-cache-dir", "--target", str(folder)]
    command = [sys.executable, "-m", "pip", "install", *options, str(project)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def python(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{site}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *words]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, timeout=600, check=False
    )


def test_it_is_listed_and_a_broken_one_beside_it_says_why(site: Path, tmp_path: Path) -> None:
    done = python(site, tmp_path, "-m", "harness", "list", "methods")
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert lines["steep"].endswith("Steep: Later channels are worth more.")
    assert "not usable: ModuleNotFoundError: No module named 'no_such_module'" in lines["torn"]


def test_a_suite_runs_it(site: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs.yaml").write_text(SUITE)
    done = python(site, tmp_path, "-m", "harness", "run", "theirs.yaml", "--executor", "inline")
    assert done.returncode == 0, done.stderr
    assert "Steep @ 50 % MACs" in (tmp_path / "results" / "runs" / "theirs" / "report" / "report.md").read_text()


def test_its_key_holds_what_it_imports_from_its_own_package(site: Path, tmp_path: Path) -> None:
    program = "from harness.plan.fingerprint import fingerprint; print(fingerprint('steep'))"
    before = python(site, tmp_path, "-c", program).stdout
    helpers = site / "their_methods" / "helpers.py"
    text = helpers.read_text()
    try:
        helpers.write_text(f"# a comment\n{text}")
        assert python(site, tmp_path, "-c", program).stdout == before
        helpers.write_text(text.replace("arange(size)", "arange(size) * 2"))
        after = python(site, tmp_path, "-c", program).stdout
    finally:
        helpers.write_text(text)
    assert len(before.strip()) == 64
    assert after != before
