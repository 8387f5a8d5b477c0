"""A converted network is compared with MXNet once, and a difference is an error."""

import json
import logging

from arcface_mxnet.checkpoints.network import StoredNetwork
from arcface_mxnet.engines import converted, packages
from arcface_mxnet.engines.cache import ConversionCache
from arcface_mxnet.engines.converted import ConvertedNetwork
from arcface_mxnet.engines.packages import has_bfloat16
from arcface_mxnet.engines.reference import run_mxnet
from arcface_mxnet.engines.session import OPENVINO
import mxnet as mx
import numpy as np
import onnx
import pytest

SIZE = (6, 5)


def network(seed=0, scale=1.0):
    """Return conv-BatchNorm-conv-PReLU and a dense layer, the kind that once lost a convolution."""
    body = mx.sym.Convolution(mx.sym.var("data"), kernel=(3, 3), num_filter=4, name="conv0")
    body = mx.sym.BatchNorm(body, fix_gamma=False, name="bn0")
    body = mx.sym.Convolution(body, kernel=(3, 3), pad=(1, 1), num_filter=4, name="conv1")
    body = mx.sym.LeakyReLU(body, act_type="prelu", name="relu1")
    symbol = mx.sym.FullyConnected(body, num_hidden=8, name="fc1")
    shapes, _, aux_shapes = symbol.infer_shape(data=(1, 3, *SIZE))
    rng = np.random.default_rng(seed)
    args = {
        name: mx.nd.array(scale * rng.normal(size=shape))
        for name, shape in zip(symbol.list_arguments(), shapes, strict=True)
        if name != "data"
    }
    aux = {
        name: mx.nd.array(rng.random(shape) + 0.5)
        for name, shape in zip(symbol.list_auxiliary_states(), aux_shapes, strict=True)
    }
    return StoredNetwork.of(symbol, args, aux)


@pytest.fixture
def cache(tmp_path):
    return ConversionCache(tmp_path / "networks")


@pytest.fixture
def batch():
    return np.random.default_rng(3).uniform(0, 255, (11, 3, *SIZE)).astype(np.float32)


@pytest.fixture
def comparisons(monkeypatch):
    """Return the sizes of the batches that MXNet was asked about."""
    asked = []

    def counted(network, batch):
        asked.append(len(batch))
        return run_mxnet(network, batch)

    monkeypatch.setattr("arcface_mxnet.engines.reference.run_mxnet", counted)
    return asked


def test_it_gives_what_mxnet_gives_and_is_compared_once(cache, batch, comparisons, caplog):
    caplog.set_level(logging.INFO)
    stored = network()
    first = ConvertedNetwork(stored, SIZE, cache=cache, name="net")
    (found,) = first.run(batch)
    (expected,) = run_mxnet(stored, batch)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3 * np.abs(expected).max())
    first.run(batch)
    assert comparisons == [8]  # the first eight images of the first batch
    assert "net: as MXNet on 8 images, lowest cosine 1.0000000" in caplog.text
    again = ConvertedNetwork(stored, SIZE, cache=cache)
    np.testing.assert_array_equal(again.run(batch)[0], found)
    assert comparisons == [8]  # known from the cache
    (note,) = cache.folder.glob("*.json")
    assert json.loads(note.read_text())["images"] == 8


def test_a_difference_is_an_error_and_no_other_engine_steps_in(cache, batch):
    wrong, right = network(seed=1), network(seed=0)
    # What a wrong converter would write: other weights under the fingerprint of this network.
    model = converted.convert(wrong, SIZE)
    onnx.helper.set_model_props(model, {"fingerprint": right.fingerprint})
    cache.store(ConversionCache.key(right.fingerprint, SIZE), model.SerializeToString())
    for _ in range(2):
        opened = ConvertedNetwork(right, SIZE, cache=cache, name="net")
        with pytest.raises(ValueError, match=r"net: onnxruntime .* and MXNet disagree on 8 images"):
            opened.run(batch)
        with pytest.raises(ValueError, match="disagree"):
            opened.run(batch)
    assert not list(cache.folder.glob("*.json"))


