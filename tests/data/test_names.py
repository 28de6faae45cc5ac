"""Names of data sets: what they tell, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.catalogue import DATA_SETS, PHOTOGRAPH_SIZE, data_set, sketch
from harness.data.split import split
from harness.errors import UserError


def test_imagenet_is_declared_and_needs_no_file() -> None:
    known = data_set("imagenet", Path("nowhere"))
    assert (known.classes, known.train_images, known.test_images, known.size) == (1000, 1_281_167, 50_000, 224)
    assert known.held_out_images == known.test_images
    assert known.photographs
    assert not any(DATA_SETS[name].photographs for name in ("cifar10", "digits"))


@given(pixels=st.integers(8, 1024).filter(lambda pixels: pixels != PHOTOGRAPH_SIZE))
def test_a_resolution_changes_the_size_and_the_name_alone(pixels: int) -> None:
    known = data_set(f"imagenet@{pixels}")
    assert replace(known, name="imagenet", title="ImageNet", size=224) == DATA_SETS["imagenet"]
    assert (known.name, known.size, known.title) == (f"imagenet@{pixels}", pixels, f"ImageNet ({pixels} px)")
    assert known.family == "imagenet"


def test_a_folder_of_photographs_is_counted(shared_tiny: Path) -> None:
    known = data_set("folder/tiny@32", shared_tiny)
    assert (known.classes, known.train_images, known.test_images, known.held_out_images) == (3, 24, 12, 2)
    assert (known.name, known.family, known.title, known.size) == ("folder/tiny@32", "folder/tiny", "tiny (32 px)", 32)
    assert known.checksum.startswith("sha256:")


def test_a_name_alone_tells_what_a_network_must_fit(tmp_path: Path) -> None:
    known = sketch("folder/absent@64")
    assert (known.channels, known.size, known.photographs, known.classes) == (3, 64, True, 0)


def test_all_resolutions_hold_the_same_images_out(shared_tiny: Path) -> None:
    one, other = (split(data_set(name, shared_tiny), None, False) for name in ("folder/tiny", "folder/tiny@32"))
    assert one.held_out.tolist() == other.held_out.tolist()
    assert one.train.tolist() == other.train.tolist()


@pytest.mark.parametrize(
    "inner", ["", "..", ".", "../x", "a/b", "/etc", ".hidden", "a\\b", "a b", "a\n", "~", "x" * 101, "ä"]
)
def test_what_is_no_name_of_one_folder_is_refused(inner: str) -> None:
    for name in (f"folder/{inner}", f"folder/{inner}@64"):
        with pytest.raises(UserError, match="comes the name of one folder under the data folder"):
            sketch(name)


@pytest.mark.parametrize("pixels", ["", "0", "7", "1025", "064", "6.4", "-64", "64@64", "²", "64 "])
def test_what_is_no_size_is_refused(pixels: str) -> None:
    with pytest.raises(UserError, match="comes a size in pixels from 8 to 1024, not "):
        sketch(f"imagenet@{pixels}")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("cifar10@16", "data set 'cifar10@16': cifar10 has one size, 32 pixels; '@PIXELS' is for photographs"),
        ("digits@", "data set 'digits@': digits has one size, 8 pixels; '@PIXELS' is for photographs"),
        ("imagenet@224", "data set 'imagenet@224': 224 pixels is the size of 'imagenet' itself; leave out '@'"),
        ("imagnet@64", "unknown data set 'imagnet'; did you mean 'imagenet'?"),
        ("cifar", "unknown data set 'cifar'; did you mean 'cifar10'?"),
    ],
)
def test_other_wrong_names_say_what_was_meant(name: str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        data_set(name)
    assert str(caught.value) == line


def test_the_bare_name_of_a_folder_that_is_there_says_how_to_write_it(tiny: Path) -> None:
    with pytest.raises(UserError, match="unknown data set 'tiny'; did you mean 'folder/tiny'"):
        data_set("tiny")
