"""`new-method` writes what works, and refuses in one line what would not."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import methods as package
from harness import registry
from harness.authoring.new_method import FAMILIES, new_method
from harness.cli.new_method import FamilyName
from harness.errors import UserError
from harness.method import BuildMethod, GateMethod, Method, RoundsMethod, ScoreMethod, SearchMethod
from tests.cli.calling import call

BASES = {
    "score": ScoreMethod,
    "rounds": RoundsMethod,
    "gate": GateMethod,
    "search": SearchMethod,
    "build": BuildMethod,
    "plain": Method,
}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose files can be imported, and are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_method_of_each_family_and_its_test_work_as_they_are_written(family: str, importable: Path) -> None:
    name = f"fresh_{family}"
    written = new_method(name, family, importable)  # type: ignore[arg-type]
    assert (written.method, written.test) == (importable / f"{name}.py", importable / f"test_{name}.py")
    test = importlib.import_module(f"test_{name}")
    author = getattr(importlib.import_module(name), f"Fresh{family.capitalize()}")
    assert issubclass(author, BASES[family])
    assert (author.name, author.title) == (name, f"Fresh {family}")
    test.test_the_contract_holds()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is laid out like a clone, and whose methods come first."""
    for folder in ("harness", "methods", "tests/methods"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(package, "__path__", [str(tmp_path / "methods"), *package.__path__])
    return tmp_path


def test_what_is_written_is_in_the_houses_style(checkout: Path) -> None:
    for family in FAMILIES:
        new_method(f"fresh_{family}", family)
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--no-cache", str(checkout)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=checkout, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_in_a_checkout_the_files_go_where_methods_and_their_tests_are(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = new_method("fresh")
    assert written.method == checkout / "methods" / "fresh.py"
    assert written.test == checkout / "tests" / "methods" / "test_fresh.py"
    assert "from methods.fresh import Fresh\n" in written.test.read_text()
    registry._found.cache_clear()
    try:
        assert registry.method("fresh").title == "Fresh"
    finally:
        monkeypatch.undo()
        registry._found.cache_clear()
        sys.modules.pop("methods.fresh", None)


def test_an_installed_copy_is_no_place_for_new_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "methods").mkdir()
    monkeypatch.setattr(package, "__path__", [str(tmp_path / "methods"), *package.__path__])
    with pytest.raises(UserError, match="is no checkout; say where to write with --into DIR"):
        new_method("fresh")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("l1_norm", "there is a method 'l1_norm' already, in methods.l1_norm"),
        ("My-Method", "'My-Method' cannot name a method: it takes small letters and digits"),
        ("1st", "'1st' cannot name a method"),
        ("two__words", "'two__words' cannot name a method"),
        ("class", "'class' cannot name a method: it is a word of Python's own"),
        ("match", "'match' cannot name a method: it is a word of Python's own"),
        ("test_mine", "'test_mine' cannot name a method: its file would be taken for a test"),
        ("statistics", "'statistics' is a module of Python's own library, which its file would hide"),
        ("../mine", "'../mine' cannot name a method"),
    ],
)
def test_a_name_that_will_not_do_is_refused_in_one_line_and_nothing_is_written(
    name: str, why: str, tmp_path: Path
) -> None:
    called = call(tmp_path, "new-method", name, "--into", "here")
    assert called.status == 2
    assert called.err.startswith(f"error: {why}")
    assert len(called.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("taken", ["mine.py", "test_mine.py"])
def test_a_file_that_is_there_is_left_alone(taken: str, tmp_path: Path) -> None:
    (tmp_path / taken).write_text("precious")
    called = call(tmp_path, "new-method", "mine", "--into", ".")
    assert (called.status, called.err) == (2, f"error: {taken} is there already; nothing was written\n")
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "precious"


def test_the_command_says_what_it_wrote(tmp_path: Path) -> None:
    called = call(tmp_path, "new-method", "mine", "--family", "gate", "--into", "own")
    assert called.status == 0
    assert called.out.splitlines() == [
        "own/mine.py: a working gate method; put your own idea in",
        "own/test_mine.py: its test, `python -m pytest own/test_mine.py`",
    ]


def test_the_command_offers_every_family() -> None:
    assert tuple(FamilyName) == FAMILIES
