"""One hostile suite through every exporter: what it is called is shown, and never obeyed."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from rich.text import Text

from harness.printable import one_line, printable, printable_values
from harness.report import records
from harness.report.latex import latex
from harness.report.markdown import markdown
from harness.report.page import page
from harness.report.table import tables
from harness.store.rows import Row
from tests.report.made_up import cell, done, facts, failed

HOSTILE = [
    '=HYPERLINK("http://evil.example","x")',
    "@SUM(1+1)",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "\t=1+1",
    " \r=1+1",
    "＝1+1",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "[x](javascript:alert(1)) <javascript:alert(1)> ![y](http://evil.example/z.png)",
    "\\input{/etc/passwd}\\write18{id} $\\csname x$ % & # ^^5cinput{x}",
    "| a | b |\n|---|---|\n# heading",
]


def rows(text: str) -> list[Row]:
    odd = cell("l1_norm", params={"norm": text})
    measured = done(odd, 0.9, notes=(text,), provenance={"commit": text, text: [text]}, epochs={text: 3})
    return [done(cell("dense"), 0.93), measured, failed(cell("random"), text)]


@pytest.fixture(params=HOSTILE)
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_no_field_of_a_csv_file_is_a_formula(text: str) -> None:
    made = rows(text)
    of = facts(title=text)
    for content in (
        records.rows_csv(records.row_records(made)),
        records.table_csv(tables(made, of)),
        records.curves_csv(made),
        records._csv([{"a": text, "b": -0.5, "c": text}]),
    ):
        for line in csv.reader(io.StringIO(content)):
            for field in line:
                if not re.fullmatch(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?", field):
                    assert not re.match(r"\s*[=+\-@＝]", field), field


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (-0.5, "-0.5"),
        (-3, "-3"),
        ("-0.5", "-0.5"),
        ("-1e-05", "-1e-05"),
        ("+3", "+3"),
        ("l1_norm[match=dnal[lambda_a=1e-4]]", "l1_norm[match=dnal[lambda_a=1e-4]]"),
        ("VGG16 – λ̃ ± é", "VGG16 – λ̃ ± é"),
        (None, ""),
        ([-1, "=x"], '[-1,"=x"]'),
        ("=1", "'=1"),
        ("-x", "'-x"),
        ("a\nb", "a b"),
    ],
)
def test_numbers_and_ordinary_names_are_written_as_they_are(value: object, written: str) -> None:
    assert next(csv.reader(records._csv([{"a": value, "b": 1}]).splitlines()[1:])) == [written, "1"]


class Tags(HTMLParser):
    """What a browser makes of a text: its tags, attributes and links."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_markdown_holds_no_tag_and_no_link_of_theirs(text: str) -> None:
    content = markdown(tables(rows(text), facts(title=text)), facts(title=text))
    found = Tags(MarkdownIt("commonmark", {"html": True}).enable("table").render(content))
    assert not set(found.tags) & {"script", "img", "a", "iframe"}
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert found.tags.count("h1") == 1


def test_latex_runs_no_command_of_theirs(text: str) -> None:
    of = facts(title=text, name=text)
    content = latex(tables(rows(text), of), of)
    assert not re.search(r"\\(input|write|csname|openin|include\b|def)", content)
    assert "^^" not in content
    assert "$\\csname" not in content
    for line in content.splitlines()[1:]:
        assert not re.search(r"(?<!\\)%(?!$)", line), line


def test_the_page_holds_only_its_own_scripts_and_links() -> None:
    text = " ".join(HOSTILE)
    made, of = [row for each in [*HOSTILE, text] for row in rows(each)], facts(title=text, name=text)
    found = Tags(re.sub(r"(?s)(<script>).*?(</script>)", r"\1\2", page(made, tables(made, of), of, ("run", text))))
    assert found.tags.count("script") == 3
    assert not set(found.tags) & {"img", "iframe", "object", "base"}
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    links = [value for name, value in found.attributes if name in {"href", "src"}]
    assert all(link.startswith("#") or link == "data:," for link in links)


ESCAPES = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\rb",
    "\x08",
    "\x7f",
    "\x00",
    "\u202e",
    "\u2066",
    "\u200b",
    "\ud800",
]


@pytest.mark.parametrize("sign", ESCAPES)
def test_a_printed_text_moves_no_cursor_in_rich_and_in_plain(sign: str) -> None:
    told = printable(f"name{sign}end")
    assert "name" in told
    assert "end" in told
    assert all(each.isprintable() for each in told)
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system=None).print(Text(told))
    with contextlib.redirect_stdout(out):
        print(told)
    assert sign not in out.getvalue()
    out.getvalue().encode()


@pytest.mark.parametrize("text", ["VGG16 – λ̃ × é", "l1_norm[match=*]", "日本語", "a\n\tb", "−0.5 ± 1e-4", ""])
def test_an_ordinary_text_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text
    assert one_line(text) == " ".join(text.split())
    assert printable_values({text: [text, 1, None, 0.5, True]}) == {text: [text, 1, None, 0.5, True]}


def test_a_wide_space_is_printed_as_a_space() -> None:
    assert printable("1\u202f000\u00a0MACs") == "1 000 MACs"
