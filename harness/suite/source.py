"""Reads YAML into plain data that remembers where each key and value stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from harness.errors import Location, UserError
from harness.suite.problems import Problems

Scalar = str | int | float | bool | None

LARGEST_FILE = 1_000_000
"""Bytes of a suite file."""
MOST_VALUES = 30_000
"""Keys and values of a document, aliases written out."""
DEEPEST = 40
"""Levels of nesting."""


@dataclass(frozen=True)
class Node:
    """A value and its place; never changed once made, since aliases and profiles share nodes.

    Attributes:
        value: a plain scalar, a list of nodes, or a dict of nodes.
        at: where the value begins.
        key_at: where its key begins, or None for an entry of a list and for the whole document.
    """

    value: Scalar | list[Node] | dict[str, Node]
    at: Location
    key_at: Location | None = None

    @property
    def name_at(self) -> Location:
        """Where a reader looks for it: at its key if it has one."""
        return self.key_at or self.at


def plain(node: Node) -> Any:
    """The data without places: dict, list, str, int, float, bool and None only."""
    if isinstance(node.value, dict):
        return {key: plain(entry) for key, entry in node.value.items()}
    if isinstance(node.value, list):
        return [plain(entry) for entry in node.value]
    return node.value


def read(path: Path, problems: Problems) -> Node:
    """The document of a file.

    Raises:
        UserError: the file cannot be read, is too large or is not UTF-8.
        SuiteError: it is not YAML, or not a mapping.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(content) > LARGEST_FILE:
        raise UserError(f"{path} is larger than {LARGEST_FILE // 1_000_000} MB; a suite is a short text file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
        problems.add(Location(problems.file, line, column), "this byte is not UTF-8 text; save the file as UTF-8")
        problems.raise_any()
        raise
    root = parse(text, problems.file, problems)
    if root is not None and root.value is None:
        problems.add(Location(problems.file, 1, 1), "the file is empty; a suite begins with `suite: NAME`")
    elif root is not None and not isinstance(root.value, dict):
        problems.add(root.at, "a suite is a mapping: lines such as `suite: NAME`")
    if root is None or not isinstance(root.value, dict):
        problems.raise_any()
        raise UserError(f"{path} is not a suite")
    return root


def parse(text: str, file: str, problems: Problems, column: int = 0) -> Node | None:
    """The one document of a text, or None after noting why it is none. An empty text is a null.

    Args:
        text: YAML. Numbers as in YAML 1.2, so that `1e-4` is a number and a date is text.
        file: what places call the text.
        problems: where what is wrong is noted.
        column: how many characters stand before the text on its first line.
    """
    builder = _Builder(file, column, problems)
    try:
        return builder.document(text)
    except _Refused as refusal:
        problems.add(refusal.where, refusal.what)
    except ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        line = before.count("\n")
        where = builder.place(line, len(before) - (before.rfind("\n") + 1))
        problems.add(where, "this character is not allowed in a text file")
    except MarkedYAMLError as error:
        problems.add(*_syntax(error, builder))
    except Exception as error:  # the parser has more ways to stumble over junk than it documents
        problems.add(builder.last, f"this is not valid YAML ({error})")
    return None


class _Refused(Exception):
    def __init__(self, where: Location, what: str) -> None:
        self.where = where
        self.what = what
        super().__init__(what)


class _Builder:
    """Builds nodes from the parser's events."""

    def __init__(self, file: str, column: int, problems: Problems) -> None:
        self._file = file
        self._column = column
        self._problems = problems
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._values = 0
        self._events: Iterator[Event] = iter(())
        self.last = self.place(0, 0)

    def place(self, line: int, column: int) -> Location:
        """A place from the parser's line and column, which count from 0."""
        return Location(self._file, line + 1, column + 1 + (self._column if line == 0 else 0))

    def document(self, text: str) -> Node:
        self._events = iter(YAML(typ="safe", pure=True).parse(text))
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    raise _Refused(self._at(event), "a second document begins here; a suite is one document")
                root = self._node(self._next(), depth=1)
        return root if root is not None else Node(None, self.place(0, 0))

    def _next(self) -> Event:
        event = next(self._events)
        self.last = self._at(event)
        return event

    def _at(self, event: Event) -> Location:
        mark = event.start_mark
        return self.place(mark.line, mark.column)

    def _node(self, event: Event, depth: int, key_at: Location | None = None) -> Node:
        where = self._at(event)
        self._count(1, where)
        if depth > DEEPEST:
            raise _Refused(where, f"this is nested more than {DEEPEST} levels deep")
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise _Refused(
                    where, f"the alias *{event.anchor} repeats nothing: no &{event.anchor} is complete above"
                )
            node, size = self._anchors[event.anchor]
            self._count(size, where)
            return replace(node, key_at=key_at)
        assert isinstance(event, ScalarEvent | SequenceStartEvent | MappingStartEvent)
        before = self._values
        if event.tag is not None:
            raise _Refused(where, f"tags are not allowed, and this one says {str(event.tag)!r}; write plain values")
        if isinstance(event, ScalarEvent):
            node = self._scalar(event, where, key_at)
        elif isinstance(event, SequenceStartEvent):
            node = Node(self._list(depth), where, key_at)
        else:
            node = Node(self._mapping(depth), where, key_at)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, self._values - before)
        return node

    def _list(self, depth: int) -> list[Node]:
        entries = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            entries.append(self._node(event, depth + 1))
        return entries

    def _mapping(self, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            key_at = self._at(event)
            if not isinstance(event, ScalarEvent) or event.tag is not None:
                raise _Refused(key_at, "a key must be a plain word")
            key = _readable(str(event.value), key_at)
            if key == "<<":
                raise _Refused(key_at, "merge keys (<<) are not supported; write the keys out, or use a profile")
            if event.anchor is not None:
                self._anchors[event.anchor] = (Node(key, key_at), 1)
            node = self._node(self._next(), depth + 1, key_at)
            if key in entries:
                first = entries[key].name_at
                self._problems.add(key_at, f"{key!r} is stated twice; it already stands at line {first.line}")
            else:
                entries[key] = node
        return entries

    def _scalar(self, event: ScalarEvent, where: Location, key_at: Location | None) -> Node:
        text = _readable(str(event.value), where)
        if not event.implicit[0]:
            return Node(text, where, key_at)
        # An empty value is reported where the parser notices it, which may be lines below its key.
        return Node(_plain_scalar(text), where if text else key_at or where, key_at)

    def _count(self, values: int, where: Location) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            raise _Refused(where, f"the document holds more than {MOST_VALUES} values, aliases written out")


_UNREADABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f]"
)
"""Control characters, lone surrogates, signs without width and those that turn the direction of writing."""
_INTEGER = re.compile(r"[-+]?[0-9]+(_[0-9]+)*")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(_[0-9]+)*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", "+.inf", ".Inf", "+.Inf", ".INF", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_LONGEST_NUMBER = 400


