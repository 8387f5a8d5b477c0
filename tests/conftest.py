"""Fixtures that every test may use."""

import gc
import os
from pathlib import Path

from arcface_mxnet.data.ranges import range_record
from arcface_mxnet.data.records import RecordWriter
import cv2
import numpy as np
import pytest

from tests.report_page import ReportPage

ROOT = Path(__file__).parents[1]
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

# A forked process collects nothing that it was born with: what is left of an engine there would
# wait for ever for threads which only the first process has.
os.register_at_fork(after_in_child=gc.freeze)


@pytest.fixture(scope="session", autouse=True)
def converted_networks(tmp_path_factory):
    """Keep converted networks in a folder of the tests, not in the user's cache."""
    from arcface_mxnet.engines import cache

    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "user_cache_dir", lambda: folder)
        yield folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real faces and original records, or skip."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real faces and original records are absent: no folder {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def models() -> Path:
    """Return the folder of the pretrained networks, fetched once into models/, or skip."""
    pytest.importorskip("onnx")
    from arcface_mxnet.fetch.sources import fetch

    try:
        fetch(["sface", "mtcnn"], ROOT)
    except OSError as error:
        pytest.skip(f"pretrained networks are absent: {error}")
    return ROOT / "models"


SIZE = 16  # pixels; the height and width of the small images


def small_image(key: int, identity: int) -> np.ndarray:
    """Return a random RGB image of which no two are alike, uint8 (SIZE, SIZE, 3)."""
    return np.random.default_rng((key, identity)).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


def encoded(rgb: np.ndarray) -> bytes:
    """Return the PNG of an RGB image: it decodes to the very same pixels."""
    return cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


def write_dataset(folder: Path, identities, *, property_text: str | None = None) -> Path:
    """Pack one small image for each entry of identities, in order, with header and ranges."""
    folder.mkdir(parents=True, exist_ok=True)
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        starts = []
        for key, identity in enumerate(identities, start=1):
            if key == 1 or identity != identities[key - 2]:
                starts.append(key)
            writer.write(key, [identity, 1], encoded(small_image(key, identity)))
        past = len(identities) + 1
        writer.write(0, range_record(past, past + len(starts))[0])
        for number, (first, end) in enumerate(zip(starts, [*starts[1:], past], strict=True)):
            writer.write(past + number, range_record(first, end)[0])
    text = property_text or f"{max(identities) + 1},{SIZE},{SIZE}"
    (folder / "property").write_text(text)
    return folder


def write_plain(folder: Path, identities) -> Path:
    """Pack as im2rec does: one label in the header, keys from 0, no record of ranges."""
    folder.mkdir(parents=True, exist_ok=True)
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key, identity in enumerate(identities):
            writer.write(key, identity, encoded(small_image(key, identity)))
    (folder / "property").write_text(f"{max(identities) + 1},{SIZE},{SIZE}\n")
    return folder


@pytest.fixture
def read_page():
    """Return the function read_page(path) that checks a report and returns what it says."""
    return ReportPage


@pytest.fixture
def make_dataset():
    return write_dataset


@pytest.fixture
def make_plain():
    return write_plain


@pytest.fixture
def image_of():
    return small_image


@pytest.fixture
def encode():
    return encoded


@pytest.fixture(scope="session", name="initialised")
def initialised_fixture():
    """Return the function initialised(name, size, **options)."""
    return initialised


def initialised(name, size=(112, 112), **options):
    """Return (symbol, arg_params, aux_params) of a network as it starts to train.

    The running statistics are random, because those of an untrained network are 0 and 1.
    """
    from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
    from arcface_mxnet.training.initial import initial_params
    import mxnet as mx

    symbol = build_network(name, NetworkOptions(**options))
    mx.random.seed(5)
    shapes = {"data": (1, 3, *size)}
    arg_params, aux_params = initial_params(symbol, shapes, NETWORKS[name].initializer())
    rng = np.random.default_rng(5)
    for key, value in [*arg_params.items(), *aux_params.items()]:
        if key.endswith(("_gamma", "_beta", "_moving_mean", "_moving_var")):
            value += mx.nd.array(rng.uniform(-0.2, 0.2, value.shape))
    return symbol, arg_params, aux_params


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Return "prefix,number" of a training checkpoint: y1, D = 16, with a classifier of 7."""
    from arcface_mxnet.checkpoints.load import save_checkpoint
    import mxnet as mx

    symbol, arg_params, aux_params = initialised("y1", emb_size=16, output="GDC")
    weight = mx.sym.var("fc7_weight")
    logits = mx.sym.FullyConnected(symbol, weight=weight, no_bias=True, num_hidden=7, name="fc7")
    arg_params["fc7_weight"] = mx.nd.random.normal(shape=(7, 16))
    prefix = str(tmp_path_factory.mktemp("model") / "y1")
    save_checkpoint(prefix, 3, mx.sym.SoftmaxOutput(logits, name="softmax"), arg_params, aux_params)
    return f"{prefix},3"


@pytest.fixture
def crops():
    """Return 3 images (N, 112, 112, 3), uint8 RGB: smooth, as photos are."""
    rng = np.random.default_rng(11)
    coarse = rng.integers(0, 256, (3, 7, 7, 3), dtype=np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)
