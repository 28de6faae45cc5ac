"""Accuracy on the test split, against logits written by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.data.catalogue import data_set
from harness.data.loader import DeviceLoader
from harness.measure import accuracy
from harness.measure.accuracy import measure_accuracy, pack_bits, unpack_bits

# Six classes; the class of an image is at the first, second, fifth and sixth place of its row.
LOGITS = torch.tensor(
    [
        [9.0, 1.0, 2.0, 3.0, 4.0, 5.0],
        [9.0, 8.0, 2.0, 3.0, 4.0, 5.0],
        [9.0, 8.0, 2.0, 3.0, 4.0, 5.0],
        [9.0, 8.0, 2.0, 3.0, 4.0, 1.0],
    ]
)
LABELS = torch.tensor([0, 1, 3, 5])


class Saying(nn.Module):
    """Answers with rows of logits in the order in which images come, and notes in which mode it was asked."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits, self.place = logits, 0
        self.trained: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.trained.append(self.training)
        answer = self.logits[self.place : self.place + len(images)]
        self.place += len(images)
        return answer


def images(labels: Tensor) -> DeviceLoader:
    return DeviceLoader(torch.zeros(len(labels), 8, 8, 1, dtype=torch.uint8), labels, data_set("digits"))


def measured(logits: Tensor, labels: Tensor, batch: int = 1000) -> accuracy.TestAccuracy:
    return measure_accuracy(Saying(logits), images(labels), batch)


def test_top1_top5_and_hits_of_logits_written_by_hand() -> None:
    found = measured(LOGITS, LABELS)
    assert found.top1 == 1 / 4
    assert found.top5 == 3 / 4
    assert unpack_bits(found.hits, 4).tolist() == [True, False, False, False]


def test_of_five_classes_or_fewer_top5_is_everything() -> None:
    found = measured(LOGITS[:, :4], torch.tensor([3, 3, 3, 3]))
    assert (found.top1, found.top5) == (0.0, 1.0)


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
def test_the_batch_does_not_matter(batch: int) -> None:
    found, whole = measured(LOGITS, LABELS, batch), measured(LOGITS, LABELS)
    assert (found.top1, found.top5) == (whole.top1, whole.top5)
    assert torch.equal(found.hits, whole.hits)


def test_the_network_is_asked_in_evaluation_mode_and_once_an_image() -> None:
    network = Saying(LOGITS).train()
    measure_accuracy(network, images(LABELS))
    assert network.trained == [False]
    assert network.place == len(LABELS)


@given(seed=st.integers(0, 10**6), count=st.integers(1, 40), classes=st.integers(2, 12))
def test_hits_are_the_images_that_top1_counts(seed: int, count: int, classes: int) -> None:
    drawn = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=drawn)
    labels = torch.randint(classes, (count,), generator=drawn)
    found = measured(logits, labels)
    right = logits.argmax(dim=1) == labels
    assert torch.equal(unpack_bits(found.hits, count), right)
    assert found.top1 == int(right.sum()) / count
    place = (logits > logits.gather(1, labels[:, None])).sum(dim=1)
    assert found.top5 == int((place < 5).sum()) / count


@given(bits=st.lists(st.booleans(), max_size=70))
def test_packed_bits_come_back(bits: list[bool]) -> None:
    packed = pack_bits(torch.tensor(bits, dtype=torch.bool))
    assert packed.dtype == torch.uint8
    assert len(packed) == -(-len(bits) // 8)
    assert unpack_bits(packed, len(bits)).tolist() == bits


def test_the_first_image_is_the_highest_bit() -> None:
    assert pack_bits(torch.tensor([True] + [False] * 8 + [True])).tolist() == [0b10000000, 0b01000000]
