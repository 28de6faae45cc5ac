"""Which data sets there are and what is declared of each, without importing torch.

Names: those of `DATA_SETS`; `folder/NAME` for any folder of photographs under the data folder; `NAME@PIXELS` for
photographs at another resolution than their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from harness.data.folders import facts
from harness.errors import UserError, unknown
from harness.paths import data_folder

PHOTOGRAPH_MEAN = (0.485, 0.456, 0.406)
PHOTOGRAPH_STD = (0.229, 0.224, 0.225)
"""Of ImageNet's training images, as the DNAL code and most networks for photographs use them."""

PHOTOGRAPH_SIZE = 224
SMALLEST_CROP = 0.08
"""Share of a photograph's area that a random crop shows at least, unless a recipe says otherwise: torchvision's."""

PIXELS = range(8, 1025)
"""The sizes that `@PIXELS` may ask for."""

_FOLDER = "folder/"
_INNER = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"


@dataclass(frozen=True)
class DataSet:
    """A data set as declared; what is loaded is checked against it.

    Attributes:
        name: what a suite calls it.
        title: what a table calls it.
        classes: how many.
        channels: of an image (1 grey, 3 RGB).
        size: height and width of an image, pixels.
        train_images: in the official training split (training and held-out together).
        test_images: in the test split.
        held_out_images: taken from the training split for every choice that a method or a recipe makes.
        mean: per channel, of pixels scaled to 0..1.
        std: per channel, of pixels scaled to 0..1.
        padding: pixels of zeros on each side before the random crop.
        flip: whether a mirrored image is still one of its class.
        checksum: what identifies the data; part of every stage's key.
        loader: `module:function`; called as `function(folder)`, gives `RawData`; "" for photographs.
        embedded: whether it comes with an installed library, so that nothing is fetched.
        folder: of photographs: under the data folder, holds `train/CLASS/IMAGE` and `val/CLASS/IMAGE`; "" for small
            images, which are held in memory.
    """

    name: str
    title: str
    classes: int
    channels: int
    size: int
    train_images: int
    test_images: int
    held_out_images: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    padding: int
    flip: bool
    checksum: str
    loader: str
    embedded: bool = False
    folder: str = ""

    @property
    def photographs(self) -> bool:
        """Whether it is photographs of any size, read from disk; otherwise small images of one size."""
        return bool(self.folder)

    @property
    def family(self) -> str:
        """Its name without the resolution: all resolutions have the same images in the same split."""
        return self.name.partition("@")[0]


DATA_SETS: dict[str, DataSet] = {
    entry.name: entry
    for entry in (
        DataSet(
            name="cifar10",
            title="CIFAR-10",
            classes=10,
            channels=3,
            size=32,
            train_images=50_000,
            test_images=10_000,
            held_out_images=5_000,
            mean=(0.4914, 0.4824, 0.4467),
            std=(0.2471, 0.2435, 0.2616),
            padding=4,
            flip=True,
            checksum="md5:c58f30108f718f92721af3b95e74349a",
            loader="harness.data.cifar10:load",
        ),
        DataSet(
            name="digits",
            title="Digits (8 × 8)",
            classes=10,
            channels=1,
            size=8,
            train_images=1_437,
            test_images=360,
            held_out_images=144,
            mean=(0.3056,),
            std=(0.3758,),
            padding=1,
            flip=False,
            checksum="sha256:603bbcd15beaba070a7140f73d4f5252a01ab487a0ec3a1f8869b67f41f2b87d",
            loader="harness.data.digits:load",
            embedded=True,
        ),
        DataSet(
            # O. Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 115, 2015: the 2012 task
            name="imagenet",
            title="ImageNet",
            classes=1000,
            channels=3,
            size=PHOTOGRAPH_SIZE,
            train_images=1_281_167,
            test_images=50_000,
            # as many as the test split: choices are as sharp as the figures that they are made for, and 96 % remain;
            # ProxylessNAS and MnasNet search on a hold-out of that size too
            held_out_images=50_000,
            mean=PHOTOGRAPH_MEAN,
            std=PHOTOGRAPH_STD,
            padding=0,
            flip=True,
            # of the two official archives; once unpacked, classes and images are counted
            checksum="md5:1d675b47d978889d74fa0da5fadfb00e+29b22e2961454d5413ddabcf34fc5622",
            loader="",
            folder="imagenet",
        ),
    )
}


