"""Validates a node against a pydantic model, and says in plain words, with the place, what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.errors import Location, nearest, unknown
from harness.suite.problems import Problems
from harness.suite.source import Node, plain

Model = TypeVar("Model", bound=BaseModel)

_KINDS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "model_attributes_type": "a mapping (`key: value`)",
    "none_required": "left empty",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}


def shown(value: object) -> str:
    """A value as a message shows it, short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:50]}…{text[-1]}"


def must_be(name: str, expected: str, value: object) -> str:
    """The sentence that a value of the wrong kind gets."""
    if value is None:
        return f"{name} must be {expected}, but nothing is given"
    return f"{name} must be {expected}, not {shown(value)}"


def unknown_key(key: str, known: Sequence[str]) -> str:
    """The sentence that a key gets which means nothing where it stands."""
    return unknown("key", key, known) if known else f"unknown key {shown(key)}; nothing can be set here"


def validated(
    model: type[Model],
    node: Node,
    problems: Problems,
    *,
    subject: str = "",
    also_known: Sequence[str] = (),
    over: dict[str, Any] | None = None,
) -> Model | None:
    """The model of a node's data, or None after noting every problem at its place.

    Numbers in quotes, 1 for true and 1.0 for 1 are refused: a suite means what it says.

    Args:
        model: what the data must be.
        node: the data.
        problems: where what is wrong is noted.
        subject: put before each message, as `subject: …`.
        also_known: names that a misspelt key of the outermost mapping may have meant besides the model's fields.
        over: data to validate instead, in which the node's has been merged; places still come from the node.
    """
    data = plain(node) if over is None else over
    prefix = f"{subject}: " if subject else ""
    try:
        # By way of JSON, because strict validation of Python data wants tuples where a file can only hold lists.
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        for where, what in _explained(error, model, node, also_known):
            problems.add(where, prefix + what)
    except Exception as error:  # a plug-in's own validator may raise anything
        problems.add(node.name_at, f"{prefix}this could not be checked ({type(error).__name__}: {error})")
    return None


def _explained(
    error: ValidationError, model: type[BaseModel], root: Node, also_known: Sequence[str]
) -> list[tuple[Location, str]]:
    explained: list[tuple[Location, str]] = []
    wanted: dict[Location, tuple[str, list[str], ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        node, keys = _walk(root, detail["loc"])
        kind = detail["type"]
        name = _named(keys)
        if kind == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # it is long enough as stated; its wrong entries have been noted
        if kind == "missing":
            explained.append((node.name_at, f"{str(detail['loc'][-1])!r} is missing"))
        elif kind == "extra_forbidden":
            known = [*_fields(model, keys[:-1]), *(also_known if len(keys) == 1 else ())]
            explained.append((node.name_at, unknown_key(str(keys[-1]), known)))
        elif (expected := _expected(detail)) is not None:
            # What the file leaves out has no place of its own; its value then comes from a default or a named recipe.
            phrases = wanted.setdefault(node.at, (name, [], detail))[1]
            if expected not in phrases:
                phrases.append(expected)
        else:
            message = _message(detail)
            explained.append((node.at, f"{name}: {message}" if name else message))
    for where, (name, phrases, detail) in wanted.items():
        sentence = must_be(name or "this", " or ".join(phrases), detail["input"])
        explained.append((where, sentence + _meant(detail)))
    return explained


def _meant(detail: ErrorDetails) -> str:
    if detail["type"] not in ("literal_error", "enum") or not isinstance(detail["input"], str):
        return ""
    choices = re.findall("'([^']*)'", str(detail.get("ctx", {})["expected"]))
    meant = nearest(detail["input"], choices)
    return f"; did you mean {meant!r}?" if meant else ""


def _walk(root: Node, loc: tuple[int | str, ...]) -> tuple[Node, list[int | str]]:
    """The node that an error's path leads to, as far as the file states it, and the keys on the way.

    Names that pydantic puts into the path itself (of a union's members) lead nowhere and are skipped.
    """
    node, keys = root, list[int | str]()
    for step in loc:
        if isinstance(node.value, dict) and step in node.value:
            node = node.value[str(step)]
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        else:
            continue
        keys.append(step)
    return node, keys


def _named(keys: Sequence[int | str]) -> str:
    names = [key for key in keys if isinstance(key, str)]
    if not names:
        return ""
    return repr(names[-1]) if isinstance(keys[-1], str) else f"an entry of {names[-1]!r}"


def _expected(detail: ErrorDetails) -> str | None:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    if kind in _BOUNDS:
        field, words = _BOUNDS[kind]
        bound = context[field]
        return f"{words} {bound:g}" if isinstance(bound, float) else f"{words} {bound}"
    if kind in ("literal_error", "enum"):
        choices = str(context["expected"])
        return choices.replace("'", "") if isinstance(detail["input"], str) else choices
    if kind == "too_short":
        least = context["min_length"]
        return f"a list of at least {least} {'entry' if least == 1 else 'entries'}"
    if kind == "too_long":
        return f"a list of at most {context['max_length']} entries"
    return None


def _message(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if "error" in context:
        return str(context["error"])
    text = detail["msg"]
    return f"{text[:1].lower()}{text[1:]}, not {shown(detail['input'])}"


def _fields(model: type[BaseModel], keys: Sequence[int | str]) -> list[str]:
    """The names that a mapping at this path of a model may hold."""
    for key in keys:
        if isinstance(key, str) and key in model.model_fields:
            inner = _model_in(model.model_fields[key].annotation)
            if inner is None:
                return []
            model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) is None and isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)
