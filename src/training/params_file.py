"""Moved to arcface_mxnet.checkpoints.params, whose read_params() gives numpy's arrays."""

from ..checkpoints.params import read_params, write_params  # noqa: F401
