"""Finds methods: every file of the `methods` package, and every entry point of the group `harness.methods`."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError, unknown

if TYPE_CHECKING:
    from harness.method import Method

ENTRY_POINTS = "harness.methods"


@dataclass(frozen=True)
class Broken:
    """A method whose file cannot be imported; shown in lists, an error only when a suite asks for it."""

    name: str
    where: str
    error: str


@cache
def _found() -> tuple[dict[str, type[Method]], dict[str, Broken]]:
    from harness.method import Method

    sound: dict[str, type[Method]] = {}
    broken: dict[str, Broken] = {}

    def add(where: str, name: str, loaded: object) -> None:
        if not (inspect.isclass(loaded) and issubclass(loaded, Method)):
            broken[name] = Broken(name, where, "is not a subclass of harness.method.Method")
        elif lacking := _lacking(loaded):
            broken[name] = Broken(name, where, f"{loaded.__name__} is not finished: it lacks {', '.join(lacking)}")
        elif loaded.name in sound and sound[loaded.name] is not loaded:
            broken[name] = Broken(name, where, f"the name {loaded.name!r} is taken by {sound[loaded.name].__module__}")
        else:
            sound[loaded.name] = loaded

    import methods

    for module in sorted(pkgutil.iter_modules(methods.__path__), key=lambda entry: entry.name):
        where = f"methods.{module.name}"
        try:
            loaded = importlib.import_module(where)
        except Exception as error:  # a broken plug-in must not take the others down
            broken[module.name] = Broken(module.name, where, f"{type(error).__name__}: {error}")
            continue
        for value in vars(loaded).values():
            own = inspect.isclass(value) and issubclass(value, Method) and value.__module__ == where
            if own and hasattr(value, "name"):
                add(where, module.name, value)
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            loaded_entry = entry.load()
        except Exception as error:
            broken[entry.name] = Broken(entry.name, entry.value, f"{type(error).__name__}: {error}")
            continue
        add(entry.value, entry.name, loaded_entry)
    return sound, broken


def methods_folder() -> Path:
    """The folder whose files are methods."""
    import methods

    return Path(next(iter(methods.__path__)))


def _lacking(author: type[Method]) -> list[str]:
    """What a method's class must have and has not."""
    stated = [field for field in ("name", "title") if not isinstance(getattr(author, field, None), str)]
    return stated + sorted(getattr(author, "__abstractmethods__", ()))


@contextmanager
def registered(author: type[Method]) -> Iterator[None]:
    """Makes a class a method for a while, as if it had been found; for tests of a method that is nowhere installed.

    Raises:
        UserError: the class is not finished, or its name is another method's.
    """
    sound, _ = _found()
    if lacking := _lacking(author):
        raise UserError(f"{author.__name__} is not finished: it lacks {', '.join(lacking)}")
    there = sound.get(author.name)
    if there is author:
        yield
        return
    if there is not None:
        raise UserError(f"the name {author.name!r} is taken by {there.__module__}")
    sound[author.name] = author
    try:
        yield
    finally:
        del sound[author.name]


def methods() -> Mapping[str, type[Method]]:
    """All usable methods by name."""
    return _found()[0]


def broken_methods() -> Mapping[str, Broken]:
    """Methods that were found but cannot be used, with why."""
    return _found()[1]


def method(name: str) -> type[Method]:
    """The method of that name; a UserError that says what was meant, or why it is unusable."""
    sound, broken = _found()
    if name in sound:
        return sound[name]
    if name in broken:
        raise UserError(f"method {name!r} ({broken[name].where}) cannot be used: {broken[name].error}")
    raise UserError(unknown("method", name, sound))
