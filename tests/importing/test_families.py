"""Every family of networks here, exported without what says whose it is, and imported."""

from functools import partial

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from arcface_mxnet.engines.conversion import convert  # noqa: E402
from arcface_mxnet.engines.original import PARAMETERS, SYMBOL  # noqa: E402
from arcface_mxnet.importing.from_onnx import import_onnx  # noqa: E402
from arcface_mxnet.importing.proof import compare_with_file, face_like_crops, file_embeddings  # noqa: E402
from arcface_mxnet.networks import NETWORKS, Network, inception_resnet  # noqa: E402
from arcface_mxnet.networks.dpn import Plan, build_dpn  # noqa: E402
from arcface_mxnet.networks.initializers import gaussian_out  # noqa: E402
from arcface_mxnet.networks.resnet import BASIC, BOTTLENECK, build_resnet  # noqa: E402

from tests.importing.settled import settled  # noqa: E402

SMALL, WHOLE = (32, 32), (112, 112)
# The families whose smallest networks are large, with as few units as show each kind of them.
SHORT = {
    "r-short": partial(build_resnet, (1, 1, 1, 1), BASIC),
    "r-wide": partial(build_resnet, (1, 1, 1, 1), BOTTLENECK),
    "p-short": partial(build_dpn, Plan(32, 8, (1, 2, 1, 1), (8, 8, 8, 8))),
}
USES = frozenset({"emb_size", "se", "input", "output", "unit", "act"})
CASES = [
    ("r18", SMALL, {}),
    ("r-short", SMALL, {"unit": "1", "output": "GNAP", "act": "relu"}),
    ("r-short", SMALL, {"unit": "2", "output": "GAP", "se": 1}),
    ("r-short", SMALL, {"input": 0, "output": "F"}),
    ("r-short", SMALL, {"input": 2, "output": "D"}),
    ("r-wide", SMALL, {"unit": "3_x", "output": "SFC"}),
    ("y1", WHOLE, {"output": "GDC"}),
    ("m1", SMALL, {"multiplier": 0.125}),
    ("m05", SMALL, {}),
    ("m2", SMALL, {}),
    ("s20", SMALL, {}),
    ("p-short", SMALL, {}),
    ("d121", SMALL, {}),
    ("i2", (80, 80), {}),
]


def test_every_family_is_here():
    assert (
        {name[0] for name in NETWORKS.names()} == {name[0] for name, _, _ in CASES} == {*"rymspdi"}
    )


@pytest.fixture(autouse=True)
def short(monkeypatch):
    for name, build in SHORT.items():
        monkeypatch.setitem(NETWORKS._entries, name, Network(build, gaussian_out, USES))
    monkeypatch.setattr(inception_resnet, "range", lambda count: [0], raising=False)


@pytest.mark.parametrize(("name", "size", "options"), CASES)
def test_it_comes_back(initialised, name, size, options):
    network = settled(*initialised(name, size, emb_size=16, **options), size)
    crops = face_like_crops(size, 2)
    for fold in (False,) if name in ("i2", "s20", "r18", "d121") else (False, True):
        made = convert(network, size, fold=fold)
        kept = [fact for fact in made.metadata_props if fact.key not in (SYMBOL, PARAMETERS)]
        del made.metadata_props[:]
        made.metadata_props.extend(kept)
        data = made.SerializeToString()
        imported = import_onnx(data, name)
        assert compare_with_file(imported, data, crops, name).max_difference < 1e-4
        raw = crops.transpose(0, 3, 1, 2)
        vectors = file_embeddings(imported, data, imported.fed.apply(raw), name)
        assert np.ptp(vectors, axis=0).max() > 0.01 * np.abs(vectors).max()  # images differ
        if not fold and name != "s20":  # whose convolutions have biases of their own
            assert imported.restored == []
            assert imported.network.parameters.keys() == network.parameters.keys()
            for key, value in imported.network.parameters.items():
                if not key.endswith("gamma"):  # fixed ones are written as 1
                    np.testing.assert_array_equal(value, network.parameters[key])
