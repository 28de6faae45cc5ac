from __future__ import annotations

import pytest

from harness.errors import SuiteError, UserError
from harness.suite.recipe import RECIPES
from tests.suite.conftest import HEAD, Load

TEXT = (
    HEAD
    + """\
methods:
  - dense
  - dnal: {lambda_a: [1e-4, 2e-4]}
resources: {gpu: 0.5, cpu: 2}
profiles:
  smoke:
    seeds: [7]
    recipe: {epochs: {dense: 2}}
    resources: {gpu: 0}
  cifar:
    dataset: {name: cifar10, train_images: 1000}
    backbones: [vgg16]
    recipe: short_cifar
  plain:
"""
)


def test_without_a_profile_the_profiles_change_nothing(load: Load) -> None:
    suite = load(TEXT)
    assert (suite.seeds, suite.recipe, suite.profile) == ((0,), RECIPES["short_digits"], None)


def test_a_profile_refines_mappings_and_replaces_lists(load: Load) -> None:
    suite = load(TEXT, profile="smoke")
    assert suite.seeds == (7,)
    assert suite.recipe.epochs.dense == 2
    assert suite.recipe.epochs.finetune == RECIPES["short_digits"].epochs.finetune
    assert (suite.resources.gpu, suite.resources.cpu) == (0, 2)
    assert suite.profile == "smoke"


def test_a_name_alone_replaces_a_whole_recipe(load: Load) -> None:
    suite = load(TEXT.replace("recipe: short_digits", "recipe: {use: short_digits, lr: 0.5}"), profile="cifar")
    assert suite.recipe == RECIPES["short_cifar"]
    assert suite.recipe_name == "short_cifar"
    assert (suite.data.name, suite.data.train_images) == ("cifar10", 1000)


def test_an_empty_profile_is_the_suite_itself(load: Load) -> None:
    assert load(TEXT, profile="plain").cells == load(TEXT).cells


def test_an_unknown_profile_says_what_was_meant(load: Load) -> None:
    with pytest.raises(UserError, match="unknown profile 'smok'; did you mean 'smoke'"):
        load(TEXT, profile="smok")


def test_a_profile_of_a_suite_without_profiles_is_refused(load: Load) -> None:
    with pytest.raises(UserError, match="no profiles"):
        load(methods="  - dense", profile="smoke")


def test_a_slip_in_a_profile_is_found_before_it_is_used(load: Load) -> None:
    with pytest.raises(SuiteError, match=r"tiny\.yaml:12:5: unknown key 'sedes'; did you mean 'seeds'"):
        load(TEXT.replace("    seeds: [7]", "    sedes: [7]"))


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("recipe.epochs.dense=3", lambda suite: suite.recipe.epochs.dense, 3),
        ("recipe.lr=1e-2", lambda suite: suite.recipe.lr, 0.01),
        ("seeds=[0, 1]", lambda suite: suite.seeds, (0, 1)),
        ("resources.cpu=4", lambda suite: (suite.resources.gpu, suite.resources.cpu), (0.5, 4)),
        ("resources={cpu: 4}", lambda suite: (suite.resources.gpu, suite.resources.cpu), (0, 4)),
        ("dataset.train_images=640", lambda suite: suite.data.train_images, 640),
        ("title=a=b", lambda suite: suite.title, "a=b"),
        ("published=", lambda suite: suite.published, None),
        ("report.x=[params]", lambda suite: suite.report.x, ("params",)),
        ("methods.1.dnal.lambda_a=[3e-4]", lambda suite: suite.cells[1].params["lambda_a"], 3e-4),
        ("methods.1.dnal.budget.macs=0.5", lambda suite: str(suite.cells[1].budget), "macs=0.5"),
        ("methods.0=fussy.depth", None, "unknown method 'fussy.depth'"),
        ("methods.0.fussy.depth=3", None, "'methods.0' is 'dense' and has no key 'fussy'"),
        ("methods.-1=dense", None, "has no entry '-1'; its entries are counted from 0 to 1"),
    ],
)
def test_set_replaces_what_stands_at_its_key(load: Load, override: str, read: object, value: object) -> None:
    if callable(read):
        assert read(load(TEXT, overrides=[override])) == value
    else:
        with pytest.raises(SuiteError) as caught:
            load(TEXT, overrides=[override])
        assert str(value) in str(caught.value)


def test_set_gives_parameters_to_a_method_that_is_a_name_alone(load: Load) -> None:
    suite = load(methods="  - dnal", overrides=["methods.0.dnal.threshold=0.5"])
    assert suite.cells[0].params["threshold"] == 0.5


def test_set_applies_after_the_profile_and_in_order(load: Load) -> None:
    suite = load(TEXT, profile="smoke", overrides=["seeds=[1]", "seeds=[2]"])
    assert suite.seeds == (2,)


@pytest.mark.parametrize("override", ["seeds", "=3", "recipe..lr=1", " seeds=[0]", "recipe.=1"])
def test_set_without_a_key_and_a_value_is_refused(load: Load, override: str) -> None:
    with pytest.raises(UserError, match="--set takes KEY=VALUE"):
        load(TEXT, overrides=[override])


def test_problems_of_the_file_come_before_those_of_set(load: Load) -> None:
    with pytest.raises(SuiteError) as caught:
        load(TEXT + "colour: red\n", overrides=["seeds=[x]"])
    assert [where.file.startswith("--set") for where, _ in caught.value.problems] == [False, True]
