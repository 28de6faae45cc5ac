"""Which data sets there are and what is declared of each, without importing torch."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import UserError, unknown


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
        loader: `module:function`; called as `function(folder)`, gives `RawData`.
        embedded: whether it comes with an installed library, so that nothing is fetched.
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
    )
}


def data_set(name: str) -> DataSet:
    """The data set of that name; a UserError that says what was meant if there is none."""
    if name not in DATA_SETS:
        raise UserError(unknown("data set", name, DATA_SETS))
    return DATA_SETS[name]
