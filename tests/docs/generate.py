"""Writes the pages of docs/ that are made from the code: the schema of suites and the options of the command line.

python -m tests.docs.generate
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from harness.cli.app import app
from harness.registry import methods
from harness.suite.recipe import Epochs, Recipe
from harness.suite.schema import DatasetBlock, ReportBlock, Resources, SuiteFile

DOCS = Path(__file__).resolve().parents[2] / "docs"

_WORDS = {int: "integer", float: "number", bool: "true, false", str: "text", Any: "anything", type(None): "null"}
COMMON = {
    "learning_rate": "of the training that the method does itself",
    "momentum": "of that training",
    "weight_decay": "of that training",
    "images": "training images that are looked at",
    "batches": "training batches that are looked at",
    "epochs": "length of the training, of those that the recipe states",
    "delta_initial": "the annealing factor of the first epoch",
    "delta_final": "the annealing factor of the last epoch",
    "delta_schedule": "how it gets from one to the other",
    "p": "power of the absolute weights",
    "reduction": "over coupled layers",
    "normalizer": "what a group's importances are divided by",
    "ties": "which of equal ranks goes first: the higher index, or the smaller filter",
    "alpha": "weight of spread against lack of rank correlation",
    "batch_norm": "how importance passes through batch norm",
    "of": "what the loss is derived in",
}
"""Meanings of parameters whose models state none: a method's source, texts included, is part of its content keys."""

_SIGNS = ((annotated_types.Ge, "ge", "≥"), (annotated_types.Gt, "gt", ">"))
_UPPER = ((annotated_types.Le, "le", "≤"), (annotated_types.Lt, "lt", "<"))


def schema_page() -> str:
    """The page of every key that a suite may have, from the pydantic models that check it."""
    lines = [
        "# Reference: every key of a suite, from the code",
        "",
        "Made by `python -m tests.docs.generate` from the models that check a suite; a test makes it anew. What the",
        "keys mean together is in [the reference of the suite](reference_suite.md), what methods do with their",
        "parameters in [that of the methods](reference_methods.md).",
        "",
    ]
    blocks: list[tuple[str, type[BaseModel]]] = [
        ("Top level", SuiteFile),
        ("`dataset`", DatasetBlock),
        ("`resources`", Resources),
        ("`report`", ReportBlock),
        ("`recipe`", Recipe),
        ("`recipe.epochs`", Epochs),
    ]
    for title, model in blocks:
        lines += [f"## {title}", "", *_table(model), ""]
    lines += ["## Parameters of methods", ""]
    for name, author in sorted(methods().items()):
        if not author.__module__.startswith("methods."):
            continue
        fields = list(_table(author.Params)) if author.Params.model_fields else ["None."]
        lines += [f"### `{name}`", "", *fields, ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(model: type[BaseModel]) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        text = (field.description or COMMON.get(name, "")).replace("|", "\\|")
        yield f"| `{name}` | {_type(field.annotation, field.metadata)} | {_default(field)} | {text} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "as below"
    if isinstance(value, tuple):
        return "`[" + ", ".join(map(_plain, value)) + "]`"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _type(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0], [*metadata, *_constraints(arguments[1:])])
    if origin in (Union, types.UnionType):
        return " or ".join(_type(each, metadata) for each in arguments if each is not type(None))
    if origin is Literal:
        return ", ".join(f"`{_plain(each)}`" for each in arguments)
    if origin in (list, tuple):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    return _WORDS.get(annotation, "mapping") + _range(metadata)


def _constraints(metadata: Sequence[Any]) -> list[Any]:
    return [inner for each in metadata for inner in (each.metadata if isinstance(each, FieldInfo) else [each])]


def _range(metadata: Sequence[Any]) -> str:
    found = [
        f"{sign} {_plain(getattr(each, name))}"
        for kind, name, sign in (*_SIGNS, *_UPPER)
        for each in metadata
        if isinstance(each, kind)
    ]
    return f" {', '.join(found)}" if found else ""


def options_page() -> str:
    """The page of every verb's arguments and options, from the command line itself."""
    lines = [
        "# Reference: every option, from the code",
        "",
        "Made by `python -m tests.docs.generate` from the command line itself; a test makes it anew. What the verbs do",
        "is in [the reference of the command line](reference_commands.md).",
        "",
    ]
    group: Any = typer.main.get_command(app)
    for name, command in sorted(group.commands.items()):
        lines += [f"## `{name}`", "", (command.help or "").strip(), "", "| argument or option | meaning |", "|---|---|"]
        lines += [_option(parameter) for parameter in command.params if parameter.name != "help"]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _option(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.human_readable_name
    else:
        name = ", ".join(parameter.opts)
    text = " ".join((getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
    return f"| `{name}` | {text} |"


def pages() -> Mapping[str, str]:
    """{file name in docs/: its text}."""
    return {"reference_schema.md": schema_page(), "reference_options.md": options_page()}


if __name__ == "__main__":
    for file, text in pages().items():
        (DOCS / file).write_text(text, encoding="utf-8")
        print(DOCS / file)
