"""Initial values as published, each family's."""

import arcface_mxnet  # noqa: F401  (makes MXNet importable)
from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
import mxnet as mx
import numpy as np
import pytest


def initial(name, **options):
    """Return the initial parameters as training makes them, with a classifier of 1000."""
    mx.random.seed(7)
    embedding = build_network(name, NetworkOptions(emb_size=64, **options))
    symbol = mx.sym.FullyConnected(
        embedding, mx.sym.Variable("fc7_weight"), num_hidden=1000, no_bias=True, name="fc7"
    )
    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", (1, 3, 32, 32))], for_training=False)
    module.init_params(NETWORKS[name].initializer())
    return {k: v.asnumpy() for params in module.get_params() for k, v in params.items()}


@pytest.fixture(scope="module")
def r18():
    return initial("r18")


@pytest.fixture(scope="module")
def m05():
    return initial("m05")


@pytest.fixture(scope="module")
def s20():
    return initial("s20")


def assert_normal(values, std):
    assert values.std() == pytest.approx(std, rel=0.05)
    assert np.abs(values).max() > 3 * std  # a uniform of this std ends at 1.73


def assert_uniform(values, half_width):
    assert np.abs(values).max() == pytest.approx(half_width, rel=0.02)
    assert values.std() == pytest.approx(half_width / 3**0.5, rel=0.05)


def test_resnets_are_gaussian_by_fan_out(r18):
    assert_normal(r18["stage3_unit1_conv1_weight"], (2 / (256 * 9)) ** 0.5)  # (256, 128, 3, 3)
    assert_normal(r18["fc7_weight"], (2 / 1000) ** 0.5)


def test_mobilenets_are_uniform_by_fan_in(m05):
    assert_uniform(m05["conv_14_conv2d_weight"], (2 / 512) ** 0.5)
    assert_uniform(m05["fc7_weight"], (2 / 64) ** 0.5)


def test_spherenets_carry_normal_in_the_symbol(s20):
    assert_normal(s20["conv3_4_weight"], 0.01)
    assert_normal(s20["conv3_1_weight"], 0.01)
    assert_uniform(s20["fc1_weight"], (2 / (512 * 4)) ** 0.5)
    assert not s20["conv3_1_bias"].any()


def test_slopes_norms_and_biases(r18, m05, s20):
    for params in (r18, m05, s20):
        for name, values in params.items():
            if "relu" in name:
                assert (values == 0.25).all(), name
            elif name.endswith(("_gamma", "_moving_var")):
                assert (values == 1).all(), name
            elif name.endswith(("_beta", "_bias", "_moving_mean")):
                assert (values == 0).all(), name


@pytest.mark.parametrize(
    ("name", "kind", "factor"),
    [("r100", "gaussian", "out"), ("y1", "gaussian", "out"), ("i2", "gaussian", "in")]
    + [(name, "uniform", "in") for name in ("m1", "m2", "d121", "p68", "s64")],
)
def test_family(name, kind, factor):
    made = NETWORKS[name].initializer()
    assert isinstance(made, mx.init.Xavier)
    assert (made.rnd_type, made.factor_type, made.magnitude) == (kind, factor, 2.0)


def test_spherenet_biases_ask_for_their_own_rate_and_decay():
    attributes = build_network("s20", NetworkOptions()).attr_dict()
    biases = {k: v for k, v in attributes.items() if k.endswith("_bias")}
    assert sorted(biases) == [*(f"conv{k}_1_bias" for k in (1, 2, 3, 4)), "fc1_bias"]
    for found in biases.values():
        assert (found["__lr_mult__"], found["__wd_mult__"]) == ("2.0", "0.0")
