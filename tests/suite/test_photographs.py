"""Suites of photographs, and the options of recipes that came with them."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from harness.suite.recipe import RECIPES, Recipe
from tests.suite.conftest import Load

LATER = {"late_milestones", "per_iteration", "dense_horizon", "crop_scale", "resize_first"}

SUITE = """\
suite: tiny
dataset: {name: folder/absent@64, train_images: 100000}
backbones: [torchvision/resnet18]
seeds: [0]
recipe: {use: imagenet_resnet50, batch: 32, crop_scale: 0.3}
methods: [dense]
"""


def test_a_suite_can_be_read_where_its_photographs_are_absent(load: Load) -> None:
    suite = load(SUITE)
    assert (suite.data.name, suite.recipe.crop_scale, suite.recipe.resize_first) == ("folder/absent@64", 0.3, True)


def test_more_images_than_a_folder_has_are_refused_where_it_is_there(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.data.pictures_on_disk import write_photographs

    write_photographs(tmp_path, "absent")
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    with pytest.raises(Exception, match="'train_images' must be at most 24, all that folder/absent@64 has, not 100000"):
        load(SUITE)


@pytest.mark.parametrize("name", ["paper_cifar", "short_cifar", "short_digits"])
def test_options_that_are_not_used_are_not_stated(name: str) -> None:
    assert Recipe.model_fields.keys() >= LATER
    assert not LATER & RECIPES[name].model_dump(mode="json").keys()
    assert not LATER & RECIPES[name].model_dump(include={"batch", *LATER}).keys()


def test_the_recipes_of_before_have_the_digests_of_before() -> None:
    stated = RECIPES["paper_cifar"].model_dump(mode="json")
    digest = sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()
    assert digest.startswith("72facd0cd51cab4a")


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_recipe_states_is_the_recipe(name: str) -> None:
    assert Recipe.model_validate(RECIPES[name].model_dump(mode="json")) == RECIPES[name]


def test_the_crop_of_torchvision_is_no_option() -> None:
    stated = RECIPES["imagenet_vgg16"].model_copy(update={"crop_scale": 0.08}).model_dump()
    assert stated == RECIPES["imagenet_vgg16"].model_dump()
