"""Readers of networks of others: torch's checkpoints, .safetensors, ONNX files to import."""

from __future__ import annotations

from pathlib import Path
import tempfile

import numpy as np

from tests.fuzz.network_readers import are_arrays
from tests.fuzz.table import reader

ARRAYS = {
    "conv.weight": np.ones((2, 3, 1, 1), "<f4"), "bn.bias": np.zeros(2, "<f4"),
    "bn.num_batches_tracked": np.array(3, "<i8"),
}  # fmt: skip


def written(name: str, write) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, name), ARRAYS)
        return {name: Path(folder, name).read_bytes()}


def archive_files() -> dict[str, bytes]:
    from arcface_mxnet.export.torch_archive import write_archive

    return written("m.pth", write_archive)


def safetensors_files() -> dict[str, bytes]:
    from arcface_mxnet.importing.safetensors_file import write_safetensors

    return written("m.safetensors", write_safetensors)


def pickled_files() -> dict[str, bytes]:
    """Return the pickle of an archive alone, so that damage hits it and no checksum does."""
    import io
    import zipfile

    (archive,) = archive_files().values()
    return {"data.pkl": zipfile.ZipFile(io.BytesIO(archive)).read("m/data.pkl")}


def torch_arrays(folder: Path) -> dict:
    from arcface_mxnet.importing.torch_file import read_torch

    (path,) = folder.glob("m.*")
    return read_torch(path)


def pickled(folder: Path):
    from arcface_mxnet.importing.torch_pickle import load_torch_pickle

    try:
        return load_torch_pickle((folder / "data.pkl").read_bytes())
    except ValueError as error:  # whoever has the archive names it
        raise ValueError(f"data.pkl: {error}") from None


def onnx_files() -> dict[str, bytes]:
    from tests.importing.foreign import model

    return {"m.onnx": model().SerializeToString()}


def imported(folder: Path):
    from arcface_mxnet.importing.from_onnx import import_onnx

    data, fed = (folder / "m.onnx").read_bytes(), {"mean": (127.5,), "scale": (127.5,)}
    return import_onnx(data, str(folder / "m.onnx"), color="bgr", **fed)


reader("torch-archive", archive_files, "m.pth", torch_arrays, are_arrays, "importing.torch_file")
reader("torch-pickle", pickled_files, "data.pkl", pickled, lambda found: True,
       "importing.torch_pickle", "eval.pair_pickle")  # fmt: skip
reader("safetensors", safetensors_files, "m.safetensors", torch_arrays, are_arrays,
       "importing.safetensors_file")  # fmt: skip
reader("onnx-import", onnx_files, "m.onnx", imported,
       lambda found: len(found.network.fingerprint) == 64, "importing.from_onnx",
       "engines.original", needs=("onnx",))  # fmt: skip
