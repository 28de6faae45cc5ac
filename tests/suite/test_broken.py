"""Every file of `broken/` is refused with exactly the problems that its first lines announce.

`# expect: LINE:COLUMN: message` announces a problem, in the order in which it must be shown; `# set: KEY=VALUE` and
`# profile: NAME` say how the file is loaded.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import SuiteError
from harness.suite.load import load_suite

BROKEN = sorted((Path(__file__).parent / "broken").glob("*.yaml"))


def announced(path: Path, word: str) -> list[str]:
    start = f"# {word}: "
    return [line.removeprefix(start) for line in path.read_text().splitlines() if line.startswith(start)]


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_suite_is_refused_with_the_place_and_what_was_meant(path: Path) -> None:
    profile = next(iter(announced(path, "profile")), None)
    with pytest.raises(SuiteError) as caught:
        load_suite(str(path), profile, announced(path, "set"))
    assert [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()] == announced(path, "expect")


def test_there_are_broken_suites() -> None:
    assert len(BROKEN) >= 28
