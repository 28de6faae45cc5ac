"""Methods are found by being there; one that is broken takes no other down."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import methods as package
from harness import registry
from harness.errors import UserError
from harness.registry import ENTRY_POINTS, broken_methods, method, methods

SHIPPED = {"dense", "dnal", "l1_norm", "random", "uniform"}

SOUND = '''\
from harness.method import ScoreMethod, Scores, Task


class Mine(ScoreMethod):
    """Mine."""

    name = "mine"
    title = "Mine"

    def score(self, task: Task) -> Scores:
        """Nothing yet."""
        return {}
'''

Add = Callable[[str, str], None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Drops a file into the folder of the methods."""
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    added = []

    def dropped(name: str, text: str) -> None:
        added.append(f"methods.{name}")
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        registry._found.cache_clear()

    yield dropped
    registry._found.cache_clear()
    for name in added:
        sys.modules.pop(name, None)


def test_the_shipped_methods_are_found() -> None:
    assert set(methods()) >= SHIPPED
    assert broken_methods() == {}
    assert all(method(name).name == name for name in SHIPPED)


def test_every_method_says_what_a_table_calls_it() -> None:
    assert all(found.title for found in methods().values())


def test_a_file_that_is_dropped_in_is_a_method(add: Add) -> None:
    add("mine", SOUND)
    assert method("mine").title == "Mine"
    assert method("mine").__module__ == "methods.mine"


def test_a_file_without_a_method_is_a_helper(add: Add) -> None:
    add("helpers", "from harness.method import ScoreMethod\n\n\ndef square(value):\n    return value * value\n")
    assert set(methods()) >= SHIPPED
    assert "helpers" not in methods()
    assert broken_methods() == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def torn(:\n", "SyntaxError: "),
        ("raise RuntimeError('not today')\n", "RuntimeError: not today"),
        (SOUND.replace('"mine"', '"dnal"'), "the name 'dnal' is taken by methods.dnal"),
        (SOUND.replace("def score", "def scores"), "Mine is not finished: it lacks score"),
    ],
    ids=["import", "syntax", "error", "name taken", "abstract"],
)
def test_a_broken_file_is_named_with_why_and_takes_no_other_down(text: str, why: str, add: Add) -> None:
    add("mine_too", text)
    assert set(methods()) >= SHIPPED
    assert broken_methods()["mine_too"].error.startswith(why)
    with pytest.raises(UserError, match=r"method 'mine_too' \(methods.mine_too\) cannot be used: "):
        method("mine_too")


def test_a_base_class_without_a_name_is_no_method(add: Add) -> None:
    add("bases", "from harness.method import ScoreMethod\n\n\nclass Base(ScoreMethod):\n    pass\n")
    assert broken_methods() == {}


def test_an_unknown_name_says_what_was_meant() -> None:
    with pytest.raises(UserError, match=r"unknown method 'l1norm'; did you mean 'l1_norm'\?"):
        method("l1norm")


def test_a_name_like_no_other_says_what_there_is() -> None:
    with pytest.raises(UserError, match=r"there are: .*\bdense, .*\bdnal, .*uniform"):
        method("zzz")


@pytest.fixture
def enter(add: Add, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs entry points: {name: module:attribute}."""

    def entered(**points: str) -> None:
        found = [importlib.metadata.EntryPoint(name, value, ENTRY_POINTS) for name, value in points.items()]
        monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: found)
        registry._found.cache_clear()

    return entered


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Writes the module `elsewhere` of another package."""
    folder = tmp_path / "other"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def written(text: str) -> None:
        (folder / "elsewhere.py").write_text(text)
        importlib.invalidate_caches()

    yield written
    sys.modules.pop("elsewhere", None)


def test_a_method_of_another_package_comes_in_by_an_entry_point(
    enter: Callable[..., None], elsewhere: Callable[[str], None]
) -> None:
    elsewhere(SOUND)
    enter(mine="elsewhere:Mine")
    assert method("mine").__module__ == "elsewhere"
    assert broken_methods() == {}


@pytest.mark.parametrize(
    ("text", "point", "why"),
    [
        (SOUND, "elsewhere:Other", "AttributeError"),
        (SOUND, "no_such_module:Mine", "ModuleNotFoundError"),
        ("Mine = 3\n", "elsewhere:Mine", "is not a subclass of harness.method.Method"),
        (SOUND.replace('"mine"', '"l1_norm"'), "elsewhere:Mine", "the name 'l1_norm' is taken by methods.l1_norm"),
        (SOUND.replace('    name = "mine"\n', ""), "elsewhere:Mine", "Mine is not finished: it lacks name"),
        (SOUND.replace("def score", "def scores"), "elsewhere:Mine", "Mine is not finished: it lacks score"),
    ],
)
def test_a_broken_entry_point_is_named_with_why_and_takes_no_other_down(
    text: str, point: str, why: str, enter: Callable[..., None], elsewhere: Callable[[str], None]
) -> None:
    elsewhere(text)
    enter(theirs=point)
    assert set(methods()) >= SHIPPED
    assert broken_methods()["theirs"].error.startswith(why)