def data_set(name: str, folder: Path | None = None) -> DataSet:
    """The data set of that name.

    Args:
        name: as above.
        folder: where data sets lie; None is `harness.paths.data_folder()`. Only for `folder/NAME` is it looked at:
            classes and images are counted once a process.

    Raises:
        UserError: there is none of that name (says what was meant), or a folder of photographs is absent or unsound.
    """
    known = sketch(name)
    return known if known.checksum else _counted(known, data_folder(folder).absolute())


def sketch(name: str) -> DataSet:
    """What the name alone tells, without a look at any file: of `folder/NAME` no classes (0), images nor checksum.

    Raises:
        UserError: there can be no data set of that name; says what was meant.
    """
    if name in DATA_SETS:
        return DATA_SETS[name]
    base, pixels = _parsed(name)
    declared = DATA_SETS[base] if base in DATA_SETS else _folder_of_photographs(base)
    if pixels is None:
        return declared
    return replace(declared, name=name, title=f"{declared.title} ({pixels} px)", size=pixels)


def _folder_of_photographs(name: str) -> DataSet:
    inner = name.removeprefix(_FOLDER)
    return DataSet(
        name=name,
        title=inner,
        classes=0,
        channels=3,
        size=PHOTOGRAPH_SIZE,
        train_images=0,
        test_images=0,
        held_out_images=0,
        mean=PHOTOGRAPH_MEAN,
        std=PHOTOGRAPH_STD,
        padding=0,
        flip=True,
        checksum="",
        loader="",
        folder=inner,
    )


@lru_cache(maxsize=32)
def _counted(known: DataSet, folder: Path) -> DataSet:
    """A folder of photographs as found; one tenth of its training images is held out."""
    found = facts(known.family, folder / known.folder)
    return replace(
        known,
        classes=found.classes,
        train_images=found.train_images,
        test_images=found.test_images,
        held_out_images=max(1, found.train_images // 10),
        checksum=found.checksum,
    )


def _parsed(name: str) -> tuple[str, int | None]:
    """(name without resolution, resolution or None) of a well-formed name; nothing is looked up on disk."""
    base, at, resolution = name.partition("@")
    if base.startswith(_FOLDER):
        inner = base.removeprefix(_FOLDER)
        if not re.fullmatch(_INNER, inner):
            raise UserError(
                f"data set {name!r}: after {_FOLDER!r} comes the name of one folder under the data folder "
                f"(letters, digits, '_', '-', '.'), not {inner!r}"
            )
    elif base not in DATA_SETS:
        raise UserError(_unknown(base))
    elif at and not DATA_SETS[base].photographs:
        one = DATA_SETS[base].size
        raise UserError(f"data set {name!r}: {base} has one size, {one} pixels; '@PIXELS' is for photographs")
    if not at:
        return base, None
    if not re.fullmatch(r"[1-9][0-9]{0,4}", resolution) or int(resolution) not in PIXELS:
        raise UserError(
            f"data set {name!r}: after '@' comes a size in pixels from {PIXELS[0]} to {PIXELS[-1]}, not {resolution!r}"
        )
    if int(resolution) == PHOTOGRAPH_SIZE:
        raise UserError(f"data set {name!r}: {PHOTOGRAPH_SIZE} pixels is the size of {base!r} itself; leave out '@'")
    return base, int(resolution)


def _unknown(name: str) -> str:
    there = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) and (data_folder() / name / "train").is_dir()
    return (
        f"unknown data set {name!r}; did you mean {_FOLDER + name!r}?"
        if there
        else unknown("data set", name, DATA_SETS)
    )
