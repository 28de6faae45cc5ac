"""A method's fingerprint follows its code, and nothing else."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import methods
from harness.plan import fingerprint as room
from harness.plan.stages import chain_of
from tests.cells import cell

ALPHA = '''\
"""Scores by alpha."""

from methods.shared_maths import square


class Alpha:
    """A method."""

    weight = 2  # of everything

    def score(self, value: int) -> int:
        """The score."""
        return self.weight * square(value)
'''
BETA = "class Beta:\n    weight = 3\n"
SHARED = "def square(value: int) -> int:\n    return value * value\n"

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a file under `methods`; every name is a method that stands in the file of that name."""
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    monkeypatch.setattr(room, "method", lambda name: SimpleNamespace(__module__=f"methods.{name}"))

    names = set()

    def written(name: str, text: str) -> None:
        names.add(f"methods.{name}")
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        room._of_module.cache_clear()

    written("alpha", ALPHA)
    written("beta", BETA)
    written("shared_maths", SHARED)
    yield written
    room._of_module.cache_clear()
    for name in names:  # to see whether a name is a module, Python imports what it stands in
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "edited",
    [
        ALPHA.replace("  # of everything", ""),
        ALPHA.replace("# of everything", "# of nothing"),
        "# A heading.\n\n" + ALPHA,
        ALPHA.replace('"""Scores by alpha."""\n', ""),
        ALPHA.replace('"""A method."""', '"""Another sentence."""'),
        ALPHA.replace('        """The score."""\n', ""),
        ALPHA.replace(
            "self.weight * square(value)", "(\n            self.weight\n            * square( value )\n        )"
        ),
        ALPHA.replace("\n\n\n", "\n"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(edited: str, write: Write) -> None:
    before = room.fingerprint("alpha")
    assert edited != ALPHA
    write("alpha", edited)
    assert room.fingerprint("alpha") == before


@pytest.mark.parametrize(
    "edited",
    [
        ALPHA.replace("weight = 2", "weight = 3"),
        ALPHA.replace("self.weight *", "self.weight +"),
        ALPHA.replace("def score", "def scores"),
        ALPHA + "\nOTHER = 1\n",
    ],
)
def test_code_counts(edited: str, write: Write) -> None:
    before = room.fingerprint("alpha")
    write("alpha", edited)
    assert room.fingerprint("alpha") != before


@pytest.mark.parametrize(
    "how",
    [
        "from methods.shared_maths import square",
        "from methods import shared_maths",
        "import methods.shared_maths",
        "from . import shared_maths",
        "from .shared_maths import square",
        "def late():\n    from methods.shared_maths import square",
    ],
)
def test_a_file_of_methods_that_it_imports_counts(how: str, write: Write) -> None:
    write("alpha", f"{how}\n")
    before = room.fingerprint("alpha")
    write("shared_maths", SHARED.replace("value * value", "value ** 2"))
    assert room.fingerprint("alpha") != before


def test_what_an_imported_file_imports_counts_too(write: Write) -> None:
    write("shared_maths", "from methods.deeper import cube\n")
    write("deeper", "cube = 3\n")
    before = room.fingerprint("alpha")
    write("deeper", "cube = 27\n")
    assert room.fingerprint("alpha") != before


def test_a_comment_in_an_imported_file_does_not_count(write: Write) -> None:
    before = room.fingerprint("alpha")
    write("shared_maths", SHARED + "# the end\n")
    assert room.fingerprint("alpha") == before


def test_another_methods_file_does_not_count(write: Write) -> None:
    before = room.fingerprint("alpha")
    write("beta", BETA.replace("3", "4"))
    assert room.fingerprint("alpha") == before


def test_files_that_import_each_other_have_a_fingerprint(write: Write) -> None:
    write("shared_maths", "from methods import alpha\n")
    assert room.fingerprint("alpha") != room.fingerprint("beta")


def test_only_the_edited_methods_cells_are_named_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = {name: cell(name, budget=0.5) for name in ("l1_norm", "random")}
    before = {name: chain_of(each, {}).stages for name, each in cells.items()}
    known = room._of_module
    monkeypatch.setattr(room, "_of_module", lambda module: "new" if module == "methods.l1_norm" else known(module))
    after = {name: chain_of(each, {}).stages for name, each in cells.items()}
    assert before["random"] == after["random"]
    assert [old.key == new.key for old, new in zip(before["l1_norm"], after["l1_norm"], strict=True)] == [
        True,
        False,
        False,
        False,
    ]


DNAL = (Path(methods.__file__).parent / "dnal.py").read_text()
LINES = DNAL.splitlines()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.integers(0, len(LINES)), min_size=1, max_size=5), text=st.text("abc =()'\"", max_size=9))
def test_a_comment_on_a_line_of_its_own_counts_nowhere(places: list[int], text: str, write: Write) -> None:
    write("real", DNAL)
    before = room.fingerprint("real")
    lines = list(LINES)
    for place in sorted(places, reverse=True):
        # In a docstring it is no comment, but docstrings do not count either.
        lines.insert(place, "# " + text.replace('"', "'"))
    write("real", "\n".join(lines))
    assert room.fingerprint("real") == before


NUMBERS = [
    node
    for node in ast.walk(ast.parse(DNAL))
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)
]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.sampled_from(NUMBERS))
def test_every_number_in_a_methods_file_counts(number: ast.Constant, write: Write) -> None:
    write("real", DNAL)
    before = room.fingerprint("real")
    lines = list(LINES)
    line = lines[number.lineno - 1].encode()
    lines[number.lineno - 1] = (line[: number.col_offset] + b"7654321" + line[number.end_col_offset :]).decode()
    write("real", "\n".join(lines))
    assert room.fingerprint("real") != before
