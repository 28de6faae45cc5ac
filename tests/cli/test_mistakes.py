"""A user's mistake is one clear line on stderr, exit status 2, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calling import SUITE, Called, call, files


def told(called: Called) -> str:
    """The one line, without its heading."""
    assert called.status == 2, called
    assert called.out == ""
    assert "Traceback" not in called.err
    [line] = called.err.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


VERBS = [["run"], ["plan"], ["report"]]


@pytest.mark.parametrize("verb", VERBS)
def test_a_suite_that_is_not_there_says_which_was_meant(verb: list[str], tmp_path: Path) -> None:
    called = call(tmp_path, *verb, "quickstrat")
    assert told(called) == "there is no suite 'quickstrat'; did you mean 'quickstart'?"
    assert files(tmp_path) == []


def test_a_suite_file_that_is_not_there_says_which_was_meant(suite: Path) -> None:
    assert told(call(suite, "plan", "tinny.yaml")) == "there is no suite 'tinny.yaml'; did you mean 'tiny.yaml'?"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("l1_norm", "l1norm", "9:5: unknown method 'l1norm'; did you mean 'l1_norm'?"),
        ("seeds: [0, 1]", "seeds: many", "5:8: 'seeds' must be "),
        ("macs: 0.5", "macs: half", "9:30: 'macs' must be a number, not 'half'"),
        ("vgg_digits", "vgg_digit", "4:13: unknown backbone 'vgg_digit'; did you mean 'vgg_digits'?"),
        ("title:", "titel:", "2:1: unknown key 'titel'; did you mean 'title'?"),
    ],
    ids=["method", "type", "budget", "backbone", "key"],
)
def test_what_is_wrong_in_a_suite_is_told_with_line_and_column(old: str, new: str, line: str, suite: Path) -> None:
    (suite / "tiny.yaml").write_text(SUITE.replace(old, new))
    called = call(suite, "run", "tiny.yaml")
    assert called.status == 2
    assert called.out == ""
    first = called.err.removeprefix("error: ").splitlines()[0]
    assert first.startswith(f"tiny.yaml:{line}")
    assert "Traceback" not in called.err
    assert files(suite) == ["tiny.yaml"]


def test_several_mistakes_are_told_at_once(suite: Path) -> None:
    (suite / "tiny.yaml").write_text(SUITE.replace("l1_norm", "l1norm").replace("vgg_digits", "vgg_digit"))
    called = call(suite, "plan", "tiny.yaml")
    assert called.status == 2
    assert [line.split(": ")[0] for line in called.err.splitlines()] == ["tiny.yaml:4:13", "tiny.yaml:9:5"]


def test_a_file_that_is_no_yaml_is_told_with_its_place(suite: Path) -> None:
    (suite / "tiny.yaml").write_text("suite: [unclosed\n")
    assert told(call(suite, "run", "tiny.yaml")).startswith("tiny.yaml:")


def test_absent_data_says_how_to_get_it_and_leaves_nothing_behind(tmp_path: Path) -> None:
    line = told(call(tmp_path, "run", "cifar10_vgg", "--profile", "smoke", "--executor", "inline"))
    assert "python -m harness data cifar10" in line
    assert files(tmp_path) == []


def test_the_data_folder_that_was_named_is_the_one_that_is_told(tmp_path: Path) -> None:
    line = told(call(tmp_path, "run", "cifar10_vgg", "--profile", "smoke", "--data", tmp_path / "pictures"))
    assert f"python -m harness data cifar10 --data {tmp_path / 'pictures'}" in line


def test_a_results_folder_that_cannot_be_written_is_named(suite: Path) -> None:
    (suite / "taken").write_text("a file")
    line = told(call(suite, "run", "tiny.yaml", "--results", "taken", "--executor", "inline"))
    assert "taken" in line
    assert (suite / "taken").read_text() == "a file"


@pytest.mark.parametrize("verb", [["run", "--dry-run"], ["run"], ["plan"]])
def test_only_with_a_typo_says_what_was_meant(verb: list[str], suite: Path) -> None:
    assert told(call(suite, *verb, "tiny.yaml", "--only", "l1_nrom")) == (
        "--only l1_nrom: no cell matches; did you mean 'l1_norm'?"
    )


def test_only_with_a_name_like_no_other_shows_what_names_look_like(suite: Path) -> None:
    line = told(call(suite, "plan", "tiny.yaml", "--only", "zzz"))
    assert "no cell matches; cells have names such as 'vgg_digits/digits/dense/seed=0'" in line


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("nonsense", "KEY=VALUE"),
        ("recipe.epochs.dens=3", "did you mean 'dense'?"),
        ("recipe.batch=many", "batch"),
        ("seeds=[0, 0]", "stated twice"),
        ("title=[", "title"),
    ],
)
def test_a_wrong_override_is_told(override: str, says: str, suite: Path) -> None:
    called = call(suite, "run", "tiny.yaml", "--set", override)
    assert called.status == 2
    assert says in called.err
    assert "Traceback" not in called.err
    assert files(suite) == ["tiny.yaml"]


@pytest.mark.parametrize("duration", ["soon", "9 minutes", "-5s", "", "m", "1s1h"])
def test_a_time_budget_that_is_no_duration_says_what_one_looks_like(duration: str, suite: Path) -> None:
    line = told(call(suite, "run", "tiny.yaml", f"--time-budget={duration}"))
    assert line == f"--time-budget {duration}: a duration reads 90s, 9m or 1h30m"


@pytest.mark.parametrize(
    ("patience", "says"),
    [("never", "a duration reads 90s, 9m or 1h30m"), ("0", "it must be 0.5 s at least"), ("0.4s", "it must be 0.5 s")],
)
def test_a_patience_that_is_none_is_told(patience: str, says: str, suite: Path) -> None:
    assert told(call(suite, "run", "tiny.yaml", "--hang-after", patience)).startswith(
        f"--hang-after {patience}: {says}"
    )


def test_an_unknown_profile_says_what_was_meant(suite: Path) -> None:
    called = call(suite, "plan", "tiny.yaml", "--profile", "one_sead")
    assert called.status == 2
    assert "one_seed" in called.err


@pytest.mark.parametrize(
    "words",
    [["rnu", "tiny.yaml"], ["run", "tiny.yaml", "--sed", "1"], ["run"], ["list", "method"], ["run", "a", "b"]],
    ids=["verb", "option", "argument missing", "choice", "argument too many"],
)
def test_an_unknown_word_is_status_two_and_says_how_to_get_help(words: list[str], suite: Path) -> None:
    called = call(suite, *words)
    assert called.status == 2
    assert "Usage: harness" in called.err
    assert "Traceback" not in called.err
    assert files(suite) == ["tiny.yaml"]


def test_an_executor_that_there_is_not_is_refused(suite: Path) -> None:
    called = call(suite, "run", "tiny.yaml", "--executor", "slurm")
    assert called.status == 2
    assert "'slurm' is not one of 'tune', 'inline'" in called.err


def test_a_gpu_that_is_not_there_is_told_before_anything_is_written(suite: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    line = told(call(suite, "run", "tiny.yaml", "--set", "resources.gpu=1", "--executor", "inline"))
    assert line == "tiny asks for a GPU (resources.gpu), and there is none here"
    assert files(suite) == ["tiny.yaml"]


def test_a_report_before_any_run_says_to_run_first(suite: Path) -> None:
    line = told(call(suite, "report", "tiny.yaml"))
    assert line == f"there are no results of tiny in {Path('results/runs/tiny')}; run the suite first"
    assert files(suite) == ["tiny.yaml"]


def test_an_unknown_report_format_says_what_there_is(suite: Path) -> None:
    assert "unknown format 'wrod'" in told(call(suite, "report", "tiny.yaml", "--format", "md,wrod"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["cost", "vgg61", "--dataset", "cifar10"], "unknown backbone 'vgg61'; did you mean 'vgg16'?"),
        (["cost", "vgg16", "--dataset", "cifar"], "unknown data set 'cifar'; did you mean 'cifar10'?"),
        (["data", "cifar"], "unknown data set 'cifar'; did you mean 'cifar10'?"),
        (["merge", "nothing", "--into", "all"], "nothing is no results folder: it has no ledger"),
    ],
)
def test_other_verbs_say_what_was_meant_too(words: list[str], line: str, tmp_path: Path) -> None:
    assert told(call(tmp_path, *words)) == line
    assert files(tmp_path) == []


def test_an_interrupt_is_status_130_without_a_traceback(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.suite.load.load_suite", interrupted)
    called = call(suite, "plan", "tiny.yaml")
    assert called.status == 130
    assert "Traceback" not in called.err
