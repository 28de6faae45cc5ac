"""Where the costs of whole networks are remembered."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.catalogue import data_set
from harness.paths import cache_folder
from harness.plan.costs import NetworkCost, cache_place, network_cost, remember

DIGITS = data_set("digits")


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_name_leads_out_of_the_cache_or_to_a_file_that_cannot_be(backbone: str, data: str) -> None:
    place = cache_place(backbone, dataclasses.replace(DIGITS, name=data))
    assert place.parent == cache_folder()
    assert len(place.name.encode()) < 150
    assert place.name.isascii()
    assert not set(place.name) & set('/\\\0:*?"<>|\n')


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), min_size=2, max_size=2, unique=True))
def test_different_networks_have_different_files(pairs: list[tuple[str, str]]) -> None:
    places = {cache_place(backbone, dataclasses.replace(DIGITS, name=data)) for backbone, data in pairs}
    assert len(places) == 2


@pytest.mark.parametrize("changed", [{"classes": 11}, {"size": 9}, {"channels": 3}])
def test_a_folder_whose_images_changed_has_a_cost_of_its_own(changed: dict[str, int]) -> None:
    assert cache_place("x", dataclasses.replace(DIGITS, **changed)) != cache_place("x", DIGITS)  # type: ignore[arg-type]


def test_a_remembered_cost_is_not_counted_again(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cost = NetworkCost(1, 2, 3, 4)
    remember(cache_place("torchvision/resnet18", data_set("imagenet@64")), cost)
    assert network_cost.__wrapped__("torchvision/resnet18", "imagenet@64") == cost
