"""The report's tables and figures as LaTeX, to be read into a paper with `\\input`."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping, Sequence

from harness.report.blocks import Block
from harness.report.facts import SuiteFacts
from harness.report.table import Table

_HEAD = r"""% Needs in the preamble: \usepackage[utf8]{inputenc} \usepackage[T1]{fontenc} \usepackage{booktabs,graphicx}
"""
_STRENGTH = "λ\u0303"
_LETTERS = {
    _STRENGTH: r"$\tilde{\lambda}$",
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "-": "{-}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "‡": r"\textdaggerdbl{}",
    "†": r"\textdagger{}",
    "’": "'",
    "“": "``",
    "”": "''",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "·": r"$\cdot$",
    "Δ": r"$\Delta$",
    "Σ": r"$\Sigma$",
    "Ω": r"$\Omega$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "δ": r"$\delta$",
    "ε": r"$\varepsilon$",
    "η": r"$\eta$",
    "θ": r"$\theta$",
    "λ": r"$\lambda$",
    "μ": r"$\mu$",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
}
_SINGLE = {letter: instead for letter, instead in _LETTERS.items() if len(letter) == 1}
_TRANSLATED = str.maketrans(_SINGLE)
_KNOWN = re.compile(f"[ -~{re.escape(''.join(_SINGLE))}]*")
"""Letters that stand for themselves or in the list above, each alone: no tilde follows one."""
_LABEL = set(string.ascii_letters + string.digits + "-:")
_LATIN = range(0xA1, 0x180)
_WITHOUT_GLYPH = set("¤¦©ª¬®°¯²³´¶·¸¹º¼½¾÷ĦħĸĿŀŉŦŧſµ¢¥")


def escape(text: str) -> str:
    """Text that LaTeX prints as it is, on one line; a letter that its usual fonts lack becomes its code point."""
    if _KNOWN.fullmatch(text.replace(_STRENGTH, "λ")):  # nearly all cells of a table
        return _LETTERS[_STRENGTH].join(part.translate(_TRANSLATED) for part in " ".join(text.split()).split(_STRENGTH))
    joined = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return "".join(_letter(letter) for letter in _combined(joined))


def _combined(text: str) -> list[str]:
    """Letters with the tilde that follows them."""
    letters: list[str] = []
    for letter in unicodedata.normalize("NFC", text):
        if letter == "\u0303" and letters:
            letters[-1] += letter
        else:
            letters.append(letter)
    return letters


def _letter(letter: str) -> str:
    if letter in _LETTERS:
        return _LETTERS[letter]
    if all(part.isascii() for part in letter):
        return letter
    if len(letter) == 1 and ord(letter) in _LATIN and letter not in _WITHOUT_GLYPH:
        return letter
    return "".join(f"[U+{ord(part):04X}]" if not part.isascii() else part for part in letter)


def latex(
    tables: Sequence[Table], facts: SuiteFacts, pictures: Mapping[str, Sequence[tuple[str, str]]] | None = None
) -> str:
    """One table environment for the lines, one for each block of paired or published rows, one figure a picture.

    Args:
        tables: one a backbone.
        facts: of the suite.
        pictures: {backbone: [(caption, path relative to the report)]}.
    """
    parts = [_HEAD]
    for table in tables:
        caption = facts.title if facts.title == table.title else f"{facts.title}: {table.title}"
        label = "".join(letter for letter in f"{facts.name}-{table.backbone}" if letter in _LABEL)
        if table.main.lines:
            parts.append(_table(table.main, caption, f"tab:{label}", table.above))
        for number, block in enumerate(table.blocks):
            parts.append(_table(block, f"{caption}. {block.heading}", f"tab:{label}-{number + 1}"))
        for number, (words, path) in enumerate((pictures or {}).get(table.backbone, ())):
            parts.append(_figure(f"{caption}. {words}", path, f"fig:{label}-{number + 1}"))
    return "\n".join(parts)


def _table(block: Block, caption: str, label: str, above: Sequence[str] = ()) -> str:
    footnotes = [rf"\textsuperscript{{{letter}}} {escape(text)}" for letter, text in block.footnotes]
    notes = [*footnotes, *(escape(note) for note in (*above, *block.notes))]
    columns = "l" * block.text_columns + "r" * (len(block.header) - block.text_columns)
    lines = [" & ".join(escape(cell) for cell in block.header) + r" \\", r"\midrule"]
    for line in block.lines:
        cells = [escape(cell) for cell in line.cells]
        if line.published:
            cells = [rf"\textit{{{cell}}}" for cell in cells]
            cells[0] += r"~\textdaggerdbl{}"
        if line.marks:
            cells[0] += rf"~\textsuperscript{{{','.join(line.marks)}}}"
        # An opening bracket after \\ would be read as its optional argument, hence the empty group.
        lines.append("{}" + " & ".join(cells) + r" \\")
    grid = "\n".join(lines)
    small = "\n".join(rf"\par {note}" for note in notes)
    return rf"""\begin{{table*}}[tp]
\centering
\caption{{{escape(caption)}}}
\label{{{label}}}
\sbox0{{\small\setlength{{\tabcolsep}}{{4pt}}%
\begin{{tabular}}{{@{{}}{columns}@{{}}}}
\toprule
{grid}
\bottomrule
\end{{tabular}}}}%
\ifdim\wd0>\textwidth\sbox0{{\resizebox{{\textwidth}}{{!}}{{\usebox0}}}}\fi
\ifdim\dimexpr\ht0+\dp0>0.8\textheight\sbox0{{\resizebox*{{!}}{{0.8\textheight}}{{\usebox0}}}}\fi
\usebox0\par\smallskip
\begin{{minipage}}{{\textwidth}}\footnotesize
{small}
\end{{minipage}}
\end{{table*}}
"""


def _figure(caption: str, path: str, label: str) -> str:
    return rf"""\begin{{figure}}[tp]
\centering
\includegraphics[width=\columnwidth]{{{path}}}
\caption{{{escape(caption)}}}
\label{{{label}}}
\end{{figure}}
"""
