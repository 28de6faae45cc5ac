"""What every format prints: lines of text under a header, with their footnotes and notes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One printed line.

    Attributes:
        cells: one text a column.
        marks: footnote letters.
        published: quoted from a paper.
    """

    cells: tuple[str, ...]
    marks: tuple[str, ...] = ()
    published: bool = False


@dataclass(frozen=True)
class Block:
    """Lines under a header, with a heading of their own and what a reader must know of them.

    The first `text_columns` are words, the rest numbers.

    Attributes:
        footnotes: (letter, text) of what the lines' marks stand for.
        notes: what holds for all lines.
    """

    heading: str
    header: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    text_columns: int = 1
    footnotes: tuple[tuple[str, str], ...] = ()


class Letters:
    """Gives each different footnote a letter, in the order in which they appear."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def letter(self, text: str) -> str:
        """The letter of a footnote: a, b, …, z, aa, ab, …"""
        if text not in self._letters:
            number, letters = len(self._letters) + 1, ""
            while number:
                number, rest = divmod(number - 1, 26)
                letters = chr(ord("a") + rest) + letters
            self._letters[text] = letters
        return self._letters[text]

    @property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """(letter, text) of all footnotes."""
        return tuple((letter, text) for text, letter in self._letters.items())
