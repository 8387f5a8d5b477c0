"""Checkpoints of torch, .pth, .pt and .safetensors, read without torch.

A .pth of torch 1.6 and later is a zip archive, stored without compression: NAME/data.pkl says
which tensors there are, NAME/data/0, 1, .. hold their numbers.  Older files are one pickle after
another: they are refused, and torch itself makes new ones of them.
Source: torch/serialization.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import errno
import math
import os
from pathlib import Path
from typing import Any
import zipfile

import numpy as np

from ..limits import check_count, shown
from .safetensors_file import LARGEST_FILE, as_floats, read_safetensors
from .torch_pickle import StoredTensor, load_torch_pickle

ZIP, OLD_PICKLE = b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
MOST_MEMBERS = 1 << 16
LARGEST_PICKLE = 1 << 26  # bytes; of a network of 200 layers 200 KB
MOST_GROWTH = 4  # bytes of tensors for one of the file; views may share their numbers
# Where checkpoints keep the network among other things.
NESTS = ("state_dict", "state_dict_backbone", "model_state_dict", "backbone", "model", "net")
MOST_NESTS = 4
RESAVE = (
    "save it anew where torch is: torch.save(torch.load('IN.pth', map_location='cpu', "
    "weights_only=True), 'OUT.pth')"
)


def read_torch(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Return the named arrays of a checkpoint's network: .safetensors, or torch's archive.

    Names as they stand in the file, bfloat16 as float32.  Nothing in the file is run.  Raises
    FileNotFoundError, or ValueError for a file that is none, is damaged or holds anything else
    than names and numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path.absolute()}")
    with path.open("rb") as file:
        head = file.read(len(OLD_PICKLE))
    if head.startswith(ZIP):
        return _read_archive(path)
    if head == OLD_PICKLE:
        raise ValueError(f"{path}: a checkpoint as torch wrote before 1.6, which is not read; "
                         f"{RESAVE}")  # fmt: skip
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        return read_safetensors(path)
    raise ValueError(
        f"{path}: neither an archive of torch 1.6 or later nor .safetensors; it begins with "
        f"{shown(head)}"
    )


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(archive, path.stat().st_size).arrays()
    except (zipfile.BadZipFile, NotImplementedError, EOFError, UnicodeError, RuntimeError,
            OverflowError, OSError) as error:  # fmt: skip
        reason = str(error)[:200] or type(error).__name__
        if isinstance(error, UnicodeError):
            reason = "a name in it is no UTF-8"
        if isinstance(error, OSError):
            if error.errno != errno.EINVAL:
                raise
            reason = "it points outside itself"
        raise ValueError(
            f"{path}: not an archive that can be read, or truncated: {reason}"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class _Archive:
    """The members of an archive, each looked at before it is read."""

    def __init__(self, archive: zipfile.ZipFile, size: int):
        check_count(size, LARGEST_FILE, "a checkpoint", "bytes")
        members = archive.infolist()
        check_count(len(members), MOST_MEMBERS, "an archive", "members")
        total = 0
        for member in members:
            if member.compress_type or member.file_size != member.compress_size:
                raise ValueError(f"its member {shown(member.filename)} is compressed, as torch's "
                                 "are not")  # fmt: skip
            total += member.file_size
        check_count(total, size, "members that overlap,", "bytes")
        self._archive, self._size = archive, size
        self._members = {member.filename: member for member in members}
        pickles = [name for name in self._members if name.endswith("/data.pkl")]
        if len(self._members) < len(members) or len(pickles) != 1:
            raise ValueError(
                f"it holds {len(pickles)} data.pkl, or a name twice; torch's checkpoints hold one"
            )
        self._folder = pickles[0].removesuffix("data.pkl")
        order = self._folder + "byteorder"
        if order in self._members and self._read(order, 16) != b"little":
            raise ValueError("its numbers are not little-endian")
        self._made = 0

    def arrays(self) -> dict[str, np.ndarray]:
        pickled = self._read(f"{self._folder}data.pkl", LARGEST_PICKLE)
        try:
            content = load_torch_pickle(pickled)
        except ValueError as error:
            raise ValueError(f"{self._folder}data.pkl: {error}") from None
        tensors = network_of(content)
        return {name: self._array(tensor) for name, tensor in tensors.items()}

    def _array(self, tensor: StoredTensor) -> np.ndarray:
        dtype = np.dtype(tensor.storage.dtype)
        name = f"{self._folder}data/{tensor.storage.key}"
        raw = self._read(name, tensor.storage.count * dtype.itemsize)
        if len(raw) != tensor.storage.count * dtype.itemsize:
            raise ValueError(f"{name} has {len(raw)} bytes for {tensor.storage.count} numbers")
        values = np.frombuffer(raw, dtype)[tensor.offset :]
        self._made += math.prod(tensor.shape) * dtype.itemsize
        check_count(self._made, MOST_GROWTH * self._size, "tensors", "bytes")
        if 0 in tensor.shape:
            return np.zeros(tensor.shape, np.float32)
        steps = tuple(step * dtype.itemsize for step in tensor.steps)
        view = np.lib.stride_tricks.as_strided(values, tensor.shape, steps, writeable=False)
        return as_floats(np.ascontiguousarray(view).reshape(-1)).reshape(tensor.shape)

    def _read(self, name: str, limit: int) -> bytes:
        member = self._members.get(name)
        if member is None:
            raise ValueError(f"it lacks {shown(name)}, which it needs")
        check_count(member.file_size, limit, f"{name} is", "bytes")
        return self._archive.read(member)


def network_of(content: Any) -> dict[str, StoredTensor]:
    """Return the tensors of a checkpoint's network by name, wherever it keeps them.

    Raises ValueError if there are none, or more than one place they could be.
    """
    for _ in range(MOST_NESTS):
        tensors = dict(_tensors(content))
        if tensors:
            return tensors
        nests = [name for name in NESTS if isinstance(content, dict) and _is_nest(content, name)]
        if len(nests) != 1:
            break
        content = content[nests[0]]
    keys = ", ".join(shown(key) for key in list(content)[:6]) if isinstance(content, dict) else ""
    raise ValueError(
        f"it holds no network: looked for tensors, or one of {', '.join(NESTS)}, in "
        f"{shown(content)}{f' of {keys}' if keys else ''}"
    )


def _is_nest(content: Mapping[Any, Any], name: str) -> bool:
    return isinstance(content.get(name), dict)


def _tensors(content: Any) -> Iterator[tuple[str, StoredTensor]]:
    if isinstance(content, dict):
        for name, value in content.items():
            if isinstance(value, StoredTensor) and isinstance(name, str):
                yield name, value
