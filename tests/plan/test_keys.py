"""A stage's key holds what decides its outcome, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.plan.stages import chain_of
from harness.suite.cell import Cell, DataChoice, Profile
from harness.suite.load import load_suite
from harness.suite.recipe import Recipe
from tests.cells import RECIPE, cell


def keys(wanted: Cell) -> dict[str, str]:
    """{kind: key} of a cell that can be named to its end."""
    return {stage.kind: stage.key for stage in chain_of(wanted, {}).stages}


def changed(first: Cell, second: Cell) -> set[str]:
    """The kinds of stages whose keys differ."""
    one, other = keys(first), keys(second)
    assert one.keys() == other.keys()
    return {kind for kind in one if one[kind] != other[kind]}


def dnal(**params: Any) -> Cell:
    return cell("dnal", params=params)


def l1(recipe: Recipe = RECIPE, budget: float = 0.5, **fields: Any) -> Cell:
    return cell("l1_norm", budget=budget, recipe=recipe, **fields)


ALL = {"dense", "compress", "finetune", "measure"}


def test_the_same_cell_has_the_same_keys() -> None:
    assert keys(dnal(lambda_a=2e-4)) == keys(dnal(lambda_a=2e-4))


def test_the_order_of_parameters_does_not_matter() -> None:
    first = dnal(lambda_a=2e-4)
    turned = replace(first, params=dict(reversed(first.params.items())))
    assert list(turned.params) != list(first.params)
    assert changed(first, turned) == set()


def test_what_a_suite_shows_of_a_cell_does_not_matter() -> None:
    first = dnal(lambda_a=2e-4)
    assert changed(first, replace(first, shown=("lambda_a",))) == set()


def test_a_seed_changes_every_stage() -> None:
    assert changed(l1(seed=0), l1(seed=1)) == ALL


def test_a_methods_own_parameter_leaves_the_dense_stage() -> None:
    assert changed(dnal(lambda_a=2e-4), dnal(lambda_a=3e-4)) == ALL - {"dense"}


def test_a_budget_leaves_the_dense_stage() -> None:
    assert changed(l1(budget=0.5), l1(budget=0.25)) == ALL - {"dense"}


def test_what_may_be_cut_leaves_the_dense_stage() -> None:
    assert changed(l1(), l1(cuts=("inner",))) == ALL - {"dense"}


@pytest.mark.parametrize(
    "other",
    [
        {"lr": 0.05},
        {"batch": 32},
        {"accumulate": 2},
        {"momentum": 0.8},
        {"weight_decay": 1e-4},
        {"schedule": "cosine"},
        {"milestones": (0.2, 0.75)},
        {"gamma": 0.2},
        {"rebuild_momentum": False},
        {"all_train": True},
        {"augment": False},
        {"channels_last": False},
        {"precision": "bfloat16"},
        {"compile": True},
        {"cuda_graphs": True},
        {"deterministic": True},
    ],
    ids=lambda other: next(iter(other)),
)
def test_how_weights_are_trained_changes_the_dense_stage_and_what_follows(other: dict[str, Any]) -> None:
    # Longer than the shared recipe, so that a changed milestone lies within the dense stage.
    recipe = RECIPE.model_copy(update={"epochs": RECIPE.epochs.model_copy(update={"dense": 3})})
    assert changed(l1(recipe), l1(recipe.model_copy(update=other))) == ALL


def test_micro_batches_and_switches_of_speed_are_in_no_key_where_they_are_not_stated() -> None:
    for stage in chain_of(l1(), {}).stages:
        assert not {"accumulate", "compile", "cuda_graphs", "deterministic"} & stage.config.keys()


def test_whether_a_recipe_is_calibrated_changes_no_key() -> None:
    assert changed(l1(), l1(RECIPE.model_copy(update={"calibrated": False}))) == set()


def test_the_number_of_training_images_changes_every_stage() -> None:
    assert changed(l1(), replace(l1(), data=DataChoice("digits", 500))) == ALL


def test_longer_fine_tuning_under_one_schedule_leaves_what_is_before_it() -> None:
    longer = RECIPE.model_copy(update={"epochs": RECIPE.epochs.model_copy(update={"finetune": 3})})
    assert changed(dnal(), cell("dnal", recipe=longer)) == {"finetune", "measure"}


def test_a_higher_version_of_the_engine_redoes_the_stage_and_what_rests_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys(l1())
    monkeypatch.setitem(__import__("harness.plan.stages", fromlist=["VERSIONS"]).VERSIONS, "finetune", 99)
    after = keys(l1())
    assert {kind for kind in before if before[kind] != after[kind]} == {"finetune", "measure"}


def test_the_data_sets_checksum_is_part_of_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.data.catalogue import DATA_SETS

    before = keys(l1())
    monkeypatch.setitem(DATA_SETS, "digits", replace(DATA_SETS["digits"], checksum="sha256:other"))
    after = keys(l1())
    assert all(before[kind] != after[kind] for kind in ALL)


SUITE = """\
suite: keys
dataset: digits
backbones: [vgg_digits]
seeds: [0, 1]
recipe: short_digits
methods:
  - dense
  - dnal: {lambda_a: [1e-4, 2e-4]}
  - {each: [l1_norm, uniform], budget: {macs: 0.5}}
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "keys.yaml"
    path.write_text(SUITE)
    return path


