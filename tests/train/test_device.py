"""What a recipe asks of a device is refused where it is not there, and undone where it was set."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import torch

from harness.channels.graph import ChannelGraph
from harness.channels.surgery import cut
from harness.errors import UserError
from harness.train.compiled import missing_compiler
from harness.train.device import check_device, has_bfloat16, only_deterministic
from tests.channels.networks import Residual, example, images
from tests.train.tiny import equal, network, train, weights


def processor(monkeypatch: pytest.MonkeyPatch, *, avx512: bool, amx: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)


@pytest.mark.parametrize(
    ("avx512", "amx", "native"), [(False, False, False), (True, False, True), (False, True, True), (True, True, True)]
)
def test_a_processor_with_instructions_for_bfloat16_may_use_it_and_no_other(
    avx512: bool, amx: bool, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(monkeypatch, avx512=avx512, amx=amx)
    assert has_bfloat16("cpu") is native
    if native:
        check_device({"precision": "bfloat16"}, "cpu")
    else:
        with pytest.raises(UserError, match=r"^recipe\.precision: this processor only emulates bfloat16[^\n]*$"):
            check_device({"precision": "bfloat16"}, "cpu")


def test_the_processors_own_flags_are_what_torch_says(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            flags = set(next(line for line in file if line.startswith("flags")).split())
    except (OSError, StopIteration):
        pytest.skip("the system does not tell the processor's flags")
    # a system may keep AMX from a process that has not asked for it
    if not flags & {"avx512_bf16", "amx_tile"}:
        assert not has_bfloat16("cpu")
    if "avx512_bf16" in flags:
        assert has_bfloat16("cpu")


def test_float32_is_refused_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, avx512=False, amx=False)
    check_device({"precision": "float32", "cuda_graphs": False, "compile": False}, "cpu")
    check_device({}, "cpu")


def test_cuda_graphs_are_refused_without_a_gpu() -> None:
    with pytest.raises(UserError, match=r"^recipe\.cuda_graphs: there are no CUDA graphs on cpu[^\n]*$"):
        check_device({"cuda_graphs": True}, "cpu")


def test_compiling_is_refused_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert missing_compiler("cpu") == "a C++ compiler"
    with pytest.raises(UserError, match=r"^recipe\.compile: torch\.compile needs a C\+\+ compiler[^\n]*$"):
        check_device({"compile": True}, "cpu")


def _set() -> tuple[Any, ...]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
    )


def test_only_deterministic_algorithms_are_used_within_and_all_is_as_before_afterwards() -> None:
    before = _set()
    with only_deterministic(True, "cpu"):
        assert _set() == (True, False, True, False)
    assert _set() == before
    assert not before[0]


def test_what_fails_within_leaves_nothing_set() -> None:
    before = _set()
    with suppress(ZeroDivisionError), only_deterministic(True, "cpu"):
        raise ZeroDivisionError
    assert _set() == before


def test_unless_it_is_asked_for_nothing_is_set() -> None:
    before = _set()
    with only_deterministic(False, "cpu"):
        assert _set() == before


def test_on_a_processor_the_bits_are_the_same_with_it_and_without() -> None:
    plain, strict = network(), network()
    expected = train(plain)
    with only_deterministic(True, "cpu"):
        found = train(strict)
    assert found.curve == expected.curve
    assert equal(weights(strict), weights(plain))


def test_a_branch_that_writes_into_a_part_of_its_stream_trains_in_the_same_bits() -> None:
    whole, graph = example(Residual)
    assert isinstance(graph, ChannelGraph)
    gradients = []
    for wanted in (False, True):
        narrow = cut(whole, graph, {"conv2": (1, 4)})
        with only_deterministic(wanted, "cpu"):
            narrow(images(4)).square().sum().backward()
        gradients.append([parameter.grad for parameter in narrow.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
