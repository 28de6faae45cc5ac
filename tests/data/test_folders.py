"""What is found in a folder of photographs, and what is wrong with one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from torchvision.datasets import ImageFolder

from harness.data.catalogue import data_set
from harness.data.folders import FACTS, KNOWN_FACTS, facts, joined_facts, keep_facts, listing
from harness.data.sets import find_photographs, load_data, present
from harness.errors import UserError
from tests.data.pictures_on_disk import CLASSES, TEST, TRAIN, write_photographs


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        facts("folder/tiny", folder / "tiny")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_images_stand_in_the_order_of_torchvisions_image_folder(tiny: Path) -> None:
    inside = tiny / "tiny" / "train" / "one"
    for name in ("a/inner.JPEG", "a.jpg", "Z.png", "a-b/inner.jpg", "notes.txt", "b/c/deep.webp"):
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(inside / "000.jpg", inside / name)
    found = listing("folder/tiny", tiny / "tiny")
    reference = ImageFolder(str(tiny / "tiny" / "train"))
    assert [f"{found.train.root}/{path}" for path in found.train.paths] == [path for path, _ in reference.samples]
    labels = [label for label, count in enumerate(found.train.counts) for _ in range(count)]
    assert labels == reference.targets
    assert list(found.classes) == reference.classes


def test_classes_and_images_are_counted(shared_tiny: Path) -> None:
    found = facts("folder/tiny", shared_tiny / "tiny")
    assert (found.classes, found.train_images, found.test_images) == (3, 3 * TRAIN, 3 * TEST)


def test_the_checksum_is_of_names_and_sizes_and_not_of_the_place(tmp_path: Path) -> None:
    def checksum(name: str) -> str:
        return facts("folder/tiny", tmp_path / name).checksum

    for name in ("one", "two", "renamed", "longer", "fewer"):
        write_photographs(tmp_path, name)
    file = Path("train") / "one" / "003.jpg"
    (tmp_path / "renamed" / file).rename(tmp_path / "renamed" / "train" / "one" / "003b.jpg")
    (tmp_path / "longer" / file).write_bytes((tmp_path / "one" / file).read_bytes() + b"\0")
    (tmp_path / "fewer" / file).unlink()
    (tmp_path / "two" / "train" / "notes.txt").write_text("no image")
    assert checksum("one") == checksum("two")
    assert len({checksum(name) for name in ("one", "renamed", "longer", "fewer")}) == 4


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_missing_part_is_named(part: str, tiny: Path) -> None:
    shutil.rmtree(tiny / "tiny" / part)
    assert refused(tiny).startswith(f"data set 'folder/tiny': there is no folder {tiny / 'tiny' / part}; ")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"there is no folder {tmp_path}/nothing/train"):
        data_set("folder/nothing", tmp_path)


@pytest.mark.parametrize(("here", "there"), [("train", "val"), ("val", "train")])
def test_a_class_of_one_part_only_is_named(here: str, there: str, tiny: Path) -> None:
    shutil.rmtree(tiny / "tiny" / there / "one")
    root = tiny / "tiny"
    assert refused(tiny) == f"data set 'folder/tiny': class 'one' is in {root}/{here} only, not in {root}/{there}"


def test_an_empty_class_is_named(tiny: Path) -> None:
    for file in (tiny / "tiny" / "val" / "zebra").iterdir():
        file.rename(file.with_suffix(".text"))
    assert refused(tiny) == f"data set 'folder/tiny': class 'zebra' has no image in {tiny / 'tiny' / 'val'}"


def test_fewer_than_two_classes_are_refused(tiny: Path) -> None:
    for part in ("train", "val"):
        for name in CLASSES[1:]:
            shutil.rmtree(tiny / "tiny" / part / name)
    assert (
        refused(tiny)
        == f"data set 'folder/tiny': {tiny / 'tiny' / 'train'} has 1 folders of classes; two are the fewest"
    )


def test_a_link_to_nowhere_is_named(tiny: Path) -> None:
    link = tiny / "tiny" / "train" / "one" / "link.jpg"
    link.symlink_to("nowhere")
    assert refused(tiny) == f"data set 'folder/tiny' cannot be read: {link}: No such file or directory"


def test_a_pipe_in_an_images_place_is_named(tiny: Path) -> None:
    pipe = tiny / "tiny" / "val" / "zebra" / "pipe.jpg"
    os.mkfifo(pipe)
    assert refused(tiny) == f"data set 'folder/tiny': {pipe} is not a file"


def test_a_pipe_that_is_named_like_no_image_is_passed_over(tiny: Path) -> None:
    os.mkfifo(tiny / "tiny" / "val" / "zebra" / "pipe")
    assert facts("folder/tiny", tiny / "tiny").test_images == 3 * TEST


def test_photographs_other_than_declared_are_refused(tiny: Path) -> None:
    (tiny / "tiny").rename(tiny / "imagenet")
    with pytest.raises(UserError, match=r"'imagenet': .*/imagenet has 3 classes, declared are 1,000"):
        find_photographs(data_set("imagenet"), tiny)


def test_presence_is_told_without_counting(tiny: Path) -> None:
    assert present("folder/tiny@32", tiny)
    assert not present("imagenet", tiny)
    assert not present("folder/absent", tiny)


def test_photographs_are_not_loaded_into_memory(tiny: Path) -> None:
    with pytest.raises(UserError, match="read from disk and not held in memory"):
        load_data("folder/tiny", tiny)
    with pytest.raises(UserError, match="there is no folder"):
        load_data("imagenet", tiny)


def test_kept_facts_serve_where_the_photographs_are_absent(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, content = keep_facts("folder/tiny", tiny / "tiny", tiny)
    path.write_bytes(content)
    there = data_set("folder/tiny@32", tiny)
    with pytest.raises(UserError):
        data_set("folder/tiny@32", tiny / "elsewhere")
    monkeypatch.setenv(KNOWN_FACTS, str(tiny / FACTS))
    assert data_set("folder/tiny@32", tiny / "elsewhere") == there
    with pytest.raises(UserError):
        data_set("folder/other", tiny / "elsewhere")


def test_facts_of_several_sets_are_kept_side_by_side(tiny: Path) -> None:
    write_photographs(tiny, "more")
    for name in ("tiny", "more"):
        path, content = keep_facts(f"folder/{name}", tiny / name, tiny)
        path.write_bytes(content)
    assert set(json.loads((tiny / FACTS).read_text())) == {"folder/tiny", "folder/more"}


def test_joined_facts_are_those_of_all_folders_and_the_joint_one_is_right(tmp_path: Path) -> None:
    one, two, three = (
        {"classes": 2, "train_images": number, "test_images": 1, "checksum": f"sha256:{number:064x}"}
        for number in (1, 2, 3)
    )
    stated = {
        "first": {"folder/a": one, "folder/b": one},
        "second": {"folder/b": two, "folder/c": two},
        "into": {"folder/c": three},
    }
    for name, facts_there in stated.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / FACTS).write_text(json.dumps(facts_there))
    joined = joined_facts([tmp_path / "first", tmp_path / "second"], tmp_path / "into")
    assert joined is not None
    path, content = joined
    assert path == tmp_path / "into" / FACTS
    assert json.loads(content) == {"folder/a": one, "folder/b": one, "folder/c": three}


def test_folders_that_know_of_no_photographs_leave_no_facts(tmp_path: Path) -> None:
    assert joined_facts([tmp_path], tmp_path / "into") is None


@pytest.mark.parametrize("content", ["", "[]", '{"folder/absent": {"classes": 3}}', '{"folder/absent": 3}'])
def test_facts_that_cannot_be_read_count_as_none(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FACTS).write_text(content)
    monkeypatch.setenv(KNOWN_FACTS, str(tmp_path / FACTS))
    with pytest.raises(UserError, match="there is no folder"):
        data_set("folder/absent", tmp_path)


def test_counting_does_not_import_torch(tiny: Path) -> None:
    code = "import sys; from harness.data.catalogue import data_set\n"
    code += "print(data_set('folder/tiny').classes, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.split() == ["3", "False"]
