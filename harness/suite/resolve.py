"""Merges a suite with a profile and with `--set` overrides; every value keeps the place it was stated at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.errors import Location, UserError, unknown
from harness.suite.problems import Problems
from harness.suite.source import DEEPEST, Node, parse, plain
from harness.suite.wording import must_be, shown, unknown_key

PROFILES = "profiles"
_SHORT = {"recipe": "use", "dataset": "name"}
"""Keys whose value may be a name alone, and the key under which a mapping states that name."""


def resolved(
    root: Node, known: Sequence[str], profile: str | None, overrides: Sequence[str], problems: Problems
) -> Node:
    """The document that a profile and `--set` overrides make of a suite file, without its profiles.

    In a profile a mapping refines what the file says and anything else replaces it: `recipe: {epochs: {dense: 3}}`
    changes one length, `recipe: short_cifar` changes the whole recipe. An override replaces what stands at its key.

    Args:
        root: the document, a mapping.
        known: the top-level keys that a suite may have.
        profile: the name of one of the file's profiles, or None.
        overrides: `KEY=VALUE` texts, applied in this order after the profile.
        problems: where what is wrong is noted.

    Raises:
        UserError: there is no such profile, or an override is not `KEY=VALUE`.
    """
    assert isinstance(root.value, dict)
    profiles = _profiles(root.value.get(PROFILES), known, profile, problems)
    document = _spelt_out(replace(root, value={key: node for key, node in root.value.items() if key != PROFILES}))
    if profile is not None:
        if profile not in profiles:
            raise UserError(unknown("profile", profile, profiles) if profiles else "this suite has no profiles")
        document = _spelt_out(_merged(document, profiles[profile]))
    for override in overrides:
        document = _spelt_out(_overridden(document, override, problems))
    return document


def _profiles(node: Node | None, known: Sequence[str], chosen: str | None, problems: Problems) -> dict[str, Node]:
    if node is None or node.value is None:
        return {}
    if not isinstance(node.value, dict):
        problems.add(node.at, must_be(repr(PROFILES), "a mapping (`NAME: overrides`)", plain(node)))
        return {}
    profiles = {}
    for name, profile in node.value.items():
        check_name(name, "profile", profile.name_at, problems)
        if profile.value is None:
            profile = replace(profile, value={})  # noqa: PLW2901
        if not isinstance(profile.value, dict):
            problems.add(profile.at, must_be(f"profile {name!r}", "a mapping of keys to change", plain(profile)))
            profile = replace(profile, value={})  # noqa: PLW2901
        assert isinstance(profile.value, dict)
        for key, entry in profile.value.items():
            if key == PROFILES:
                problems.add(entry.name_at, "a profile cannot hold profiles")
            elif key not in known and name != chosen:
                problems.add(entry.name_at, unknown_key(key, known))
        profiles[name] = replace(profile, value={key: entry for key, entry in profile.value.items() if key != PROFILES})
    return profiles


_DEVICE = r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?"


def check_name(name: str, kind: str, where: Location, problems: Problems) -> None:
    """Notes a problem with a name that is to name a folder, too."""
    if re.fullmatch(_DEVICE, name) or name.endswith("."):
        problems.add(where, f"{kind} name {shown(name)} cannot name a folder on Windows")
    elif not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}", name):
        problems.add(
            where,
            f"{kind} name {shown(name)} must be 1 to 100 letters, digits, '_', '-' or '.' and not begin with '.', "
            "because it names a folder",
        )


def _spelt_out(document: Node) -> Node:
    """The document in which `recipe: NAME` reads `recipe: {use: NAME}`, so that a refinement has what to refine."""
    assert isinstance(document.value, dict)
    entries = dict(document.value)
    for key, inner in _SHORT.items():
        node = entries.get(key)
        if node is not None and isinstance(node.value, str):
            entries[key] = replace(node, value={inner: Node(node.value, node.at)})
    return replace(document, value=entries)


def _merged(base: Node, over: Node) -> Node:
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    entries = dict(base.value)
    for key, node in over.value.items():
        entries[key] = _merged(entries[key], node) if key in entries else node
    return replace(base, value=entries)


def _overridden(document: Node, override: str, problems: Problems) -> Node:
    path, separator, text = override.partition("=")
    file = f"--set {override if len(override) <= 200 else override[:199] + '…'}"
    steps = path.split(".")
    if not separator or not all(step and step == step.strip() for step in steps):
        raise UserError(f"--set takes KEY=VALUE such as recipe.epochs.dense=3, not {shown(override)}")
    if len(steps) > DEEPEST:
        raise UserError(f"{file}: the key is nested {len(steps):,} levels deep; a suite has at most {DEEPEST}")
    value = parse(text, file, problems, column=len(path) + 1)
    if value is None:
        return document
    starts = [sum(len(step) + 1 for step in steps[:index]) for index in range(len(steps))]
    places = [Location(file, 1, start + 1) for start in starts]
    if steps[0] == PROFILES:
        problems.add(places[0], "--set applies after the profile; set the key itself")
        return document
    try:
        return _placed(document, list(zip(steps, places, strict=True)), value, "the suite")
    except _Nowhere as nowhere:
        problems.add(nowhere.where, nowhere.what)
        return document


class _Nowhere(Exception):
    def __init__(self, where: Location, what: str) -> None:
        self.where = where
        self.what = what
        super().__init__(what)


def _placed(node: Node, path: Sequence[tuple[str, Location]], value: Node, name: str) -> Node:
    """The node in which `value` stands at `path`."""
    if not path:
        return replace(value, key_at=node.key_at)
    (step, where), rest = path[0], path[1:]
    if node.value == step and isinstance(node.value, str):
        node = replace(node, value={step: Node(None, node.at, node.at)})  # `- dnal` is short for `- dnal: {}`
    if isinstance(node.value, list):
        if not (step.isascii() and step.isdigit() and len(step) < 10 and int(step) < len(node.value)):
            last = len(node.value) - 1
            span = "it is empty" if last < 0 else f"its entries are counted from 0 to {last}"
            raise _Nowhere(where, f"{name!r} is a list and has no entry {step!r}; {span}")
        entries = list(node.value)
        entries[int(step)] = _placed(entries[int(step)], rest, value, f"{name}.{step}")
        return replace(node, value=entries)
    if node.value is not None and not isinstance(node.value, dict):
        raise _Nowhere(where, f"{name!r} is {shown(node.value)} and has no key {step!r}")
    inner = dict(node.value or {})
    missing = Node(None, where, where)
    changed = _placed(inner.get(step, missing), rest, value, step if name == "the suite" else f"{name}.{step}")
    # The last name of the path is what a message about an unknown or missing key points at.
    inner[step] = changed if rest and step in inner else replace(changed, key_at=where)
    return replace(node, value=inner)


def names(nodes: Iterable[Node]) -> list[tuple[str, Node]]:
    """The texts among some nodes, each with its node."""
    return [(node.value, node) for node in nodes if isinstance(node.value, str)]
