"""A method's source as a short text that changes when the method does, and only then."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from functools import cache
from pathlib import Path

from harness.backbones.installed import installed
from harness.registry import method

SHIPPED = "methods"


def fingerprint(name: str) -> str:
    """sha256 of the syntax trees of the method's file and of what it imports from `methods`.

    Docstrings, comments and layout do not count, so that editing them redoes nothing.
    """
    return _of_module(method(name).__module__)


def backbone_fingerprint(name: str) -> str | None:
    """sha256 of the syntax trees behind a network of another package; None for networks whose code is the harness's."""
    if name not in installed():
        return None
    return _of_module(installed()[name].builder.split(":")[0])


@cache
def _of_module(module: str) -> str:
    seen: dict[str, str] = {}
    waiting = [module]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        path = _file_of(current)
        if path is None:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        waiting += _imports_of(tree, current)
        seen[current] = ast.dump(_without_docstrings(tree))
    text = "\n".join(f"{each}: {seen[each]}" for each in sorted(seen))
    return hashlib.sha256(text.encode()).hexdigest()


def _file_of(module: str) -> Path | None:
    loaded = sys.modules.get(module)
    place = getattr(loaded, "__file__", None)
    if place is None:
        found = importlib.util.find_spec(module)
        place = found.origin if found is not None else None
    return Path(place) if place is not None and place.endswith(".py") else None


def _imports_of(tree: ast.Module, module: str) -> list[str]:
    """Modules of the same top-level package that `tree` imports."""
    top = module.split(".", maxsplit=1)[0]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")[: -node.level]
                base = ".".join([*package, base] if base else package)
            found += [base] + [f"{base}.{alias.name}" for alias in node.names]
    return [name for name in found if name.split(".")[0] in {top, SHIPPED} and name != SHIPPED and _exists(name)]


def _exists(module: str) -> bool:
    if module.split(".", maxsplit=1)[0] == "harness":
        return False
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [
                statement
                for statement in node.body
                if not (
                    isinstance(statement, ast.Expr)
                    and isinstance(statement.value, ast.Constant)
                    and isinstance(statement.value.value, str)
                )
            ] or [ast.Pass()]
    return tree
