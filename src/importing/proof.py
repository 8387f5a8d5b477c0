"""Does an imported network give what the file's own engine gives?"""

from __future__ import annotations

import numpy as np

from ..checkpoints.network import StoredNetwork
from ..engines.packages import onnxruntime_module
from ..engines.parity import Parity
from ..engines.reference import run_mxnet
from .from_onnx import Imported

ERRORS_ONLY = 3  # log severity
COMPARED = 8  # crops at most
MOST_OF_SPREAD = 1e-2  # difference of two engines, of that between images
ROUNDING = 1e-5  # and as a share of the largest value, what rounding may make


def compare_with_file(imported: Imported, data: bytes, rgb_nhwc: np.ndarray, source: str) -> Parity:
    """Return how near the network comes to the file, run by onnxruntime as it is fed.

    data: the file's bytes.  rgb_nhwc: uint8 (N, H, W, 3).  Raises ValueError if the file cannot be
    run, or they are not as near as one network must be.
    """
    raw = rgb_nhwc[:COMPARED].transpose(0, 3, 1, 2)  # (N, 3, H, W)
    expected = file_embeddings(imported, data, imported.fed.apply(raw), source)
    return checked(imported.network, raw, expected, source, "onnxruntime makes of the file")


def file_embeddings(imported: Imported, data: bytes, images: np.ndarray, source: str) -> np.ndarray:
    """Return what onnxruntime makes of images as the network is fed them, (N, D)."""
    runtime = onnxruntime_module()
    options = runtime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    try:
        # Its own provider: others do not take every file.
        session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        inputs = {each.name: each for each in session.get_inputs()}
        given = inputs.pop(imported.input)
        # Some files list stored weights as inputs too; what is not read may be anything.
        unread = {name: np.zeros(each.shape, np.float32) for name, each in inputs.items()}
        if imported.is_channels_last:
            images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        if "16" in given.type:
            images = images.astype(np.float16)
        step = imported.batch or len(images)
        whole = [np.resize(images[k : k + step], (step, *images.shape[1:]))
                 for k in range(0, len(images), step)]  # fmt: skip
        found = [
            session.run([imported.output], {given.name: batch, **unread})[0] for batch in whole
        ]
    except Exception as error:  # onnxruntime's own classes have no common base but this
        reason = str(error).strip().splitlines()[0][:300]
        raise ValueError(f"{source}: onnxruntime does not run it, so nothing can be compared: "
                         f"{reason}") from None  # fmt: skip
    rows = np.concatenate([each.reshape(len(each), -1) for each in found])
    return rows[: len(images)].astype(np.float32)


def checked(
    network: StoredNetwork, raw: np.ndarray, expected: np.ndarray, source: str, whose: str
) -> Parity:
    """Return the parity of the network on raw images (N, 3, H, W) with (N, D) expected vectors.

    whose: what they are, for messages.  Raises ValueError if they differ, or are not finite.
    """
    found = run_mxnet(network, raw.astype(np.float32))
    if not (np.isfinite(expected).all() and np.isfinite(found[0]).all()):
        raise ValueError(f"{source}: its embeddings are NaN or infinite; nothing is written")
    parity = Parity.of([expected], found)
    if not (parity.is_faithful and _follows_images(expected, found[0])):
        raise ValueError(
            f"{source}: the symbol does not give what {whose}: {parity}; nothing is written"
        )
    return parity


def _follows_images(expected: np.ndarray, found: np.ndarray) -> bool:
    """Return whether vectors differ by no more than a part of what images make of difference.

    A network that hardly learned gives all images nearly one vector, near which anything is.
    """
    difference, largest = np.abs(found - expected).max(), np.abs(expected).max()
    spread = np.abs(expected - expected.mean(axis=0)).max()
    return bool(difference <= max(MOST_OF_SPREAD * spread, ROUNDING * largest))


def face_like_crops(size: tuple[int, int], count: int) -> np.ndarray:
    """Return smooth random images, uint8 (N, H, W, 3): as bright as photos, and as smooth."""
    rng = np.random.default_rng(17)
    height, width = size
    coarse = rng.integers(0, 256, (count, 8, 8, 3)).astype(np.float32)
    rows, columns = (np.linspace(0, 7, n) for n in (height, width))
    below, right = (np.minimum(p.astype(int), 6) for p in (rows, columns))
    a, b = (rows - below)[:, None, None], (columns - right)[:, None]
    top = coarse[:, below][:, :, right] * (1 - b) + coarse[:, below][:, :, right + 1] * b
    low = coarse[:, below + 1][:, :, right] * (1 - b) + coarse[:, below + 1][:, :, right + 1] * b
    return np.clip(top * (1 - a) + low * a, 0, 255).astype(np.uint8)
