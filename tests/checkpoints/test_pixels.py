"""Whether a network scales its pixels, for every published one and for those cut off."""

import logging

from arcface_mxnet.checkpoints.graph import parse_graph
from arcface_mxnet.checkpoints.load import save_checkpoint
from arcface_mxnet.checkpoints.pixels import pixel_scaling, raw_pixel_layer, tell_of_raw_pixels
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.export import to_onnx
from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
from arcface_mxnet.training.half import half_precision
import mxnet as mx
import pytest

data = mx.sym.Variable("data")


def graph_of(symbol, source="test"):
    return parse_graph(symbol.tojson(), source)


def conv(body):
    return mx.sym.Convolution(body, num_filter=4, kernel=(3, 3), name="conv0")


def test_every_published_network_scales():
    count = 0
    for name, entry in NETWORKS._entries.items():
        for stem in (0, 1, 2) if "input" in entry.uses else (1,):
            try:
                symbol = build_network(name, NetworkOptions(input=stem, emb_size=512))
            except ValueError:  # no such stem
                continue
            assert raw_pixel_layer(graph_of(symbol)) is None, (name, stem)
            assert raw_pixel_layer(graph_of(half_precision(symbol))) is None, (name, stem)
            count += 1
    assert count >= 60


@pytest.mark.parametrize(
    "body",
    [
        data,
        mx.sym.identity(data),
        mx.sym.Cast(data, dtype="float16"),
        mx.sym.transpose(data, axes=(0, 1, 3, 2)),
        mx.sym.concat(*reversed(list(mx.sym.split(data, num_outputs=3, axis=1))), dim=1),
        mx.sym.Pooling(data, kernel=(2, 2), pool_type="max"),
        data * 1,
        data - 0,
    ],
)
def test_what_hands_pixels_on_as_they_come(body):
    assert raw_pixel_layer(graph_of(conv(body))) == "conv0"


@pytest.mark.parametrize(
    "body",
    [
        data - 127.5,
        data * 0.0078125,
        data / 255,
        127.5 - data,
        mx.sym.BatchNorm(data, name="bn_data"),
        mx.sym.BatchNorm(mx.sym.identity(data), name="bn_data"),
        mx.sym.broadcast_sub(data, mx.sym.Variable("mean")),
        mx.sym.broadcast_mul(mx.sym.identity(data), mx.sym.Variable("scale")),
        mx.sym.InstanceNorm(data, name="in0"),
    ],
)
def test_what_scales(body):
    assert raw_pixel_layer(graph_of(conv(body))) is None


def test_one_raw_branch_is_enough():
    both = conv(data * 0.1) + mx.sym.Convolution(data, num_filter=4, kernel=(3, 3), name="other")
    assert raw_pixel_layer(graph_of(both)) == "other"
    flat = mx.sym.FullyConnected(data, num_hidden=2, name="dense")
    assert raw_pixel_layer(graph_of(flat)) == "dense"


@pytest.fixture
def unscaled(tmp_path):
    """Return a checkpoint whose scaling was cut off."""
    net = mx.sym.Flatten(mx.sym.Convolution(data, num_filter=4, kernel=(3, 3), name="conv0"))
    symbol = mx.sym.FullyConnected(net, num_hidden=2, name="fc1")
    shapes = dict(
        zip(symbol.list_arguments(), symbol.infer_shape(data=(1, 3, 8, 8))[0], strict=True)
    )
    args = {name: mx.nd.ones(shape) for name, shape in shapes.items() if name != "data"}
    save_checkpoint(str(tmp_path / "cut"), 1, symbol, args, {})
    return f"{tmp_path / 'cut'},1"


def test_the_embedder_tells_once(unscaled, caplog):
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        Embedder(unscaled)
    told = [text for text in caplog.messages if "hands raw pixels" in text]
    assert len(told) == 1
    assert unscaled in told[0] and "'conv0'" in told[0] and "LFW" not in told[0]


def test_the_export_tells(unscaled, caplog, tmp_path):
    caplog.set_level(logging.WARNING)
    to_onnx.main(["--model", unscaled, "--image-size", "8,8", "--output", f"{tmp_path}/a.onnx"])
    assert "hands raw pixels" in caplog.text


def test_what_scales_is_not_told_of(caplog):
    caplog.set_level(logging.WARNING)
    tell_of_raw_pixels("it", graph_of(conv(data / 255)))
    assert not caplog.text


@pytest.mark.parametrize(
    ("body", "scaling"),
    [
        ((data - 127.5) * 0.5, (127.5, 0.5)),
        ((mx.sym.identity(data) - 100) / 4, (100.0, 0.25)),
        (data, (0.0, 1.0)),
        (data * 0.5 - 3, None),
        (mx.sym.BatchNorm(data), (0.0, 1.0)),
        (mx.sym.Activation(data - 3, act_type="relu"), None),
    ],
)
def test_what_is_subtracted_and_multiplied(body, scaling):
    assert pixel_scaling(graph_of(conv(body))) == scaling
