"""Tensors and facts in one file: whole, or absent."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from harness.train.checkpoint import Checkpoint, tensors_from_bytes, tensors_to_bytes
from tests.train.tiny import network, weights

DTYPES = st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
SHAPES = st.lists(st.integers(0, 4), max_size=4)
TENSORS = st.builds(
    lambda dtype, shape, seed: torch.randint(
        0, 2, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.int64
    ).to(dtype),
    DTYPES,
    SHAPES,
    st.integers(0, 99),
)
FACTS = st.dictionaries(
    st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none() | st.booleans(), max_size=4
)


@given(tensors=st.dictionaries(st.text("abc.", min_size=1, max_size=6), TENSORS, max_size=4), facts=FACTS)
def test_tensors_and_facts_come_back_as_they_were(tensors: dict[str, torch.Tensor], facts: dict[str, object]) -> None:
    found, told = tensors_from_bytes(tensors_to_bytes(tensors, facts))
    assert told == facts
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_tensors_that_share_their_storage_come_back_each_for_itself() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(3, 3), nn.Linear(3, 3)
            self.other.weight = self.one.weight

    state = Tied().state_dict()
    assert state["one.weight"].data_ptr() == state["other.weight"].data_ptr()
    found, _ = tensors_from_bytes(tensors_to_bytes(state))
    assert torch.equal(found["one.weight"], state["one.weight"])
    assert torch.equal(found["other.weight"], state["one.weight"])


def test_a_view_and_a_channels_last_tensor_come_back_as_they_were() -> None:
    whole = torch.arange(24.0).reshape(1, 2, 3, 4)
    given_ = {"view": whole[..., ::2], "last": whole.to(memory_format=torch.channels_last)}
    found, _ = tensors_from_bytes(tensors_to_bytes(given_))
    assert all(torch.equal(found[name], tensor) for name, tensor in given_.items())


def test_the_same_tensors_give_the_same_bytes() -> None:
    made = weights(network())
    assert tensors_to_bytes(made, {"b": 1, "a": 2}) == tensors_to_bytes(made, {"a": 2, "b": 1})


@pytest.mark.parametrize("data", [b"", b"\0" * 8, b"not tensors at all", tensors_to_bytes({"a": torch.ones(9)})[:-1]])
def test_bytes_that_are_not_whole_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        tensors_from_bytes(data)


def test_a_foreign_safetensors_file_without_facts_is_refused() -> None:
    from safetensors.torch import save

    with pytest.raises(ValueError, match="not a whole safetensors file"):
        tensors_from_bytes(save({"a": torch.ones(2)}))


def test_a_checkpoint_that_was_never_saved_is_absent(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path / "none").load() is None


def test_a_checkpoint_comes_back_and_the_last_one_counts(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "deep" / "epoch.safetensors")
    checkpoint.save({"a": torch.ones(3)}, {"epochs": 1})
    checkpoint.save({"a": torch.zeros(3)}, {"epochs": 2})
    loaded = checkpoint.load()
    assert loaded is not None
    assert torch.equal(loaded[0]["a"], torch.zeros(3))
    assert loaded[1] == {"epochs": 2}
    assert [path.name for path in checkpoint.path.parent.iterdir()] == ["epoch.safetensors"]


def test_a_damaged_checkpoint_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = Checkpoint(tmp_path / "epoch.safetensors")
    checkpoint.save({"a": torch.ones(3)}, {"epochs": 1})
    assert checkpoint.load() is not None
    assert caplog.messages == []
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-1])
    assert checkpoint.load() is None
    [message] = caplog.messages
    assert message.startswith(f"the checkpoint {checkpoint.path} is damaged: ")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_wrong_bit_anywhere_makes_it_absent(where: float, bit: int, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "epoch.safetensors")
    checkpoint.save({"a": torch.ones(20)}, {"epochs": 1})
    data = bytearray(checkpoint.path.read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    checkpoint.path.write_bytes(data)
    assert checkpoint.load() is None


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_part_of_it_counts_as_absent(share: float, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "epoch.safetensors")
    checkpoint.save({"a": torch.ones(20)}, {"epochs": 1})
    data = checkpoint.path.read_bytes()
    checkpoint.path.write_bytes(data[: int(share * len(data))])
    assert checkpoint.load() is None
