"""Fast and repeatable steps against plain ones, on a GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.channels.gates import insert_gates
from harness.channels.graph import ChannelGraph
from harness.data.catalogue import data_set
from harness.data.loader import DeviceLoader
from harness.train.compiled import missing_compiler
from harness.train.device import check_device, has_bfloat16, only_deterministic
from harness.train.loop import Progress, Source, Step, train_epochs
from harness.train.rates import Cosine, Rates
from tests.train.tiny import BATCH, RATES, equal, network, weights

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

DEVICE = "cuda"


def source() -> Source:
    """Eight batches of noise on the GPU, the last one smaller."""
    seeded = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (7 * BATCH + 5, 8, 8, 1), generator=seeded, dtype=torch.uint8)
    labels = torch.randint(0, 3, (len(pixels),), generator=seeded)
    return Source(DeviceLoader(pixels, labels, data_set("digits"), DEVICE), None, 7, BATCH, augment=True)


def train(made: nn.Module, rates: Rates = RATES, **options: Any) -> Progress:
    parameters = options.pop("parameters", list(made.parameters()))
    before_epoch = options.pop("before_epoch", None)
    step = Step(parameters, 0.9, 5e-4, **options)
    return train_epochs(made, step, source(), rates, stage="finetune", before_epoch=before_epoch)


def on_gpu() -> nn.Module:
    return network().to(DEVICE, memory_format=torch.channels_last)


def check_alike(one: nn.Module, other: nn.Module) -> None:
    for name, tensor in weights(one).items():
        torch.testing.assert_close(weights(other)[name], tensor, rtol=1e-4, atol=1e-5)
    assert not equal(weights(one), weights(on_gpu()))


@pytest.mark.parametrize("rates", [RATES, Cosine(0.1, 3, 0, 3)], ids=["by the epoch", "by the step"])
@pytest.mark.parametrize("rebuild_momentum", [True, False])
def test_recorded_steps_train_to_the_weights_of_plain_ones(rates: Rates, rebuild_momentum: bool) -> None:
    plain, replayed = on_gpu(), on_gpu()
    expected = train(plain, rates, rebuild_momentum=rebuild_momentum)
    found = train(replayed, rates, rebuild_momentum=rebuild_momentum, cuda_graphs=True)
    assert [point["loss"] for point in found.curve] == pytest.approx([point["loss"] for point in expected.curve], 1e-4)
    check_alike(plain, replayed)


def test_a_recorded_search_anneals_its_gates() -> None:
    def searched(**options: Any) -> tuple[nn.Module, list[Tensor]]:
        made, state = network(), {"delta": 1.0}
        graph = ChannelGraph.trace(made, torch.zeros(1, 1, 8, 8))
        made.to(DEVICE)
        gates = insert_gates(made, graph.cuttable(["inner"]), lambda s: torch.sigmoid(state["delta"] * s), 0.0)
        values = list(gates.values())
        train(
            made,
            parameters=[*values, *made[4].parameters()],
            penalty=lambda: 0.1 * torch.sigmoid(torch.cat(values)).sum(),
            before_epoch=lambda epoch: state.update(delta=10.0 ** (epoch - 1)),
            **options,
        )
        return made, [each.detach() for each in values]

    (_, expected), (_, found) = searched(), searched(cuda_graphs=True)
    for one, other in zip(expected, found, strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5)


def test_dropout_of_recorded_steps_is_a_function_of_the_seed() -> None:
    def trained() -> nn.Module:
        made = nn.Sequential(*network()[:4], nn.Dropout(0.5), network()[4]).to(DEVICE)
        train(made, cuda_graphs=True)
        return made

    check_alike(trained(), trained())


@pytest.mark.skipif(missing_compiler(DEVICE) is not None, reason="torch.compile needs Triton on a GPU")
@pytest.mark.parametrize("cuda_graphs", [False, True])
def test_compiled_steps_train_to_the_weights_of_plain_ones(cuda_graphs: bool) -> None:
    plain, fast = on_gpu(), on_gpu()
    train(plain)
    train(fast, compile=True, cuda_graphs=cuda_graphs)
    check_alike(plain, fast)


def test_deterministic_trainings_end_in_the_same_bits() -> None:
    found = []
    for _ in range(2):
        made = on_gpu()
        with only_deterministic(True, DEVICE):
            train(made)
        found.append(weights(made))
    assert equal(*found)


def test_bfloat16_is_native_from_compute_capability_8_on() -> None:
    assert has_bfloat16(DEVICE) is (torch.cuda.get_device_capability()[0] >= 8)


def test_a_gpu_records_graphs() -> None:
    check_device({"cuda_graphs": True}, DEVICE)
