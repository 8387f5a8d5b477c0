"""Fingerprints: which file a figure was measured on."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ..training.checkpoints import params_path, split_checkpoint


def file_fingerprint(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def model_fingerprint(model: str) -> str:
    """Return the SHA-256 of an ONNX file or of a checkpoint's parameters.

    Raises FileNotFoundError or ValueError as load_checkpoint() does.
    """
    path = Path(model) if model.endswith(".onnx") else params_path(*split_checkpoint(model))
    if not path.is_file():
        raise FileNotFoundError(f"model {model!r}: no file {path.absolute()}")
    return file_fingerprint(path)
