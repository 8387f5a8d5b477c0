"""Which engine embeds: onnxruntime or MXNet.

On a CPU onnxruntime is the faster one (benchmarks/engines.py prints by how much), so it is taken
where it is installed.  On a GPU it is MXNet.
"""

from __future__ import annotations

from importlib.util import find_spec

import mxnet as mx

from ..embedder import Embedder, ImageEmbedder

ENGINES = ("auto", "onnxruntime", "mxnet")


def choose_engine(model: str, engine: str = "auto", ctx: mx.Context | None = None) -> str:
    """Return "onnxruntime" or "mxnet".

    model: checkpoint "prefix,number", or an ONNX file.  Raises ValueError for an engine that
    does not exist, is not installed or cannot run the model.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r}: known are {', '.join(ENGINES)}")
    is_onnx, is_gpu = model.endswith(".onnx"), ctx is not None and ctx.device_type == "gpu"
    has_onnx = all(find_spec(name) for name in ("onnx", "onnxruntime"))
    if engine == "auto":
        engine = "onnxruntime" if is_onnx or (has_onnx and not is_gpu) else "mxnet"
    if engine == "mxnet" and is_onnx:
        raise ValueError(f"{model}: MXNet reads checkpoints PREFIX,NUMBER, not ONNX files")
    if engine == "onnxruntime" and is_gpu:
        other = "a checkpoint PREFIX,NUMBER" if is_onnx else "engine mxnet"
        raise ValueError(f"engine onnxruntime runs on the CPU here; for a GPU give {other}")
    if engine == "onnxruntime" and not has_onnx:
        raise ValueError("engine onnxruntime is not installed: pip install onnx onnxruntime")
    return engine


def open_embedder(
    model: str,
    engine: str = "auto",
    ctx: mx.Context | None = None,
    *,
    size: tuple[int, int] = (112, 112),
    batch_size: int = 32,
    flip: bool = True,
    normalize: bool = True,
) -> ImageEmbedder:
    """Return an embedder of a checkpoint "prefix,number" or an ONNX file, on the chosen engine.

    size: (height, width) of the crops.  For onnxruntime a checkpoint is exported in memory.
    Raises FileNotFoundError or ValueError as the embedders and choose_engine do.
    """
    options = {"batch_size": batch_size, "flip": flip, "normalize": normalize}
    if choose_engine(model, engine, ctx) == "mxnet":
        return Embedder(model, ctx, **options)
    from .onnx_embedder import OnnxEmbedder  # onnxruntime is an extra

    if model.endswith(".onnx"):
        return OnnxEmbedder(model, **options)
    from .conversion import checkpoint_to_onnx

    return OnnxEmbedder(checkpoint_to_onnx(model, size).SerializeToString(), **options)
