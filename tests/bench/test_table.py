"""`python -m bench` prints one well-formed table, whatever its benchmarks do."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import LONG, NAMES, found, main, run_here
from bench.lines import Line, interleaved, markdown
from bench.processes import run

HEADER = "| what | ours | what a user would run instead | ratio | bar | note |"


def test_a_line_becomes_a_row_whose_bars_do_not_break_the_table() -> None:
    table = markdown([Line("a|b", "1 s", "2 s", 2.0, "1.5", "two\nlines")]).splitlines()
    assert table[0] == HEADER
    assert table[2] == "| a\\|b | 1 s | 2 s | 2.00 | 1.5 | two lines |"


def test_a_comparison_of_nothing_has_no_ratio() -> None:
    assert "| – |" in markdown([Line("a", "1", "2", float("nan"), "b")]).splitlines()[2]


def test_two_acts_run_in_turn_after_a_run_of_each_that_does_not_count() -> None:
    calls: list[str] = []
    interleaved(lambda: calls.append("ours"), lambda: calls.append("theirs"), pairs=2)
    assert calls == ["ours", "theirs"] * 3


def test_a_benchmark_that_is_not_there_says_so(tmp_path: Path) -> None:
    run_here("growth_of_nothing", True, tmp_path / "lines.json")
    assert "not there" in (tmp_path / "lines.json").read_text()


def test_a_name_that_is_no_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "nonsense"])
    assert "nonsense" in capsys.readouterr().err


def test_a_module_without_a_measure_is_no_benchmark() -> None:
    assert found("lines") is None


def test_no_name_stands_twice() -> None:
    assert len({*NAMES, *LONG}) == len(NAMES) + len(LONG)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_its_benchmark(name: str) -> None:
    assert callable(found(name))


def test_a_benchmark_that_cannot_run_here_is_a_line_of_the_printed_table(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    main(["--quick", "--only", "roofline"])
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "# Benchmarks"
    table = lines[lines.index(HEADER) :]
    assert len(table) == 3
    assert "no GPU" in table[2]
    assert all(row.count(" | ") == 5 for row in (table[0], table[2]))


def test_peak_memory_and_output_are_of_the_process_that_ran(tmp_path: Path) -> None:
    small = run(["-c", "print('small')"], tmp_path)
    large = run(["-c", "data = bytearray(200 * 2**20); print('large')"], tmp_path)
    assert (small.output, large.output) == ("small\n", "large\n")
    assert large.peak - small.peak == pytest.approx(200, rel=0.1)


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        run(["-c", "raise SystemExit('no such thing')"], tmp_path)
