"""Imports that wait until they are needed; each in a fresh process, as imports are once for all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def ran(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def with_loud_module(folder: Path, within: str, afterwards: str) -> list[str]:
    """What is printed where `loud`, which says when it is read, is lazy within the context."""
    (folder / "loud.py").write_text("print('read')\nanswer = 42\n")
    return ran(
        f"import sys; sys.path.insert(0, {str(folder)!r}); before = list(sys.meta_path)\n"
        "from harness.stats.lazily import lazily\n"
        f"with lazily('loud'):\n    {within}\n"
        f"{afterwards}"
    ).split()


def test_a_lazy_module_is_read_when_something_in_it_is_asked_for(tmp_path: Path) -> None:
    found = with_loud_module(tmp_path, "import loud", "print('imported'); print(loud.answer)")
    assert found == ["imported", "read", "42"]


def test_afterwards_imports_are_as_they_were(tmp_path: Path) -> None:
    found = with_loud_module(tmp_path, "pass", "import loud; print('imported', sys.meta_path == before)")
    assert found == ["read", "imported", "True"]


@pytest.mark.parametrize(
    ("work", "unread"),
    [
        ("from harness.stats.paired import holm; print(holm([0.01, 0.04]))", "scipy.stats._stats_py"),
        ("from harness.stats.intervals import t_quantile; print(t_quantile(2, 0.975))", "numpy.f2py.f2py2e"),
    ],
)
def test_statistics_leave_unread_what_they_do_not_need(work: str, unread: str) -> None:
    assert ran(f"import sys; {work}; print({unread!r} in sys.modules)").endswith("False")


def test_what_was_left_unread_works_for_whoever_needs_it() -> None:
    code = (
        "from harness.stats.paired import holm; holm([0.01, 0.04])\n"
        "from scipy.stats import t; from scipy import stats; import scipy.linalg, numpy.f2py, numpy.testing\n"
        "print(round(t.ppf(0.975, 2), 3), round(stats.ttest_1samp([1.0, 2.0, 4.0], 0).pvalue, 3))\n"
        "print(scipy.linalg.norm([3, 4]), numpy.testing.assert_allclose(1, 1))"
    )
    assert ran(code).split() == ["4.303", "0.118", "5.0", "None"]
