"""Write a .pth that torch.load reads, without torch: the archive of torch 1.6 and later.

A zip archive, nothing compressed: NAME/data.pkl, an OrderedDict of tensors, each a storage of its
own; NAME/byteorder; NAME/data/0, 1, ..; NAME/version.  Source: torch/serialization.py.
"""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path
import pickle
import struct
import zipfile

import numpy as np

from ..files import replace_file

STORAGES = {np.dtype("<f4"): "FloatStorage", np.dtype("<i8"): "LongStorage"}
VERSION, ORDERED = b"3\n", b"ccollections\nOrderedDict\n" + pickle.EMPTY_TUPLE + pickle.REDUCE


def write_archive(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays, float32 or int64, complete or not at all."""
    folder = Path(path).stem or "archive"
    arrays = {name: np.require(array, requirements="C") for name, array in arrays.items()}
    with replace_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, data: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}"), data)

        add("data.pkl", _pickled(arrays))
        add("byteorder", b"little")
        for number, array in enumerate(arrays.values()):
            add(f"data/{number}", array.tobytes())
        add("version", VERSION)


def _pickled(arrays: Mapping[str, np.ndarray]) -> bytes:
    parts = [pickle.PROTO + b"\x02", ORDERED, pickle.MARK]
    for number, (name, array) in enumerate(arrays.items()):
        steps = [step // array.itemsize for step in array.strides]
        storage = [
            _text("storage"), f"ctorch\n{STORAGES[array.dtype]}\n".encode(), _text(str(number)),
            _text("cpu"), _integer(array.size),
        ]  # fmt: skip
        parts += [
            _text(name), b"ctorch._utils\n_rebuild_tensor_v2\n",
            _tuple([
                _tuple(storage) + pickle.BINPERSID, _integer(0), _tuple(map(_integer, array.shape)),
                _tuple(map(_integer, steps)), pickle.NEWFALSE, ORDERED,
            ]),
            pickle.REDUCE,
        ]  # fmt: skip
    return b"".join([*parts, pickle.SETITEMS, pickle.STOP])


def _tuple(parts) -> bytes:
    return pickle.MARK + b"".join(parts) + pickle.TUPLE


def _text(text: str) -> bytes:
    raw = text.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(raw)) + raw


def _integer(value: int) -> bytes:
    return pickle.BININT + struct.pack("<i", value)
