"""Does an exported network give what MXNet gives?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import mxnet as mx
import numpy as np
import onnx
import onnxruntime

from ..align.images import find_images, read_image
from ..training.checkpoints import Params


@dataclass(frozen=True)
class Parity:
    """How near two embeddings of the same images are."""

    REQUIRED: ClassVar[float] = 0.99999  # lowest cosine of a faithful export

    min_cosine: float
    max_difference: float  # as a share of the largest absolute value

    @classmethod
    def of(cls, one: np.ndarray, other: np.ndarray) -> Parity:
        """Return the parity of two sets of embeddings (N, D).  `one` is the reference."""
        one, other = one.astype(np.float64), other.astype(np.float64)
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        cosines = (one * other).sum(axis=1) / np.maximum(lengths, 1e-30)
        difference = np.abs(one - other).max() / max(np.abs(one).max(), 1e-30)
        return cls(float(cosines.min()), float(difference))


def compare(
    symbol: mx.sym.Symbol,
    arg_params: Params,
    aux_params: Params,
    model: onnx.ModelProto,
    rgb_nhwc: np.ndarray,
) -> Parity:
    """Return how near onnxruntime comes to MXNet on crops (N, H, W, 3), uint8 RGB, batch = N.

    A batch in one piece, because a GNAP head mixes the images of a batch.
    """
    data = rgb_nhwc.transpose(0, 3, 1, 2).astype(np.float32)  # (N, 3, H, W)
    expected = run_mxnet(symbol, arg_params, aux_params, data)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (actual,) = session.run(None, {"data": data})
    return Parity.of(expected, actual)


def run_mxnet(
    symbol: mx.sym.Symbol, arg_params: Params, aux_params: Params, data: np.ndarray
) -> np.ndarray:
    """Return the first output of a symbol, outside training, on the CPU.  data: as it takes it."""
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=data.shape)
    executor.copy_params_from(arg_params, aux_params)
    return executor.forward(is_train=False, data=mx.nd.array(data))[0].asnumpy()


def read_crops(folder: str | Path, size: tuple[int, int], *, limit: int) -> np.ndarray:
    """Return up to `limit` images of a folder, found at any depth, as (N, H, W, 3) uint8 RGB.

    size: (height, width).  Taken evenly over the sorted names, so over the people too.
    Raises FileNotFoundError or ValueError as find_images and read_image do, and ValueError for
    an image of another size.
    """
    paths = find_images(folder)
    chosen = np.linspace(0, len(paths) - 1, min(limit, len(paths))).astype(int)
    return np.stack([_read_crop(paths[i], size) for i in chosen])


def _read_crop(path: Path, size: tuple[int, int]) -> np.ndarray:
    image = read_image(path)
    if image.shape[:2] != size:
        raise ValueError(
            f"{path}: {image.shape[0]},{image.shape[1]} pixels, not {size[0]},{size[1]}: "
            "align the photos first"
        )
    return image[:, :, ::-1]