def test_black_images_alone_prove_nothing(cache):
    """A converter that loses the first convolution gives the same for images of zeros."""
    right = network()
    lost = network()
    lost.parameters["conv0_weight"][:] = 0
    model = converted.convert(lost, SIZE)
    onnx.helper.set_model_props(model, {"fingerprint": right.fingerprint})
    cache.store(ConversionCache.key(right.fingerprint, SIZE), model.SerializeToString())
    black = np.zeros((1, 3, *SIZE), np.float32)
    with pytest.raises(ValueError, match="disagree on 8 images"):
        ConvertedNetwork(right, SIZE, cache=cache).run(black)


def test_what_onnx_cannot_say_is_told_with_the_way_out(cache):
    body = mx.sym.LRN(mx.sym.var("data"), nsize=3)
    symbol = mx.sym.FullyConnected(body, num_hidden=4, name="fc1")
    args = {"fc1_weight": mx.nd.ones((4, 90)), "fc1_bias": mx.nd.ones((4,))}
    with pytest.raises(ValueError, match="LRN.*--engine mxnet runs it"):
        ConvertedNetwork(StoredNetwork.of(symbol, args, {}), SIZE, cache=cache)


def test_a_foreign_entry_is_converted_again(cache, batch, caplog):
    mine, other = network(seed=0), network(seed=1)
    key = ConversionCache.key(mine.fingerprint, SIZE)
    cache.store(key, converted.convert(other, SIZE).SerializeToString())
    (found,) = ConvertedNetwork(mine, SIZE, cache=cache, name="net").run(batch)
    assert f"is not this network (fingerprint {other.fingerprint})" in caplog.text
    np.testing.assert_allclose(found, run_mxnet(mine, batch)[0], rtol=1e-3, atol=1)
    caplog.clear()
    cache.store(key, b"whole, but no ONNX file")
    ConvertedNetwork(mine, SIZE, cache=cache, name="net").run(batch)
    assert "is not this network" in caplog.text
    caplog.clear()
    ConvertedNetwork(mine, SIZE, cache=cache, name="net").run(batch)
    assert not caplog.records  # it was replaced


def test_without_mxnet_it_is_told_that_nothing_was_compared(cache, batch, monkeypatch, caplog):
    monkeypatch.setattr(packages, "has_mxnet", lambda: False)
    ConvertedNetwork(network(), SIZE, cache=cache, name="net").run(batch)
    assert "net: conversion not compared, MXNet is not installed" in caplog.text
    assert not list(cache.folder.glob("*.json"))


def test_a_diverged_network_is_told(cache, batch):
    stored = network()
    stored.parameters["conv1_weight"][0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="net: MXNet's own result is NaN or infinite"):
        ConvertedNetwork(stored, SIZE, cache=cache, name="net").run(batch)


def test_without_a_cache_nothing_is_written_and_proof_can_be_left_out(tmp_path, batch, comparisons):
    ConvertedNetwork(network(), SIZE, cache=None, prove=False).run(batch)
    assert comparisons == []
    ConvertedNetwork(network(), SIZE, cache=None).run(batch)
    assert comparisons == [8]


def test_one_changed_weight_is_another_entry(cache, batch):
    one, other = network(), network()
    other.parameters["fc1_bias"][0] += 1
    results = [ConvertedNetwork(n, SIZE, cache=cache).run(batch)[0] for n in (one, other)]
    np.testing.assert_allclose(results[1][:, 0] - results[0][:, 0], 1, atol=1e-2)
    assert len(list(cache.folder.glob("*.onnx"))) == 2


@pytest.mark.skipif(
    not has_bfloat16() or OPENVINO not in packages.onnxruntime_module().get_available_providers(),
    reason="the processor or this onnxruntime has no bfloat16",
)
def test_bfloat16_tells_its_cosine_once(cache, batch, caplog):
    opened = ConvertedNetwork(network(), SIZE, dtype="bfloat16", cache=cache, name="net")
    (found,) = opened.run(batch)
    (exact,) = run_mxnet(network(), batch)
    assert 1e-4 < np.abs(found - exact).max() / np.abs(exact).max() < 0.05
    opened.run(batch)
    told = [r.message for r in caplog.records if "bfloat16 against float32" in r.message]
    assert len(told) == 1 and "lowest cosine 0.99" in told[0]
