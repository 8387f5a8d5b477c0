"""Converted networks kept on disk, so that a network is converted and compared once.

An entry is KEY.onnx in arcface_mxnet/networks/ of the user's cache folder: the SHA-256 of the
model, 32 bytes, and the model.  KEY names the network's fingerprint, the image size and the
converter, so that a new converter converts anew.  KEY.ENGINE.json says that this engine gave what
MXNet gave.  The folder is held below LIMIT bytes; what was not used for longest goes first.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
from pathlib import Path
import time

from ..compiler import user_cache_dir
from ..errors import reason_of
from ..files import replace_file
from ..limits import read_limited

LIMIT = 2 * 10**9  # bytes
LARGEST_NOTE = 1 << 16
DIGEST_SIZE = hashlib.sha256().digest_size
# What decides the bytes of a conversion besides the network.
CONVERTER = (
    "channels.py", "conversion.py", "onnx_graph.py", "operators.py", "pooling.py",
    "../checkpoints/options.py",
    "shape_operators.py",
)  # fmt: skip

logger = logging.getLogger(__name__)


class ConversionCache:
    """The entries of one folder.  A folder that cannot be used is told once and done without."""

    def __init__(self, folder: Path | None = None, limit: int = LIMIT):
        self.folder = folder or user_cache_dir() / "networks"
        self.limit = limit
        self._is_told = False

    @staticmethod
    def key(fingerprint: str, size: tuple[int, int] | None) -> str:
        """Return the name of the entry; size None is a network for images of any size."""
        shape = "any" if size is None else f"{size[0]}x{size[1]}"
        return f"{fingerprint}-{shape}-{_converter()}"

    def load(self, key: str) -> bytes | None:
        """Return the model of an entry, None where there is none or it is damaged (said)."""
        path = self.folder / f"{key}.onnx"
        try:
            content = read_limited(path, LIMIT + DIGEST_SIZE, "converted network")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _say_once(
                f"{path}: cannot be read ({reason_of(error)}); the network is converted again"
            )
            return None
        digest, model = content[:DIGEST_SIZE], content[DIGEST_SIZE:]
        if not model or hashlib.sha256(model).digest() != digest:
            logger.warning("%s is truncated or damaged; the network is converted again", path)
            return None
        self._touch(path)
        return model

    def store(self, key: str, model: bytes) -> None:
        """Keep a model, and make room for it.  What is known of an older one is forgotten."""
        size = len(model) + DIGEST_SIZE
        if size > self.limit:
            _say_once(f"a network of {size} bytes is more than the cache holds; not kept")
            return
        self.drop(key)
        self._make_room(size)
        self._write(self.folder / f"{key}.onnx", hashlib.sha256(model).digest() + model)

    def drop(self, key: str) -> None:
        """Forget an entry and what is known of it."""
        self._remove([self.folder / f"{key}.onnx", *self.folder.glob(f"{key}.*.json")])

    def was_compared(self, key: str, engine: str) -> bool:
        """Return whether this engine has given what MXNet gives, for this entry."""
        try:
            path = self._note(key, engine)
            return bool(json.loads(read_limited(path, LARGEST_NOTE, "note"))["is_faithful"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False

    def note_compared(self, key: str, engine: str, facts: dict) -> None:
        """Remember that it has, with figures for people."""
        try:
            (self.folder / f"{key}.onnx").stat()
        except OSError:
            return  # not kept, or a folder of somebody else
        note = json.dumps(facts | {"is_faithful": True})
        self._write(self._note(key, engine), note.encode())

    def _note(self, key: str, engine: str) -> Path:
        return self.folder / f"{key}.{engine}.json"

    def _make_room(self, size: int) -> None:
        entries = []
        for path in self.folder.glob("*.onnx"):
            try:
                facts = path.stat()
            except OSError:
                continue  # another process made room too
            entries.append((facts.st_mtime, facts.st_size, path))
        held = sum(facts[1] for facts in entries)
        for _, freed, path in sorted(entries):
            if held + size <= self.limit:
                return
            self.drop(path.stem)
            held -= freed

    def _write(self, path: Path, content: bytes) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with replace_file(path) as file:
                file.write(content)
        except OSError as error:
            if self._is_told:
                return
            self._is_told = True
            logger.warning(
                "converted networks cannot be kept in %s (%s); every start converts again.  "
                "XDG_CACHE_HOME names another cache folder",
                self.folder, error.strerror,
            )  # fmt: skip

    @staticmethod
    def _touch(path: Path) -> None:
        """Mark the entry as used.  A folder that is not ours to write to serves all the same."""
        try:
            os.utime(path, (time.time(), time.time()))
        except OSError:
            logger.debug("%s: cannot be marked as used", path)

    @staticmethod
    def _remove(paths: list[Path]) -> None:
        for path in paths:
            if not os.path.lexists(path):
                continue
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                _say_once(f"{path}: cannot be removed ({error.strerror})")


@functools.cache
def _converter() -> str:
    """Return 8 digits that change with the sources of the converter."""
    digest = hashlib.sha256()
    for name in CONVERTER:
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()[:8]


@functools.cache
def _say_once(message: str) -> None:
    logger.warning("%s", message)