def _plain_scalar(text: str) -> Scalar:
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _LONGEST_NUMBER:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


def _readable(text: str, where: Location) -> str:
    found = _UNREADABLE.search(text)
    if found:
        raise _Refused(where, f"this text holds U+{ord(found.group()):04X}, a character that cannot be printed")
    return text


def _syntax(error: MarkedYAMLError, builder: _Builder) -> tuple[Location, str]:
    """Place and plain sentence for what the parser could not read."""
    mark = error.problem_mark or error.context_mark
    where = builder.place(mark.line, mark.column) if mark is not None else builder.last
    opened = error.context_mark
    since = builder.place(opened.line, opened.column) if opened is not None else where
    problem = str(error.problem or error.context or "")
    context = str(error.context or "")
    if "'\\t'" in problem:
        return where, "a tab cannot stand here; indent with spaces"
    if "mapping values are not allowed" in problem:
        return where, "a ':' cannot stand here; check the indentation, or put a text that holds ': ' in quotes"
    if "cannot start any token" in problem:
        return where, "a value cannot begin with this character; put it in quotes"
    if "flow sequence" in context:
        return since, "this '[' is not closed with ']', or a ',' is missing in it"
    if "flow mapping" in context:
        return since, "this '{' is not closed with '}', or a ',' is missing in it"
    if "quoted scalar" in context and "end of stream" in problem:
        return since, "this quote is not closed"
    if "<block end>" in problem:
        return where, "this does not continue what stands above; check the indentation"
    if "simple key" in context or "could not find expected ':'" in problem:
        return since, "a ':' is missing after this key"
    return where, f"this is not valid YAML ({problem})"