@pytest.mark.parametrize("override", ["resources.cpu=2", "resources.gpu=1", "title=Other", "report.x=[params]"])
def test_device_threads_and_wording_change_no_key(override: str, suite: Path) -> None:
    before = [keys(each) for each in load_suite(str(suite)).cells]
    assert [keys(each) for each in load_suite(str(suite), None, [override]).cells] == before


def test_a_stages_configuration_is_enough_to_run_it_elsewhere(suite: Path) -> None:
    for each in load_suite(str(suite)).cells:
        for stage in chain_of(each, {}).stages:
            assert json.loads(json.dumps(stage.config)) == stage.config


def test_the_number_of_ranks_changes_no_key(suite: Path) -> None:
    micro = ["recipe.accumulate=4"]
    before = [keys(each) for each in load_suite(str(suite), None, micro).cells]
    shared = load_suite(str(suite), None, [*micro, "resources.ranks=2"])
    assert [keys(each) for each in shared.cells] == before
    assert shared.resources.bundle == {"cpu": 2, "gpu": 0}


NAMES = ("dense", "dnal", "l1_norm", "random", "uniform")
COORDINATES = st.tuples(
    st.sampled_from(NAMES),
    st.integers(0, 3),
    st.sampled_from([0.5, 0.25]),
    st.sampled_from([0.1, 0.05]),
    st.sampled_from([None, 300, 500]),
)


def _at(name: str, seed: int, budget: float, lr: float, images: int | None) -> Cell:
    recipe = RECIPE.model_copy(update={"lr": lr})
    meets = None if name in {"dense", "dnal"} else budget
    return replace(cell(name, seed=seed, budget=meets, recipe=recipe), data=DataChoice("digits", images))


@settings(max_examples=60, deadline=None)
@given(first=COORDINATES, second=COORDINATES)
def test_two_cells_share_a_result_only_if_they_are_one(first: Any, second: Any) -> None:
    one, other = _at(*first), _at(*second)
    assert (keys(one)["measure"] == keys(other)["measure"]) == (one == other)


def photographs(recipe: Recipe, name: str = "folder/tiny@32") -> Cell:
    return replace(cell("dense", recipe=recipe), backbone="torchvision/resnet18", data=DataChoice(name))


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from tests.data.pictures_on_disk import write_photographs

    write_photographs(tmp_path)
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    return tmp_path


def test_the_options_of_photographs_are_part_of_what_is_trained_on_them_alone(tiny: Path) -> None:
    cropped = RECIPE.model_copy(update={"crop_scale": 0.2, "resize_first": True})
    assert changed(photographs(RECIPE), photographs(cropped)) == {"dense", "compress", "finetune", "measure"}
    assert changed(l1(RECIPE), l1(cropped)) == set()
    config = chain_of(photographs(RECIPE), {}).stages[0].config
    assert not {"crop_scale", "resize_first"} & config.keys()


def test_other_photographs_and_other_resolutions_are_other_work(tiny: Path) -> None:
    first = keys(photographs(RECIPE))
    assert not set(first.values()) & set(keys(photographs(RECIPE, "folder/tiny@64")).values())
    (tiny / "tiny").rename(tiny / "elsewhere")
    file = tiny / "elsewhere" / "train" / "one" / "000.jpg"
    file.write_bytes(file.read_bytes() + b"\0")
    assert not set(first.values()) & set(keys(photographs(RECIPE, "folder/elsewhere@32")).values())


def test_a_cosine_by_the_step_is_other_work_than_one_by_the_epoch() -> None:
    by_epoch = RECIPE.model_copy(update={"schedule": "cosine"})
    by_step = by_epoch.model_copy(update={"per_iteration": True})
    assert changed(l1(by_epoch), l1(by_step)) == ALL


def test_equal_rates_are_one_stage_however_the_recipe_says_them() -> None:
    plain = RECIPE.model_copy(update={"schedule": "cosine", "per_iteration": True})
    spelt = plain.model_copy(update={"dense_horizon": RECIPE.epochs.schedule, "late_milestones": True})
    assert changed(l1(plain), l1(spelt)) == set()


def test_an_allocation_changes_what_is_decided_and_all_that_follows() -> None:
    profile = Profile((("*", 0.5),))
    cells = [
        l1(),
        l1(allocate="global"),
        l1(allocate="global", normalise="l2"),
        l1(allocate="per_mac"),
        l1(allocate="profile", profile=profile),
        l1(allocate="profile", profile=Profile((("*", 0.5),), most=0.9)),
        l1(allocate="profile", profile=Profile((("b", 0.1), ("a", 0.2)))),
        l1(allocate="profile", profile=Profile((("a", 0.2), ("b", 0.1)))),
    ]
    for number, one in enumerate(cells):
        for other in cells[:number]:
            assert changed(one, other) == {"compress", "finetune", "measure"}


def test_what_allocations_take_is_in_no_key_where_it_is_not_stated() -> None:
    for wanted in (l1(), l1(allocate="global")):
        config = chain_of(wanted, {}).stages[1].config
        assert not {"normalise", "profile"} & config.keys()


def test_only_a_method_that_opens_channels_again_says_so_in_its_trim_stage() -> None:
    def trim_of(name: str) -> dict[str, Any]:
        budget = cell(name, budget=0.5, candidates=(cell(name),))
        return next(stage.config for stage in chain_of(budget, {}).stages if stage.kind == "trim")

    assert "reopens" not in trim_of("dnal")
    assert trim_of("sss")["reopens"] is True
