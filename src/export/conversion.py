"""Moved to arcface_mxnet.engines.conversion; these names stay importable from here."""

from ..cli import parse_size  # noqa: F401
from ..engines.conversion import (  # noqa: F401
    checkpoint_to_onnx,
    to_onnx,
    write_model,
)
