"""How many values lie where: what an epoch of a search leaves of its gates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BINS = 40


def histogram(values: Tensor) -> dict[str, Any]:
    """Counts of finite values in equal bins: {"low", "high", "counts"}, JSON values.

    The bins cover 0 to 1, where most gates live, and are stretched to what lies outside.

    Args:
        values: [n], on any device.
    """
    known = values.detach().double().cpu()
    known = known[known.isfinite()]
    low, high = (float(end) for end in torch.cat([known, known.new_tensor([0.0, 1.0])]).aminmax())
    counts = torch.histc(known, BINS, low, high)
    return {"low": low, "high": high, "counts": [int(count) for count in counts]}
