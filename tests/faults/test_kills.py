"""kill -9 of the whole process tree anywhere: the same command ends in the numbers of an unbroken run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.killing import SUITE, kill, numbers, run


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, list[object]]:
    """The suite, how long it takes, and its numbers, run without Ray."""
    folder = tmp_path_factory.mktemp("unbroken")
    suite = folder / "kills.yaml"
    suite.write_text(SUITE)
    seconds = run(suite, folder / "results", "inline")
    return suite, seconds, numbers(suite, folder / "results")


def test_ray_tune_and_this_process_give_the_same_bits(
    unbroken: tuple[Path, float, list[object]], tmp_path: Path
) -> None:
    suite, _, expected = unbroken
    run(suite, tmp_path / "results", "tune")
    assert numbers(suite, tmp_path / "results") == expected


@pytest.mark.parametrize("share", [0.45, 0.65, 0.8, 0.95])
def test_a_run_killed_in_this_process_goes_on(
    share: float, unbroken: tuple[Path, float, list[object]], tmp_path: Path
) -> None:
    suite, seconds, expected = unbroken
    result = kill(suite, tmp_path / "results", "inline", share * seconds, expected)
    assert result.equal, result
    assert result.started_again == ()


@pytest.mark.parametrize("seconds", [9.0, 12.0])
def test_a_run_killed_under_ray_goes_on(
    seconds: float, unbroken: tuple[Path, float, list[object]], tmp_path: Path
) -> None:
    suite, _, expected = unbroken
    result = kill(suite, tmp_path / "results", "tune", seconds, expected)
    assert result.equal, result
    assert result.started_again == ()
