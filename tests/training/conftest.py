"""A tiny dataset and a tiny network, so that whole runs take a second."""

from arcface_mxnet.data.records import RecordWriter
from arcface_mxnet.eval.pair_sets import PairSet, write_pair_set
from arcface_mxnet.networks import NETWORKS, Network
import cv2
import mxnet as mx
import numpy as np
import pytest

from tests.training.forked_jobs import Jobs

SIDE, IDENTITIES, IMAGES = 16, 6, 4


def face(identity, image):
    """Return a PNG: a pattern of the identity with noise of the image."""
    pattern = np.random.RandomState(identity).randint(40, 200, (SIDE, SIDE, 3))
    noise = np.random.RandomState(100 * identity + image).randint(-30, 30, pattern.shape)
    return cv2.imencode(".png", (pattern + noise).astype(np.uint8))[1].tobytes()


def write_dataset(folder):
    """Pack identities 0..5 into records, and 6..11 into the pair set held.bin."""
    count = IDENTITIES * IMAGES
    folder.mkdir()
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for number in range(count):
            identity = number // IMAGES
            writer.write(number + 1, [float(identity), 1.0], face(identity, number % IMAGES))
        writer.write(0, [count + 1, count + 1 + IDENTITIES], b"")
        for identity in range(IDENTITIES):
            first = 1 + identity * IMAGES
            writer.write(count + 1 + identity, [first, first + IMAGES], b"")
    (folder / "property").write_text(f"{IDENTITIES},{SIDE},{SIDE}\n")
    held = range(IDENTITIES, 2 * IDENTITIES)
    pairs = [(i, i if genuine else IDENTITIES + (i + 1) % 6) for i in held for genuine in (1, 0)]
    pairs *= 2
    images = [face(identity, side) for pair in pairs for side, identity in enumerate(pair)]
    write_pair_set(folder / "held.bin", PairSet(images, np.array([a == b for a, b in pairs])))


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """Jobs of two machines that MXNet's parameter server joins."""
    found = Jobs(tmp_path_factory.mktemp("said"))
    yield found
    found.close()


@pytest.fixture(scope="session")
def dataset_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "tiny"
    write_dataset(folder)
    return folder


def build_tiny(options):
    data = (mx.sym.Variable("data") - 127.5) * 0.0078125
    net = mx.sym.Convolution(
        data, num_filter=8, kernel=(3, 3), stride=(2, 2), no_bias=True, name="conv0"
    )
    net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn0")
    net = mx.sym.LeakyReLU(net, act_type="prelu", name="relu0")
    net = mx.sym.Dropout(net, p=0.4)
    net = mx.sym.FullyConnected(net, num_hidden=options.emb_size, name="pre_fc1")
    return mx.sym.BatchNorm(net, fix_gamma=True, name="fc1")


def enter_tiny(enter=NETWORKS._entries.__setitem__):
    """Register the network "tiny"."""
    enter("tiny", Network(build_tiny, mx.init.Xavier, frozenset({"emb_size"})))


@pytest.fixture
def tiny(monkeypatch):
    enter_tiny(lambda name, entry: monkeypatch.setitem(NETWORKS._entries, name, entry))


@pytest.fixture
def options(tiny, dataset_dir, tmp_path):
    """Options of a run that takes a second."""
    return {
        "data_dir": str(dataset_dir),
        "prefix": str(tmp_path / "out" / "model"),
        "network": "tiny",
        "emb_size": 8,
        "per_batch_size": 5,
        "target": ("held",),
        "verbose": 4,
        "frequent": 2,
        "lr": 0.01,
        "margin_s": 8.0,
        "margin_m": 0.1,
    }
