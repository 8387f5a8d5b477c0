"""The embedder that runs an exported network with onnxruntime instead of MXNet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from ..embedder import ImageEmbedder

# What an exported file must say of itself: with other pixels the embeddings would be wrong.
REQUIRED_METADATA = {"input_range": "0..255", "color_order": "RGB", "layout": "NCHW"}


class OnnxEmbedder(ImageEmbedder):
    """An ONNX file as written by export/to_onnx.py, on the CPU.

    model: path of the file, or its bytes.  threads: 0 takes all cores.
    Raises FileNotFoundError or ValueError if the file is missing, damaged or made by another
    exporter, whose input range and colour order are unknown.
    """

    def __init__(
        self,
        model: str | Path | bytes,
        *,
        batch_size: int = 32,
        flip: bool = True,
        normalize: bool = True,
        threads: int = 0,
    ):
        super().__init__(batch_size, flip, normalize)
        self._name = "the exported network" if isinstance(model, bytes) else str(model)
        if not isinstance(model, bytes):
            if not Path(model).is_file():
                raise FileNotFoundError(f"no ONNX file {Path(model).absolute()}")
            model = Path(model).read_bytes()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors; warnings tell of folded constants
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own classes have no common base but this
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"{self._name}: not an ONNX file that can be run ({reason})") from None
        self._check_metadata()
        (data,) = self._session.get_inputs()
        self._input, self._image_shape = data.name, tuple(data.shape[1:])

    def _check_metadata(self) -> None:
        said = self._session.get_modelmeta().custom_metadata_map
        if any(said.get(key) != value for key, value in REQUIRED_METADATA.items()):
            raise ValueError(
                f"{self._name}: does not say that it takes raw RGB 0..255 in NCHW; export it with "
                "python -m arcface_mxnet.export.to_onnx"
            )

    def forward(self, batch: np.ndarray) -> np.ndarray:
        if batch.shape[1:] != self._image_shape:
            raise ValueError(
                f"images are {batch.shape[2]}x{batch.shape[3]} (height x width); {self._name} "
                f"takes {self._image_shape[1]}x{self._image_shape[2]}"
            )
        return self._session.run(None, {self._input: batch})[0]
