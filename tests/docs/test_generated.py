"""Pages that are made from the code say what the code says."""

from __future__ import annotations

import pytest

from tests.docs.generate import DOCS, pages

PAGES = pages()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_made_from_the_code_is_up_to_date(name: str) -> None:
    committed = (DOCS / name).read_text(encoding="utf-8")
    assert committed == PAGES[name], f"{name} is older than the code: python -m tests.docs.generate"


def test_every_key_of_the_schema_says_what_it_means() -> None:
    silent = [line for line in PAGES["reference_schema.md"].splitlines() if line.endswith("|  |")]
    assert silent == []


def test_every_option_says_what_it_does() -> None:
    silent = [line for line in PAGES["reference_options.md"].splitlines() if line.endswith("|  |")]
    assert silent == []
