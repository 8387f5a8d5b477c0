"""Which parts of two binary files differ, so that the table says more than that they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import hashlib
import io
import json
from pathlib import Path
import struct

import numpy as np

Part = tuple[str, str, str]  # place, before, after

# The parameter file as src's writer documents it; read here so that no revision's reader judges.
LIST_MAGIC, ARRAY_MAGIC = 0x112, 0xF993FAC9
TYPES = ("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8")
RECORD = "run:json"  # JSON as bytes, in the last state of a run


def different_parts(name: str, before: bytes, after: bytes) -> list[Part]:
    """Return the parts that differ of two files whose bytes differ: never none.

    Files that cannot be taken apart differ as a whole; where all parts are equal, the place is
    "" and the words say so.
    """
    take_apart = PARTS.get(Path(name).suffix)  # "": property
    sizes = [f"{len(data)} bytes, SHA-256 {_sha256(data)}" for data in (before, after)]
    whole = ("", *sizes)
    if take_apart is None:
        return [whole]
    try:
        parts = take_apart(before), take_apart(after)
    except (ValueError, KeyError, IndexError, struct.error, EOFError, OSError):
        return [whole]
    found = list(_compared(*parts))
    if found:
        return found
    if list(parts[0]) != list(parts[1]):
        return [("order", "the same parts", "in another order")]
    return [("", "every part is equal", "but not the bytes around them")]


def _compared(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[Part]:
    for place in {**before, **after}:
        if place not in before or place not in after:
            yield place, *("there" if place in some else "absent" for some in (before, after))
            continue
        left, right = before[place], after[place]
        if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
            if left.dtype != right.dtype or left.shape != right.shape:
                yield place, *(f"{one.dtype} {one.shape}" for one in (left, right))
            elif left.tobytes() != right.tobytes():
                yield place, *_arrays(left, right)
        elif left != right:
            yield place, str(left), str(right)


def _arrays(before: np.ndarray, after: np.ndarray) -> tuple[str, str]:
    """Return how many values differ, and by how much at most."""
    unequal = before != after
    count = f"{int(unequal.sum())} of {before.size} values differ"
    if before.dtype.kind not in "fiu" or not unequal.any():
        return count, ""
    gap = np.abs(before.astype(np.float64) - after.astype(np.float64)).max()
    largest = np.abs(before.astype(np.float64)).max()
    return count, f"by {gap:.3g} at most; the largest is {largest:.3g}"


def _params(data: bytes) -> dict[str, object]:
    """Return the arrays of a parameter file by name; the JSON record by its keys."""
    magic, _, count = struct.unpack_from("<QQQ", data)
    if magic != LIST_MAGIC:
        raise ValueError("no parameter file")
    at, arrays = 24, []
    for _ in range(count):
        magic, _, ndim = struct.unpack_from("<IiI", data, at)
        if magic != ARRAY_MAGIC:
            raise ValueError("no array")
        shape = struct.unpack_from(f"<{ndim}q", data, at + 12)
        at += 12 + 8 * ndim
        _, _, kind = struct.unpack_from("<iii", data, at)
        size = int(np.prod(shape, dtype=np.int64))
        arrays.append(np.frombuffer(data, TYPES[kind], size, at + 12).reshape(shape))
        at += 12 + arrays[-1].nbytes
    (count,) = struct.unpack_from("<Q", data, at)
    at, parts = at + 8, {}
    for array in arrays[:count]:
        (length,) = struct.unpack_from("<Q", data, at)
        name = data[at + 8 : at + 8 + length].decode()
        at += 8 + length
        parts |= _flat(f"{name}.", json.loads(array.tobytes())) if name == RECORD else {name: array}
    return parts


def _flat(place: str, tree: object) -> dict[str, object]:
    """Return the leaves of a JSON value by their place."""
    if isinstance(tree, dict) and tree:
        return {k: v for key, one in tree.items() for k, v in _flat(f"{place}{key}.", one).items()}
    return {place.rstrip("."): json.dumps(tree)}


def _npy(data: bytes) -> dict[str, object]:
    return {"": np.load(io.BytesIO(data), allow_pickle=False)}


def _npz(data: bytes) -> dict[str, object]:
    return dict(np.load(io.BytesIO(data), allow_pickle=False))


def _onnx(data: bytes) -> dict[str, object]:
    """Return nodes, weights, inputs, outputs and what the file says of itself."""
    import onnx

    try:
        model = onnx.load_from_string(data)
    except Exception as error:  # protobuf's own errors have no common base but this
        raise ValueError(str(error)) from None
    graph = model.graph
    parts: dict[str, object] = {f"node {n.name or n.output[0]}": str(n) for n in graph.node}
    parts |= {f"weight {w.name}": onnx.numpy_helper.to_array(w) for w in graph.initializer}
    parts |= {f"value {v.name}": str(v) for v in (*graph.input, *graph.output, *graph.value_info)}
    parts |= {f"metadata {one.key}": one.value for one in model.metadata_props}
    parts["producer"] = f"{model.producer_name} {model.producer_version}"
    parts["opset"] = str(list(model.opset_import))
    parts["ir_version"] = str(model.ir_version)
    return parts


def _lines(data: bytes) -> dict[str, object]:
    lines = data.decode("utf-8").splitlines(keepends=True)
    return {f"line {number}": line for number, line in enumerate(lines, start=1)}


PARTS: dict[str, Callable[[bytes], dict[str, object]]] = {
    ".params": _params,
    ".npy": _npy,
    ".npz": _npz,
    ".onnx": _onnx,
    **dict.fromkeys((".lst", ".tsv", ".names", ".idx", ""), _lines),
}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
