"""A slice that leaves nothing is refused before MXNet, which would divide by 0, infers shapes."""

from arcface_mxnet.checkpoints.slices import refuse_empty_slices
import mxnet as mx
import pytest

SHAPES = {"data": (2, 3, 8, 8)}


def cut(**options):
    return mx.sym.slice(mx.sym.Variable("data"), name="cut", **options)


@pytest.mark.parametrize(
    "symbol",
    [
        cut(begin=(0, 5), end=(None, None)),
        cut(begin=(0, 2), end=(None, -2)),
        cut(begin=(0, 1), end=(None, 3), step=(1, -1)),
        mx.sym.slice_like(cut(begin=(0,), end=(1,)), cut(begin=(0, 3), end=(1, 3)), name="like"),
    ],
)
def test_what_leaves_nothing_is_refused(symbol):
    deadly = mx.sym.Reshape(symbol, shape=(-1, 0))  # infer_shape of it ends the process
    with pytest.raises(ValueError, match=r"^it: node .* leaves nothing of images of .*8, 8"):
        refuse_empty_slices(deadly, SHAPES, "it")


def test_others_are_not():
    wide = cut(begin=(0, 1), end=(None, 3))
    parts = mx.sym.SliceChannel(wide, num_outputs=2, name="parts")
    refuse_empty_slices(mx.sym.FullyConnected(parts[0], num_hidden=4), SHAPES, "it")
    refuse_empty_slices(cut(begin=(0,), end=(1,)), {}, "it")
    too_deep = cut(begin=(0,) * 6, end=(1,) * 6)  # MXNet's to tell
    refuse_empty_slices(too_deep, SHAPES, "it")
