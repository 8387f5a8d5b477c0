from arcface_mxnet.networks import NetworkOptions, build_network
from arcface_mxnet.networks.cost import network_cost
import mxnet as mx
import pytest


def test_counts_by_hand():
    """A grouped convolution and a dense layer with biases: every number written out."""
    data = mx.sym.Variable("data")  # (1, 3, 8, 8)
    body = mx.sym.Convolution(data, num_filter=4, kernel=(3, 3), stride=(2, 2), name="a")
    body = mx.sym.Convolution(body, num_filter=8, kernel=(1, 1), num_group=2, name="b")
    body = mx.sym.FullyConnected(body, num_hidden=5, name="fc1")
    cost = network_cost(body, 8, 8)
    first = 3 * 3 * 4 * 3 * 3 * 3  # 3x3 places, 4 filters, 3 channels of 3x3
    second = 3 * 3 * 8 * 2  # 2 channels per group
    dense = 72 * 5
    assert cost.multiply_adds == first + second + dense
    assert cost.parameters == (4 * 27 + 4) + (8 * 2 + 8) + (72 * 5 + 5)
    assert cost.embedding_size == 5


def lresnet_multiply_adds(units):
    """The same count from the recipe's description alone, without a graph."""
    total, channels, side = 112 * 112 * 64 * 3 * 9, 64, 112
    for count, filters in zip(units, (64, 128, 256, 512), strict=True):
        for unit in range(count):
            total += side * side * filters * channels * 9  # conv1 before the stride
            if unit == 0:
                side //= 2
                total += side * side * filters * channels  # 1x1 shortcut
            total += side * side * filters * filters * 9
            channels = filters
    return total + 7 * 7 * 512 * 512


@pytest.mark.parametrize(
    ("name", "units"), [("r18", (2, 2, 2, 2)), ("r50", (3, 4, 14, 3)), ("r100", (3, 13, 30, 3))]
)
def test_lresnets_by_formula(name, units):
    cost = network_cost(build_network(name, NetworkOptions()))
    assert cost.multiply_adds == lresnet_multiply_adds(units)


def test_published_sizes():
    """MobileFaceNets, arXiv 1804.07573, table 2: 0.99 M parameters, 221 M multiply-adds; and
    r100 has about 24 GFLOPs, two to a multiply-add."""
    small = network_cost(build_network("y1", NetworkOptions(emb_size=128, output="GDC")))
    assert small.multiply_adds == pytest.approx(221e6, rel=0.02)
    assert small.parameters == pytest.approx(0.99e6, rel=0.02)
    large = network_cost(build_network("r100", NetworkOptions()))
    assert 2 * large.multiply_adds == pytest.approx(24.2e9, rel=0.01)


def test_picture_size_counts():
    symbol = build_network("r18", NetworkOptions())
    convolutions = [network_cost(symbol, s, s).multiply_adds for s in (112, 224)]
    assert convolutions[1] == 4 * convolutions[0]  # its dense layer grows with the picture too


def test_picture_too_small():
    symbol = build_network("y1", NetworkOptions(output="GDC"))
    with pytest.raises(ValueError, match="a picture of 96x80 pixels does not fit the network"):
        network_cost(symbol, 96, 80)
