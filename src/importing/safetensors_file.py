"""Read and write .safetensors files: named arrays, and nothing that could run.

Bytes: uint64 length of the header (little endian), the header, the numbers.  Header, JSON: by name
{"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, offsets from the end of the header;
they cover the rest of the file, one after the other.  "__metadata__" holds texts.
Source: the format's description in github.com/huggingface/safetensors.
"""

from __future__ import annotations

from collections.abc import Mapping
import json
import math
import os
from pathlib import Path
import struct
from typing import Any

import numpy as np

from ..files import replace_file
from ..limits import check_count, parse_json, read_limited, shown

LARGEST_FILE = 1 << 33  # bytes
LARGEST_HEADER = 1 << 24  # bytes; a network of 200 layers has 200 KB
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<V2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
METADATA = "__metadata__"
FIELDS = {"dtype", "shape", "data_offsets"}
ALIGNMENT = 8  # of the header's length, with spaces at its end


def read_safetensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Return the named arrays of a file; bfloat16 as float32.

    Raises FileNotFoundError, or ValueError that says what of the file does not fit.
    """
    data = read_limited(path, LARGEST_FILE, ".safetensors file")
    where = f"{path}: not a .safetensors file that can be read"
    if len(data) < 8:
        raise ValueError(f"{where}: it has {len(data)} bytes")
    (length,) = struct.unpack_from("<Q", data)
    if length > len(data) - 8:
        raise ValueError(
            f"{where}: its header should have {length} bytes, {len(data) - 8} follow: truncated?"
        )
    check_count(length, LARGEST_HEADER, f"{where}: a header", "bytes")
    header = parse_json(data[8 : 8 + length].rstrip(b" "), str(path), "the header of .safetensors")
    if not isinstance(header, dict):
        raise ValueError(f"{where}: its header is no object")
    body = memoryview(data)[8 + length :]
    places = {
        name: _place(entry, len(body), f"{where}: tensor {shown(name)}")
        for name, entry in header.items()
        if name != METADATA
    }
    at = 0
    for name, (_, _, begin, end) in sorted(places.items(), key=lambda item: item[1][2:]):
        if begin != at:
            raise ValueError(f"{where}: tensor {shown(name)} begins at {begin}, not at {at}")
        at = end
    if at != len(body):
        raise ValueError(f"{where}: its tensors end at byte {at} of {len(body)}")
    return {
        name: as_floats(np.frombuffer(body[begin:end], dtype)).reshape(shape)
        for name, (dtype, shape, begin, end) in places.items()
    }


def as_floats(values: np.ndarray) -> np.ndarray:
    """Return numbers that numpy knows: bfloat16, kept as pairs of bytes, as float32."""
    if values.dtype.kind != "V":
        return values
    return (values.view("<u2").astype("<u4") << 16).view("<f4")


def write_safetensors(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays, float32 or int64, complete or not at all."""
    names = {np.dtype("<f4"): "F32", np.dtype("<i8"): "I64"}
    header: dict[str, Any] = {METADATA: {"format": "pt"}}
    at = 0
    for name, array in arrays.items():
        end = at + array.nbytes
        header[name] = {
            "dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": [at, end]
        }  # fmt: skip
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with replace_file(Path(path)) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).tobytes())


def _place(entry: Any, size: int, where: str) -> tuple[str, tuple[int, ...], int, int]:
    """Return dtype, shape, begin and end of a tensor, each checked."""
    if not isinstance(entry, dict) or entry.keys() != FIELDS:
        raise ValueError(f"{where} has not exactly {', '.join(sorted(FIELDS))}")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in DTYPES:
        raise ValueError(f"{where} is of type {shown(kind)}; read are {', '.join(DTYPES)}")
    if not _are_counts(shape) or len(shape) > 16 or not _are_counts(offsets) or len(offsets) != 2:
        raise ValueError(f"{where} has a shape or offsets that are no counts")
    begin, end = offsets
    wanted = math.prod(shape) * np.dtype(DTYPES[kind]).itemsize
    if not begin <= end <= size or end - begin != wanted:
        raise ValueError(
            f"{where}: bytes {begin} to {end} of {size}, its shape {shown(str(shape))} takes "
            f"{shown(wanted)}"
        )
    return DTYPES[kind], tuple(shape), begin, end


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(n) is int and 0 <= n < 1 << 48 for n in values)
