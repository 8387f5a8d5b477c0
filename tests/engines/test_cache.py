"""The cache of converted networks: whole entries, bounded, and never in the way."""

import hashlib
import os

from arcface_mxnet.engines import cache as cache_module
from arcface_mxnet.engines.cache import ConversionCache
import pytest

PRINT = "a" * 64


@pytest.fixture
def cache(tmp_path):
    cache_module._say_once.cache_clear()
    return ConversionCache(tmp_path / "networks")


def test_the_key_names_network_size_and_converter(monkeypatch):
    key = ConversionCache.key(PRINT, (112, 96))
    assert key.startswith(f"{PRINT}-112x96-")
    assert ConversionCache.key(PRINT, None).startswith(f"{PRINT}-any-")
    monkeypatch.setattr(cache_module, "_converter", lambda: "00000000")
    assert ConversionCache.key(PRINT, (112, 96)) != key


def test_an_entry_comes_back_and_its_bytes_are_as_documented(cache):
    cache.store("key", b"model")
    assert cache.load("key") == b"model"
    content = (cache.folder / "key.onnx").read_bytes()
    assert content == hashlib.sha256(b"model").digest() + b"model"
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert cache.load("other") is None


@pytest.mark.parametrize("length", [0, 5, 31, 32, 36])
def test_a_truncated_entry_is_none_and_told(cache, caplog, length):
    cache.store("key", b"model")
    path = cache.folder / "key.onnx"
    path.write_bytes(path.read_bytes()[:length])
    assert cache.load("key") is None
    assert "key.onnx is truncated or damaged" in caplog.text


def test_a_flipped_bit_is_seen(cache):
    cache.store("key", b"model")
    path = cache.folder / "key.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert cache.load("key") is None


def test_what_was_compared_is_known_by_engine_and_forgotten_with_the_entry(cache):
    cache.store("key", b"model")
    assert not cache.was_compared("key", "openvino-1")
    cache.note_compared("key", "openvino-1", {"min_cosine": 1.0})
    assert cache.was_compared("key", "openvino-1")
    assert not cache.was_compared("key", "openvino-2")
    cache.store("key", b"another")
    assert not cache.was_compared("key", "openvino-1")
    cache.note_compared("absent", "openvino-1", {})
    assert not cache.was_compared("absent", "openvino-1")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"is_faithful": false}', "[" * 10**5])
def test_a_damaged_note_counts_as_not_compared(cache, text):
    cache.store("key", b"model")
    (cache.folder / "key.engine.json").write_text(text)
    assert not cache.was_compared("key", "engine")


def test_the_folder_stays_below_its_limit_and_the_unused_go_first(tmp_path):
    cache = ConversionCache(tmp_path, limit=3 * (100 + 32))
    for number, name in enumerate("abc"):
        cache.store(name, bytes([number]) * 100)
        os.utime(tmp_path / f"{name}.onnx", (number, number))
    cache.note_compared("b", "engine", {})
    assert cache.load("a") == b"\0" * 100  # used now
    cache.store("d", b"d" * 100)
    assert sorted(path.stem for path in tmp_path.glob("*.onnx")) == ["a", "c", "d"]
    assert not list(tmp_path.glob("b.*"))
    cache.store("e", b"e" * 230)
    left = {path.stem for path in tmp_path.glob("*.onnx")}
    assert "e" in left and len(left) == 2


def test_part_files_of_dead_writers_are_removed(cache):
    cache.store("a", b"model")
    (cache.folder / "b.onnx.part-0123456789abcdef").write_bytes(b"part")
    cache.store("c", b"model")
    assert sorted(path.name for path in cache.folder.iterdir()) == ["a.onnx", "c.onnx"]


def test_a_model_larger_than_the_cache_is_not_kept(tmp_path, caplog):
    cache_module._say_once.cache_clear()
    cache = ConversionCache(tmp_path, limit=100)
    cache.store("key", b"m" * 200)
    assert cache.load("key") is None and "not kept" in caplog.text


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path, caplog):
    cache_module._say_once.cache_clear()
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    cache = ConversionCache(blocked / "networks")
    for _ in range(3):
        cache.store("key", b"model")
        assert cache.load("key") is None
    assert caplog.text.count("cannot be kept") == 1


def test_a_full_disk_is_told_and_leaves_nothing(cache, caplog, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "replace_file", full)
    cache.store("key", b"model")
    assert "No space left on device" in caplog.text
    assert cache.load("key") is None
