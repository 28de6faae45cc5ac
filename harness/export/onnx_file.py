"""A cut network as ONNX, checked against onnxruntime before it is said to be written."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor

from harness.errors import UserError
from harness.export.stored import StoredNetwork
from harness.store.atomic import write_bytes

TOLERANCE = 1e-4
"""Largest difference of a logit that is allowed, as a share of the largest logit."""

_MISSING = "ONNX needs packages that are not installed; install the extra: pip install 'nas-harness[onnx]'"


def write_onnx(stored: StoredNetwork, example: Tensor, path: Path) -> float:
    """Writes the network for batches of any size; gives the largest difference that onnxruntime's logits have.

    Args:
        example: one image [1, C, H, W].
        path: replaced as a whole, and only if the check holds.

    Returns:
        The largest absolute difference over the largest absolute logit, on random images.

    Raises:
        UserError: onnx, onnxscript or onnxruntime is missing, the network cannot be exported, or its logits differ by
            more than `TOLERANCE`.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"{_MISSING} ({error})") from None
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, *example.shape[1:], generator=generator)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    stored.network,
                    (images,),
                    str(file),
                    input_names=["images"],
                    output_names=["logits"],
                    dynamic_shapes=({0: torch.export.Dim("batch")},),
                    external_data=False,
                    verbose=False,
                )
        except Exception as error:
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            raise UserError(f"{stored.cell.label} cannot be exported to ONNX: {text}") from None
        content = file.read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in (images, images[:1]):
        with torch.inference_mode():
            ours = stored.network(batch)
        theirs = torch.from_numpy(session.run(["logits"], {"images": batch.numpy()})[0])
        worst = max(worst, float((ours - theirs).abs().max() / ours.abs().max()))
    if not worst <= TOLERANCE:
        raise UserError(f"{stored.cell.label}: onnxruntime's logits differ by {worst:.1e} of the largest one")
    write_bytes(path, content)
    return worst
