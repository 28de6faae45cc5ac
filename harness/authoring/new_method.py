"""Writes the file that a new method begins with, and its test."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from harness.errors import UserError
from harness.registry import broken_methods, methods, methods_folder

Family = Literal["score", "rounds", "gate", "search", "build", "plain"]
FAMILIES: tuple[Family, ...] = get_args(Family)


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        method: the method's file.
        test: its test.
    """

    method: Path
    test: Path


def new_method(name: str, family: Family = "score", into: Path | None = None) -> Written:
    """Writes a method that works, and a test that passes.

    Args:
        name: what a suite will call it.
        family: what its author writes.
        into: the folder of both files; default: `methods/` of this checkout, and `tests/methods/` for the test.

    Raises:
        UserError: the name is no name for a method or is taken, or the files cannot be written.
    """
    _refuse_name(name)
    if into is None:
        folder = methods_folder()
        tests = folder.parent / "tests" / "methods"
        if not tests.is_dir():
            raise UserError(f"the harness in {folder.parent} is no checkout; say where to write with --into DIR")
        module = f"{folder.name}.{name}"
    else:
        folder = tests = into
        module = name
        if name in sys.stdlib_module_names:
            raise UserError(
                f"{name!r} is a module of Python's own library, which its file would hide; take another name"
            )
    written = Written(folder / f"{name}.py", tests / f"test_{name}.py")
    for path in (written.method, written.test):
        if path.exists():
            raise UserError(f"{path} is there already; nothing was written")
    words = {
        "__NAME__": name,
        "__CLASS__": "".join(part.capitalize() for part in name.split("_")),
        "__TITLE__": name.replace("_", " ").capitalize(),
        "__MODULE__": module,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(written.method, family, words)
        _write(written.test, "test", words)
    except OSError as error:
        raise UserError(f"{error.filename or folder} cannot be written: {error.strerror}") from None
    return written


def _refuse_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > 60:
        raise UserError(
            f"{name!r} cannot name a method: it takes small letters and digits, with single '_' between words, "
            "and begins with a letter"
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise UserError(f"{name!r} cannot name a method: it is a word of Python's own")
    if name.startswith("test_"):
        raise UserError(f"{name!r} cannot name a method: its file would be taken for a test")
    if name in methods():
        raise UserError(f"there is a method {name!r} already, in {methods()[name].__module__}")
    if name in broken_methods():
        raise UserError(f"there is a method {name!r} already, which cannot be used: {broken_methods()[name].error}")


def _write(path: Path, template: str, words: dict[str, str]) -> None:
    text = files("harness.authoring").joinpath("templates", f"{template}.py.txt").read_text(encoding="utf-8")
    for placeholder, word in words.items():
        text = text.replace(placeholder, word)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
