"""An ONNX model opened by onnxruntime, with the provider and the precision that were asked for.

On a CPU that is OpenVINO's provider where the package has it, else onnxruntime's own; on a GPU
CUDA's.  OpenVINO computes in bfloat16 by itself where the processor can, and falls back to
another provider without an exception, so precision is set and the provider looked at, always.
"""

from __future__ import annotations

from collections.abc import Mapping
import functools
import json
import logging
import threading
from types import ModuleType
from typing import Any

import numpy as np

from ..cores import num_threads
from .packages import has_bfloat16, has_onnxruntime, onnxruntime_module
from .signal_stack import kept_signal_stack

DTYPES = ("float32", "bfloat16")
OPENVINO, CUDA, CPU = "OpenVINOExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"
SHOWN = {OPENVINO: "OpenVINO", CUDA: "CUDA", CPU: "CPU provider"}
# Layers prepared for a size that OpenVINO keeps: 5,000 unless told.  For PNet over 1,000 photos of
# 1,000 sizes 479 MB become 272, as fast; with none kept 210, more slowly.
PREPARED = 200
ERRORS_ONLY, NOTHING = 3, 4  # log severities; warnings tell of folded constants

logger = logging.getLogger(__name__)


class Session:
    """One model, one device; safe to share between threads, which take turns.

    model: the bytes of an ONNX file.  gpu: CUDA's number, -1 for the CPU.  dtype: what products
    are computed in; inputs and outputs are float32 all the same.  name: of the model, for messages.
    plain: by onnxruntime's own kernels on the CPU; is_plain: whether they run it.
    any_size: its images have many sizes, so what is prepared for each is kept for few of them.
    provider: which one runs it, for people.  metadata: what the file says of itself.
    inputs, output_shapes: shape by name, with a name or None for a length that is free;
    input_types: onnxruntime's words, such as "tensor(float)".
    Raises ValueError if the bytes are no model that can be run, or device or dtype cannot be had.
    """

    def __init__(
        self,
        model: bytes,
        *,
        gpu: int = -1,
        dtype: str = "float32",
        name: str = "model",
        any_size: bool = False,
        plain: bool = False,
    ):
        runtime = onnxruntime_module()
        wanted = provider(gpu, dtype)
        if plain:
            wanted = CPU
        if wanted == CUDA:
            runtime.preload_dlls()  # CUDA and cuDNN of their wheels, which are on no loader path
        if wanted == OPENVINO and b"QuantizeLinear" in model:
            if dtype != "float32":
                raise ValueError(f"{name}: an INT8 network has no {dtype}; leave --dtype out")
            wanted = CPU  # measured: on INT8 networks OpenVINO is the slower one
        self._session = self._opened(
            runtime, model, wanted, _options(wanted, gpu, dtype, any_size), name,
            may_fall_back=wanted == OPENVINO and dtype == "float32",
        )  # fmt: skip
        found = self._session.get_providers()[0]
        if found != wanted:
            self._fell_back(wanted, found, dtype, name)
        self.provider, self.is_plain = SHOWN.get(found, found), found == CPU
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.inputs = {i.name: tuple(i.shape) for i in self._session.get_inputs()}
        self.input_types = {i.name: i.type for i in self._session.get_inputs()}
        self.output_shapes = {o.name: tuple(o.shape) for o in self._session.get_outputs()}
        self.outputs = list(self.output_shapes)
        self._lock = threading.Lock()

    @staticmethod
    def _opened(
        runtime: ModuleType,
        model: bytes,
        wanted: str,
        own: dict[str, str],
        name: str,
        *,
        may_fall_back: bool,
    ) -> Any:
        """Return onnxruntime's session.  What OpenVINO cannot read, the CPU provider may.

        own: options of the provider.
        """
        options = runtime.SessionOptions()
        options.intra_op_num_threads = num_threads()
        options.log_severity_level = NOTHING if may_fall_back else ERRORS_ONLY
        try:
            with kept_signal_stack():
                return runtime.InferenceSession(model, options, providers=[(wanted, own)])
        except Exception as error:  # onnxruntime's own classes have no common base but this
            if may_fall_back:
                return Session._opened(runtime, model, CPU, {}, name, may_fall_back=False)
            reason = str(error).strip().splitlines()[0]
            if isinstance(error, UnicodeDecodeError):  # of its message, which quotes the file
                reason = "a name in it is not UTF-8"
            raise ValueError(f"{name}: not an ONNX file that can be run ({reason})") from None

    def _fell_back(self, wanted: str, found: str, dtype: str, name: str) -> None:
        what = f"{name}: {SHOWN[wanted]} does not take this network or device"
        if wanted == CUDA or dtype != "float32":
            raise ValueError(f"{what}, so {dtype} cannot be had there")
        logger.warning("%s; onnxruntime's %s runs it, slower", what, SHOWN.get(found, found))

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Return all outputs, in order.  Raises ValueError if the inputs do not fit the model."""
        with self._lock:
            try:
                return self._session.run(None, dict(inputs))
            except Exception as error:
                shapes = {name: array.shape for name, array in inputs.items()}
                reason = str(error).strip().splitlines()[0]
                raise ValueError(f"the network does not take {shapes}: {reason}") from None


def has_cuda_provider() -> bool:
    """Return whether the onnxruntime that is installed, if any, knows GPUs."""
    return has_onnxruntime() and CUDA in onnxruntime_module().get_available_providers()


def fastest_dtype(gpu: int) -> str:
    """Return "bfloat16" where a device can be asked for it, else "float32"."""
    has_library = gpu < 0 and has_bfloat16() and has_onnxruntime()
    if has_library and OPENVINO in onnxruntime_module().get_available_providers():
        return "bfloat16"
    return "float32"


@functools.cache
def provider(gpu: int, dtype: str) -> str:
    """Return the name of the provider for a device.  Raises ValueError if there is none."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r}: known are {', '.join(DTYPES)}")
    available = onnxruntime_module().get_available_providers()
    if gpu >= 0:
        if dtype != "float32":
            raise ValueError(f"--dtype {dtype}: on a GPU onnxruntime computes in float32 here")
        if CUDA not in available:
            raise ValueError(
                f"GPU {gpu}: this onnxruntime has no CUDA provider ({', '.join(available)}); "
                "install the extra alone: pip install 'arcface_mxnet[gpu]'"
            )
        return CUDA
    if dtype == "bfloat16":
        if not has_bfloat16():
            raise ValueError(
                "--dtype bfloat16: this processor does not multiply bfloat16 (it has neither "
                "avx512_bf16 nor amx_bf16); leave --dtype out for float32"
            )
        if OPENVINO not in available:
            raise ValueError(
                "--dtype bfloat16 needs OpenVINO's provider: pip install onnxruntime-openvino in "
                "place of the onnxruntime that is installed"
            )
    return OPENVINO if OPENVINO in available else CPU


def _options(name: str, gpu: int, dtype: str, any_size: bool) -> dict[str, str]:
    if name == CUDA:
        return {"device_id": str(gpu), "use_tf32": "0"}
    if name != OPENVINO:
        return {}
    options = {"device_type": "CPU", "num_of_threads": str(num_threads())}
    settings = {}  # OpenVINO's own
    if dtype == "float32":
        options["precision"] = "FP32"
    else:
        settings["INFERENCE_PRECISION_HINT"] = "bf16"  # the option "precision" knows no bf16
    if any_size:
        settings["CPU_RUNTIME_CACHE_CAPACITY"] = str(PREPARED)
    return options | ({"load_config": json.dumps({"CPU": settings})} if settings else {})
