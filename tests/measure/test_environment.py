"""What a number says of where it was measured."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from pathlib import Path

import pytest
import torch

import harness
from harness.measure import environment
from harness.measure.environment import commit, processor, provenance, versions


@pytest.fixture(autouse=True)
def fresh() -> None:
    for remembered in (commit, versions, processor):
        remembered.cache_clear()


def test_provenance_names_everything_that_could_explain_a_difference() -> None:
    facts = provenance("cpu", 3)
    wanted = {"commit", "dirty", "versions", "system", "processor", "cores", "threads", "device", "load_average"}
    assert set(facts) == wanted
    assert (facts["device"], facts["threads"]) == ("cpu", 3)
    assert facts["cores"] >= 1
    assert facts["load_average"] >= 0
    assert facts["processor"]


def test_provenance_can_be_written_to_the_ledger() -> None:
    facts = provenance("cpu", 1)
    assert json.loads(json.dumps(facts)) == facts


def test_versions_are_those_that_run() -> None:
    found = versions()
    assert torch.__version__.startswith(found["torch"].split("+")[0])
    assert found["python"] == platform.python_version()
    assert found["harness"] == harness.__version__


def test_a_package_that_is_absent_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_PACKAGES", ("torch", "no-such-package"))
    assert set(versions()) == {"python", "harness", "torch"}


def test_the_commit_is_the_checkouts() -> None:
    root = Path(harness.__file__).parent.parent
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    sha, dirty = commit()
    assert sha is not None
    assert re.fullmatch("[0-9a-f]{40}", sha)
    assert isinstance(dirty, bool)


def fake_checkout(folder: Path) -> Path:
    (folder / "harness").mkdir()
    (folder / "harness" / "code.py").write_text("one = 1\n")
    git = [
        "git",
        "-C",
        str(folder),
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@example.org",
        "-c",
        "commit.gpgsign=false",
    ]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "First"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    return folder


def test_an_edited_file_makes_the_checkout_dirty_and_a_result_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fake_checkout(tmp_path)
    monkeypatch.setattr(environment.harness, "__file__", str(root / "harness" / "__init__.py"))
    assert commit()[1] is False
    (root / "results").mkdir()
    (root / "results" / "table.md").touch()
    commit.cache_clear()
    assert commit()[1] is False
    (root / "harness" / "code.py").write_text("one = 2\n")
    commit.cache_clear()
    assert commit()[1] is True


def test_an_installed_copy_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.harness, "__file__", str(tmp_path / "harness" / "__init__.py"))
    assert commit() == (None, None)
