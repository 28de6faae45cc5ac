"""Texts of a stranger on their way to a terminal or a file: nothing in them moves a cursor or turns the line round."""

from __future__ import annotations

import unicodedata
from typing import Any

_STAYS = {"\n", "\t"}
_INSTEAD = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """The text with every sign that has no glyph replaced, but for line ends and tabs.

    These are control characters (terminals obey them), signs that turn the direction of writing or have no width,
    private and unpaired ones. Spaces of other widths become plain spaces.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in _STAYS else _replaced(sign) for sign in text)


def _replaced(sign: str) -> str:
    return " " if unicodedata.category(sign) == "Zs" else _INSTEAD


def one_line(text: str) -> str:
    """The text as `printable` gives it, with every run of white space as one space."""
    return " ".join(printable(text).split())


def printable_values(value: Any) -> Any:
    """JSON values with all their texts and keys as `printable` gives them."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(name)): printable_values(each) for name, each in value.items()}
    if isinstance(value, list):
        return [printable_values(each) for each in value]
    return value
