"""LResNet-IR and ArcFace on MXNet: records, networks, losses, training, evaluation.

Importing this package makes MXNet 1.9.1 importable and is the one place where its
process-wide settings are decided.  MXNet itself is imported only by the modules that need
it, so reading records, feature files and protocols works without it.
"""

from . import interrupted  # noqa: F401, I001 (before the others)
from importlib.util import find_spec
import os
import warnings

import numpy

from .cores import usable_cores

__version__ = "0.1.0"

# MXNet 1.9.1 reads numpy.bool while it is imported; numpy removed that alias in 1.24, and has had
# a bool of its own since 2.0.
if "bool" not in numpy.__dict__ and find_spec("mxnet"):
    numpy.bool = numpy.bool_

# The oneDNN subgraph backend aborts on some inference graphs ("IsMKLDNNData").  The backend
# "default" groups no operators; unlike "NONE" it does not print a line for every bound graph.
os.environ.setdefault("MXNET_SUBGRAPH_BACKEND", "default")
os.environ.setdefault("MXNET_SUBGRAPH_VERBOSE", "0")

# oneDNN 2.4.4 hands out a primitive of its cache for arrays that differ only in the strides of
# dimensions of size 1.  A BatchNorm of (N, C) then gets that of an earlier (N, C, 1, 1) in NHWC, as
# it comes out of a depthwise convolution over the whole map, and MXNet writes through a null
# pointer: it takes the layout at its word, and an array of two dimensions cannot have it.  MXNet
# keeps its primitives itself; without the second cache a pass takes some milliseconds more.
os.environ.setdefault("DNNL_PRIMITIVE_CACHE_CAPACITY", "0")

# MXNet takes hyper-threading for granted and computes with half as many threads as there are
# processors: on machines without it with half of the cores.
os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))


def _preload_cuda_wheels() -> None:
    """Load the CUDA 11 libraries of the nvidia-*-cu11 wheels, where mxnet-cu112 is installed.

    MXNet links them by bare name and the wheels are on no loader path; once they are in the
    process, the loader takes them from there.  Does nothing for the CPU build.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution("mxnet-cu112")
    except PackageNotFoundError:
        return
    from .cuda import preload

    try:
        preload()
    except OSError as error:  # records, evaluation and onnxruntime do without
        warnings.warn(f"MXNet will not load: {error}", stacklevel=2)


_preload_cuda_wheels()
