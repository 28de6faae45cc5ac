"""What sharing stages saves: the paper's VGG16 grid against the same grid, every cell trained by itself.

Read off the plan of `suites/cifar10_vgg.yaml` under the profile `paper`; nothing is trained. A stage of equal content
is one stage: the dense training that all methods of a seed start from, the searches that budgeted cells of DNAL choose
from, equal beginnings of longer schedules. Where a partner's MACs are not known yet, the plan's guess (half of the
whole network's) stands on both sides. `quick` changes nothing: it takes a second.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.lines import Line
from harness.plan.summary import Totals, totals
from harness.store.grid import look
from harness.store.ledger import Ledger
from harness.suite.load import load_suite

BAR = 1.4


def paper_grid() -> Totals:
    """Sums over the grid of the paper's profile, with nothing done yet."""
    suite = load_suite("cifar10_vgg", "paper")
    with tempfile.TemporaryDirectory() as empty:
        chains = look(list(suite.cells), Path(empty), Ledger(Path(empty))).chains
    return totals(chains, (), None, 1, "cpu", 1)


def measure(quick: bool) -> list[Line]:
    """Epochs and training MACs, with and without sharing."""
    del quick
    found = paper_grid()
    grid = f"cifar10_vgg, profile paper, {found.cells} cells"
    return [
        Line(
            f"{grid}: epochs",
            f"{found.epochs_shared:,}",
            f"{found.epochs_unshared:,}",
            found.epochs_unshared / found.epochs_shared,
            f"≥ {BAR}",
            f"{found.stages} different stages",
        ),
        Line(
            f"{grid}: training MACs",
            f"{found.training_macs_shared:.3g}",
            f"{found.training_macs_unshared:.3g}",
            found.training_macs_unshared / found.training_macs_shared,
            "–",
            "a cut network's epoch costs less than one of the dense training that is shared",
        ),
    ]
