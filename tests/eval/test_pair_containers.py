"""Another container beside NAME.bin is one registration away."""

from arcface_mxnet.eval.pair_containers import PAIR_CONTAINERS, PairContainer, find_pair_set
from arcface_mxnet.eval.pair_sets import PairSet, read_pair_set, write_pair_set
import numpy as np
import pytest

PAIRS = PairSet([b"a", b"b", b"c", b"d"], np.array([True, False]), paths=list("abcd"))


@pytest.fixture
def npz(monkeypatch):
    """Register a container for as long as a test takes."""

    def read(path):
        with np.load(path) as content:
            return [bytes(image) for image in content["images"]], content["flags"]

    def write(file, images, flags):
        np.savez(file, images=np.array(images), flags=flags)

    monkeypatch.setattr(PAIR_CONTAINERS, "_entries", dict(PAIR_CONTAINERS._entries))
    PAIR_CONTAINERS.register(".aaa")(PairContainer(read, write))


@pytest.mark.usefixtures("npz")
def test_the_ending_decides(tmp_path):
    for name in ("x.aaa", "y.bin", "z.pack"):
        write_pair_set(tmp_path / name, PAIRS)
        again = read_pair_set(tmp_path / name)
        assert (again.images, again.paths) == (PAIRS.images, PAIRS.paths)
        assert again.is_genuine.tolist() == [True, False]
    assert (tmp_path / "x.aaa").read_bytes()[:2] == b"PK"
    assert (tmp_path / "y.bin").read_bytes() == (tmp_path / "z.pack").read_bytes()


@pytest.mark.usefixtures("npz")
def test_a_target_is_found_in_any_container_the_published_one_first(tmp_path):
    assert find_pair_set(tmp_path, "lfw") == tmp_path / "lfw.bin"  # to be named as absent
    write_pair_set(tmp_path / "lfw.aaa", PAIRS)
    assert find_pair_set(tmp_path, "lfw") == tmp_path / "lfw.aaa"
    write_pair_set(tmp_path / "lfw.bin", PAIRS)
    assert find_pair_set(str(tmp_path), "lfw") == tmp_path / "lfw.bin"
