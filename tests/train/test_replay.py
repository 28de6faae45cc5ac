"""Steps that are recorded and replayed are the steps that they stand for.

The recorder of these tests computes what it recorded by calling it again, so that all but CUDA's own part is tested.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from harness.channels.gates import insert_gates
from harness.channels.graph import ChannelGraph
from harness.train import loop
from harness.train.rates import Cosine
from harness.train.replay import WARM_STEPS
from harness.train.watch import Stopped, Watch
from tests.train.test_resume import StopAt
from tests.train.tiny import BATCH, equal, loader, network, saving, train, weights

STEPS = WARM_STEPS + 3
"""The last one has fewer images."""
RATES = (0.125, 0.125, 0.0625)
"""The learning rate of a replayed step is a tensor, which holds these exactly."""
IMAGES = BATCH * (STEPS - 1) + 5


class CallAgain:
    """A recorder for devices that record nothing; counts."""

    def __init__(self) -> None:
        self.warmed = self.recorded = self.replayed = 0
        self._act: Callable[[], None] | None = None

    def warm(self, act: Callable[[], None]) -> None:
        self.warmed += 1
        act()

    def record(self, act: Callable[[], None]) -> None:
        assert self._act is None, "a recorder records once"
        self.recorded += 1
        self._act = act

    def replay(self) -> None:
        assert self._act is not None
        self.replayed += 1
        self._act()


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[CallAgain]:
    """All recorders that were made, in order."""
    made: list[CallAgain] = []

    def make(device: torch.device) -> CallAgain:
        assert device.type == "cpu"
        made.append(CallAgain())
        return made[-1]

    monkeypatch.setattr(loop, "CudaRecorder", make)
    return made


def images() -> loop.Source:
    return loop.Source(loader(IMAGES), loader(20, seed=1), 7, BATCH, augment=True)


def both(build: Callable[[], nn.Module] = network, **options: Any) -> tuple[nn.Module, nn.Module]:
    """The same training step by step and replayed; both networks, after their curves were compared."""
    plain, replayed = build(), build()
    expected = train(plain, RATES, images=images(), **options)
    found = train(replayed, RATES, images=images(), cuda_graphs=True, **options)
    assert found.curve == expected.curve
    return plain, replayed


@pytest.mark.parametrize("rebuild_momentum", [True, False])
def test_they_end_in_the_same_bits(rebuild_momentum: bool, recorders: list[CallAgain]) -> None:
    plain, replayed = both(rebuild_momentum=rebuild_momentum)
    assert equal(weights(plain), weights(replayed))
    assert not equal(weights(plain), weights(network()))


def test_every_epoch_is_recorded_once_after_its_first_steps_and_smaller_batches_run_as_they_are(
    recorders: list[CallAgain],
) -> None:
    both()
    assert [(one.warmed, one.recorded, one.replayed) for one in recorders] == [(WARM_STEPS + 1, 1, 2)] * len(RATES)


def test_dropout_draws_anew_in_every_step(recorders: list[CallAgain]) -> None:
    def build() -> nn.Module:
        return nn.Sequential(*network()[:4], nn.Dropout(0.5), network()[4])

    plain, replayed = both(build)
    assert equal(weights(plain), weights(replayed))


def test_frozen_weights_and_statistics_stay_frozen(recorders: list[CallAgain]) -> None:
    made = network()
    start = weights(made)
    train(made, RATES, images=images(), cuda_graphs=True, frozen_batch_norm=True, parameters=list(made[4].parameters()))
    moved = {name for name, tensor in weights(made).items() if not torch.equal(tensor, start[name])}
    assert moved == {"4.weight", "4.bias"}


def test_a_rate_that_falls_at_every_step_is_used_at_every_step(recorders: list[CallAgain]) -> None:
    plain, replayed, constant = network(), network(), network()
    falling = Cosine(0.1, 3, 0, 3)
    expected = train(plain, falling, images=images())
    found = train(replayed, falling, images=images(), cuda_graphs=True)
    train(constant, [0.1] * 3, images=images())
    assert [point["loss"] for point in found.curve] == pytest.approx([point["loss"] for point in expected.curve])
    for name, tensor in weights(plain).items():
        torch.testing.assert_close(weights(replayed)[name], tensor)
    assert not torch.allclose(constant[4].weight, plain[4].weight, atol=1e-3)


def test_gates_that_are_annealed_from_epoch_to_epoch_end_in_the_same_bits(recorders: list[CallAgain]) -> None:
    def searched(**options: Any) -> tuple[nn.Module, dict[str, nn.Parameter]]:
        made, state = network(), {"delta": 1.0}
        graph = ChannelGraph.trace(made, torch.zeros(1, 1, 8, 8))
        gates = insert_gates(made, graph.cuttable(["inner"]), lambda s: torch.sigmoid(state["delta"] * s), 0.0)
        values = list(gates.values())
        train(
            made,
            RATES,
            images=images(),
            parameters=[*values, *made[4].parameters()],
            penalty=lambda: 0.1 * torch.sigmoid(torch.cat(values)).sum(),
            before_epoch=lambda epoch: state.update(delta=10.0 ** (epoch - 1)),
            **options,
        )
        return made, gates

    (plain, expected), (replayed, found) = searched(), searched(cuda_graphs=True)
    assert len(recorders) == len(RATES)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert all(expected[name].abs().max() > 0 for name in expected)
    assert equal(weights(plain), weights(replayed))


def _twice(made: nn.Module, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    logits = made(pixels)
    return logits, 2 * cross_entropy(logits, labels)


def _nothing(*given: object) -> None:
    del given


@pytest.mark.parametrize(
    "call",
    [{"loss": _twice}, {"before_step": _nothing}, {"after_backward": _nothing}, {"after_step": _nothing}],
    ids=lambda call: next(iter(call)),
)
def test_what_a_method_calls_within_a_step_is_called_in_every_step(
    call: dict[str, Any], recorders: list[CallAgain]
) -> None:
    plain, replayed = both(**call)
    assert recorders == []
    assert equal(weights(plain), weights(replayed))


@pytest.mark.parametrize("question", [2, STEPS - 1, STEPS + 4])
def test_a_training_that_was_interrupted_ends_in_the_same_bits(
    question: int, recorders: list[CallAgain], tmp_path: Path
) -> None:
    plain = network()
    train(plain, RATES, images=images(), rebuild_momentum=False)
    options = {"images": images(), "checkpoint": saving(tmp_path), "rebuild_momentum": False, "cuda_graphs": True}
    with pytest.raises(Stopped):
        train(network(), RATES, watch=Watch(should_stop=StopAt(question), checkpoint_seconds=0.0), **options)
    resumed = network()
    train(resumed, RATES, **options)
    assert equal(weights(resumed), weights(plain))
