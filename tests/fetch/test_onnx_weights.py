import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from arcface_mxnet.fetch.onnx_weights import dequantize_blocks, read_weights  # noqa: E402


def test_dequantize_equals_a_plain_loop_with_a_short_last_block():
    rng = np.random.default_rng(3)
    q = rng.integers(-128, 128, (4, 10)).astype(np.int8)
    scales = rng.uniform(0.1, 1, (4, 3)).astype(np.float32)
    zeros = rng.integers(-9, 9, (4, 3)).astype(np.int8)
    result = dequantize_blocks(q, scales, zeros, axis=1, block_size=4)
    for row in range(4):
        for column in range(10):
            block = column // 4
            step = int(q[row, column]) - int(zeros[row, block])
            assert result[row, column] == pytest.approx(step * scales[row, block])


def model(raw: bool) -> bytes:
    """Return an ONNX file: one plain slope, one int8 weight of two blocks, reshaped."""
    helper, types = onnx.helper, onnx.TensorProto

    def tensor(name, kind, values):
        values = np.array(values, onnx.helper.tensor_dtype_to_np_dtype(kind))
        data = values.tobytes() if raw else values.flatten().tolist()
        return helper.make_tensor(name, kind, values.shape, data, raw=raw)

    weights = [
        tensor("w_quantized", types.INT8, [[1, 2, 3, 4]]),
        tensor("w_scales", types.FLOAT, [[0.5, 2.0]]),
        tensor("w_zero_point", types.INT8, [[1, 0]]),
        tensor("w_shape", types.INT64, [2, 2]),
        tensor("slope", types.FLOAT, [0.25, 0.5]),
    ]
    nodes = [
        helper.make_node(
            "DequantizeLinear",
            ["w_quantized", "w_scales", "w_zero_point"],
            ["w_dequantized"],
            axis=1,
            block_size=2,
        ),
        helper.make_node("Reshape", ["w_dequantized", "w_shape"], ["w_reshaped"]),
        helper.make_node("MatMul", ["data", "w_reshaped"], ["product"]),
        helper.make_node("PRelu", ["product", "slope"], ["out"]),
    ]
    ports = [helper.make_tensor_value_info(n, types.FLOAT, [1, 2]) for n in ("data", "out")]
    graph = helper.make_graph(nodes, "tiny", ports[:1], ports[1:], weights)
    return helper.make_model(graph).SerializeToString()


@pytest.mark.parametrize("raw", [True, False])
def test_weights_under_their_own_names_and_shapes(raw):
    weights = read_weights(model(raw))
    assert set(weights) == {"w", "slope"}
    assert weights["w"].tolist() == [[0.0, 0.5], [6.0, 8.0]]
    assert weights["slope"].tolist() == [0.25, 0.5]
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("data", [b"", b"<html>not found</html>", model(True)[:100]])
def test_another_file_is_refused(data):
    with pytest.raises(ValueError, match="not an ONNX file"):
        read_weights(data)
