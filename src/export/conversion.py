"""Moved to arcface_mxnet.engines.conversion; these names stay importable from here."""

from ..engines.conversion import (  # noqa: F401
    checkpoint_to_onnx,
    parse_size,
    to_onnx,
    write_model,
)
