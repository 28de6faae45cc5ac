"""Verbs that only look: list, cost, plan, doctor, data, and a dry run."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.registry import methods
from tests.cli.calling import call, files

KINDS = {
    "methods": "l1_norm",
    "backbones": "vgg16_eighth",
    "datasets": "digits",
    "suites": "quickstart",
    "recipes": "paper_cifar",
}


@pytest.mark.parametrize(("kind", "name"), KINDS.items())
def test_what_there_is_is_listed(kind: str, name: str, tmp_path: Path) -> None:
    called = call(tmp_path, "list", kind)
    assert called.status == 0
    assert name in [line.split()[0] for line in called.out.splitlines()]
    assert files(tmp_path) == []


@pytest.mark.parametrize(("kind", "name"), KINDS.items())
def test_a_list_is_one_json_document(kind: str, name: str, tmp_path: Path) -> None:
    called = call(tmp_path, "list", kind, "--json")
    rows = called.document
    assert name in [row["name"] for row in rows]
    assert all(row["about"] for row in rows)
    assert called.err == ""


def test_every_registered_method_is_listed_as_usable(tmp_path: Path) -> None:
    rows = call(tmp_path, "list", "methods", "--json").document
    assert {row["name"]: row["usable"] for row in rows} == dict.fromkeys(methods(), True)


def test_every_shipped_suite_can_be_used(tmp_path: Path) -> None:
    rows = call(tmp_path, "list", "suites", "--json").document
    assert [row["name"] for row in rows if row["about"].startswith("not usable")] == []


def test_vgg16_costs_what_its_layers_add_up_to(tmp_path: Path) -> None:
    found = call(tmp_path, "cost", "vgg16", "--dataset", "cifar10", "--json").document
    assert (found["macs"], found["params"]) == (313_463_808, 14_991_946)
    assert (found["paper_flops"], found["paper_params"]) == (313_472_778, 14_990_922)
    assert [group["size"] for group in found["groups"]][:2] == [64, 64]


def test_a_cost_for_a_person_shows_the_same_figures(tmp_path: Path) -> None:
    found = call(tmp_path, "cost", "vgg_digits", "--dataset", "digits", "--json").document
    shown = call(tmp_path, "cost", "vgg_digits", "--dataset", "digits").out
    assert f"{found['macs']:,}" in shown
    assert all(group["name"] in shown for group in found["groups"])


def test_a_plan_is_one_json_document(suite: Path) -> None:
    called = call(suite, "plan", "tiny.yaml", "--json")
    plan = called.document
    assert called.err == ""
    assert (plan["suite"], plan["profile"], plan["results"]) == ("tiny", None, str(Path("results/runs/tiny")))
    assert [cell["cell"] for cell in plan["cells"]] == [
        "vgg_digits/digits/dense/seed=0",
        "vgg_digits/digits/dense/seed=1",
        "vgg_digits/digits/l1_norm[macs=0.5]/seed=0",
        "vgg_digits/digits/l1_norm[macs=0.5]/seed=1",
    ]
    assert {cell["state"] for cell in plan["cells"]} == {"waiting"}
    assert len({cell["key"] for cell in plan["cells"]}) == 4
    assert plan["cells"][0]["stages"][0] == {**plan["cells"][2]["stages"][0], "kind": "dense", "done": False}
    assert plan["totals"]["cells"] == 4


def test_a_plan_for_a_person_counts_cells_and_epochs(suite: Path) -> None:
    called = call(suite, "plan", "tiny.yaml")
    assert called.status == 0
    assert "tiny: 4 cells, 0 done, 0 failed, 4 to run" in called.out
    # 8 dense epochs of a seed, shared; then 16 of the dense network and 16 of the pruned one
    assert "epochs   80 to run; the whole grid 80, without sharing 96 (1.20×)" in called.out


def test_a_profile_and_a_pattern_choose_cells(suite: Path) -> None:
    plan = call(suite, "plan", "tiny.yaml", "--profile", "one_seed", "--only", "l1*", "--json").document
    assert [cell["cell"] for cell in plan["cells"]] == ["vgg_digits/digits/l1_norm[macs=0.5]/seed=0"]
    assert plan["results"] == str(Path("results/runs/tiny.one_seed"))


@pytest.mark.parametrize(
    ("pattern", "count"), [("l1_norm[macs=0.5]", 2), ("*/seed=1", 2), ("dense", 2), ("*", 4), ("*dense/seed=0", 1)]
)
def test_a_pattern_matches_method_variant_or_the_whole_name(pattern: str, count: int, suite: Path) -> None:
    plan = call(suite, "plan", "tiny.yaml", "--only", pattern, "--json").document
    assert len(plan["cells"]) == count


@pytest.mark.parametrize("verb", [["plan"], ["run", "--dry-run"], ["plan", "--json"]])
def test_looking_writes_nothing(verb: list[str], suite: Path) -> None:
    assert call(suite, *verb, "tiny.yaml").status == 0
    assert files(suite) == ["tiny.yaml"]


def test_a_dry_run_shows_the_plan(suite: Path) -> None:
    assert call(suite, "run", "--dry-run", "tiny.yaml").out == call(suite, "plan", "tiny.yaml").out


def test_a_dry_run_of_matching_cells_shows_what_they_wait_for_too(tmp_path: Path) -> None:
    shown = call(tmp_path, "run", "quickstart", "--dry-run", "--only", "l1_norm*").out
    assert "dnal[lambda_a=5e-05]/seed=0" in shown.split("quickstart:")[0]
    assert "random" not in shown


def test_the_doctor_says_what_is_there_and_what_is_missing(tmp_path: Path) -> None:
    called = call(tmp_path, "doctor", "--data", tmp_path / "pictures")
    assert called.status == 0
    assert "digits: present" in called.out
    assert f"cifar10: absent from {tmp_path / 'pictures'}: python -m harness data cifar10" in called.out


def test_the_doctors_findings_are_one_json_document(tmp_path: Path) -> None:
    found = call(tmp_path, "doctor", "--json").document
    assert found["data"] == {"cifar10": False, "digits": True, "imagenet": False}
    assert set(found["methods"]) == set(methods())
    assert found["broken_methods"] == {}
    assert found["cores"] >= 1


def test_an_embedded_data_set_is_verified_without_fetching(tmp_path: Path) -> None:
    called = call(tmp_path, "data", "digits")
    assert called.out == "digits: 1,437 training and 360 test images, verified (comes with an installed library)\n"
    assert files(tmp_path) == []


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["plan", "--help"], ["list", "--help"]])
def test_help_is_status_zero(words: list[str], tmp_path: Path) -> None:
    called = call(tmp_path, *words)
    assert called.status == 0
    assert called.out.lstrip().startswith("Usage: harness")
