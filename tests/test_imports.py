"""Doors between the rooms go one way, and the light rooms stay light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import harness

ROOT = Path(harness.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
ROOMS = sorted(path.name for path in ROOT.iterdir() if (path / "__init__.py").exists())

CONTRACTS = {"errors", "inside", "paths", "printable", "registry", "method", "task", "__init__"}
"""Single files that every room may import."""

MAY_IMPORT: dict[str, set[str]] = {
    "data": set(),
    "backbones": {"data"},
    "channels": set(),
    "suite": {"data", "backbones"},
    "plan": {"suite", "data", "backbones"},
    "store": {"plan", "suite", "data", "backbones"},
    "stats": set(),
    "report": {"stats", "store", "plan", "suite", "data", "backbones"},
    "train": {"data", "store"},
    "measure": {"channels", "data", "backbones"},
    "execute": {"train", "measure", "channels", "store", "plan", "suite", "data", "backbones"},
    "export": {"execute", "train", "channels", "store", "plan", "suite", "data", "backbones"},
    "reproduce": {"stats", "execute", "train", "store", "suite"},
    "authoring": {"execute", "train", "channels", "store", "plan", "suite", "data", "backbones"},
    "cli": {
        "authoring",
        "reproduce",
        "execute",
        "export",
        "train",
        "measure",
        "channels",
        "report",
        "stats",
        "store",
        "plan",
        "suite",
        "data",
        "backbones",
    },
}
"""Which rooms each room may import, at the top of a file or within functions."""


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else path.stem


def imported(path: Path, types_too: bool = True) -> list[tuple[str, int]]:
    """(room or single file, line) of everything of the harness that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden: set[ast.AST] = set()
    if not types_too:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                hidden.update(child for statement in node.body for child in ast.walk(statement))
    found = []
    for node in ast.walk(tree):
        if node in hidden:
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide which room they reach"
            names = [node.module or ""]
            if node.module == "harness":
                names = [f"harness.{alias.name}" for alias in node.names]
        for name in names:
            if name == "harness" or name.startswith("harness."):
                found.append(([*name.split("."), "__init__"][1], node.lineno))
    return found


def test_every_room_is_in_the_plan_of_the_house() -> None:
    assert set(ROOMS) == set(MAY_IMPORT)


def test_the_plan_of_the_house_has_no_circle() -> None:
    reached: set[str] = set()
    while len(reached) < len(MAY_IMPORT):
        ready = {room for room, doors in MAY_IMPORT.items() if room not in reached and doors <= reached}
        assert ready, f"these rooms import each other: {set(MAY_IMPORT) - reached}"
        reached |= ready


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_is_below_it(room: str) -> None:
    allowed = MAY_IMPORT[room] | CONTRACTS | {room}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in MODULES
        if room_of(path) == room
        for name, line in imported(path)
        if name not in allowed
    ]
    assert wrong == []


def test_the_contracts_name_no_room_but_for_types_and_gates() -> None:
    wrong = {
        f"{path.name}: {name}"
        for path in MODULES
        if room_of(path) in CONTRACTS
        for name, _ in imported(path, types_too=False)
        if name in MAY_IMPORT
    }
    assert wrong == {"method.py: channels", "__init__.py: export", "__init__.py: authoring"}


def test_only_the_registry_imports_the_methods_and_none_by_name() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {ast.unparse(node)}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        and "methods"
        in {name.split(".")[0] for name in [getattr(node, "module", ""), *(each.name for each in node.names)] if name}
        and getattr(node, "module", None) != "harness.registry"
    }
    assert found == {"registry.py: import methods"}


LIGHT = ("suite", "plan", "store", "stats", "report")
BLOCKED = ("torch", "torchvision", "torch_pruning", "ray", "fvcore")
PROGRAM = """\
import importlib, json, pkgutil, sys
for name in {blocked!r}:
    sys.modules[name] = None
import harness, methods
wanted = ["harness", "harness.__main__", "harness.method", "harness.registry", "harness.paths", "harness.errors"]
wanted += ["harness.data.catalogue", "harness.backbones", "harness.train.watch"]
rooms = ("suite", "plan", "store", "stats", "report", "cli")
for package in (*("harness." + room for room in rooms), "methods"):
    found = importlib.import_module(package)
    wanted += [package] + [entry.name for entry in pkgutil.walk_packages(found.__path__, package + ".")]
told = {{}}
for name in wanted:
    try:
        importlib.import_module(name)
        told[name] = ""
    except BaseException as error:
        told[name] = f"{{type(error).__name__}}: {{error}}"
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def imports() -> dict[str, str]:
    """{module: why it cannot be imported, or ""} in a process that has neither torch nor Ray."""
    program = PROGRAM.format(blocked=BLOCKED)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    told: dict[str, str] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("room", LIGHT)
def test_a_light_room_can_be_imported_without_torch_and_ray(room: str, imports: dict[str, str]) -> None:
    own = {name: error for name, error in imports.items() if name.startswith(f"harness.{room}")}
    assert len(own) > 1
    assert {name: error for name, error in own.items() if error} == {}


def test_the_shipped_methods_can_be_imported_without_torch(imports: dict[str, str]) -> None:
    own = {name: error for name, error in imports.items() if name.startswith("methods.")}
    assert len(own) >= 5
    assert {name: error for name, error in own.items() if error} == {}


def test_the_command_line_and_the_contracts_can_be_imported_without_torch(imports: dict[str, str]) -> None:
    own = {name: error for name, error in imports.items() if name.startswith(("harness.cli", "harness.__main__"))}
    contracts = ["harness.method", "harness.registry", "harness.errors", "harness.data.catalogue", "harness.backbones"]
    own |= {name: imports[name] for name in contracts}
    assert {name: error for name, error in own.items() if error} == {}


SLOW = ("torch", "ray", "scipy", "pandas", "matplotlib", "sklearn")


def test_the_command_line_is_imported_without_any_slow_library() -> None:
    program = "import sys, harness.cli.app, harness.store.grid, harness.plan.summary; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(SLOW) & set(done.stdout.split()) == set()
