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


def changed(change) -> bytes:
    """Return the model above, changed by a function of its graph."""
    whole = onnx.load_model_from_string(model(True))
    change(whole.graph)
    return whole.SerializeToString()


def set_option(name, value):
    def change(graph):
        next(a for a in graph.node[0].attribute if a.name == name).i = value

    return change


def set_tensor(number, values):
    def change(graph):
        name = graph.initializer[number].name
        graph.initializer[number].CopyFrom(onnx.numpy_helper.from_array(values, name))

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_option("block_size", 1 << 28), r"scales \(1, 2\) .* want \(1, 1\)"),
        (set_option("block_size", 0), "blocks of 0"),
        (set_option("block_size", -1), "blocks of -1"),
        (set_option("axis", 7), "axis 7"),
        (lambda graph: graph.node[0].ClearField("attribute"), "wanted are weights, scales"),
        (lambda graph: graph.node[0].input.pop(), "wanted are weights, scales"),
        (lambda graph: graph.node[0].ClearField("output"), "wanted are weights, scales"),
        (lambda graph: graph.node[1].ClearField("output"), "a shape of"),
        (lambda graph: graph.node[1].input.pop(0), "wanted are weights and a shape"),
        (set_tensor(1, np.ones((1, 3), np.float32)), r"scales \(1, 3\)"),
        (set_tensor(2, np.ones((2, 2), np.int8)), r"zero points \(2, 2\)"),
        (set_tensor(0, np.ones((0, 4), np.int8)), r"of an array \(0, 4\)"),
        (set_tensor(1, np.ones((1, 2), np.int64)), "types int8, int64, int8"),
        (set_tensor(3, np.array([3, 3])), "cannot reshape"),
        (set_tensor(3, np.array([1 << 40, 1 << 40])), "reshape|too big|too large"),
        (set_tensor(3, np.array([2.0, 2.0])), "wanted are weights and a shape"),
    ],
)
def test_damaged_weights_are_told(change, reason):
    with pytest.raises(ValueError, match=f"^w.onnx: (DequantizeLinear|Reshape) .*{reason}"):
        read_weights(changed(change), "w.onnx")


def test_one_weight_is_not_made_many_times():
    def repeat(graph):
        for number in range(3000):
            graph.node.add().CopyFrom(graph.node[0])
            graph.node[-1].output[0] = f"made{number}"

        graph.node[1].op_type = "Identity"
        large = np.ones((1, 100_000), np.int8)
        set_tensor(0, large)(graph)
        set_tensor(1, np.ones((1, 50_000), np.float32))(graph)
        set_tensor(2, large[:, ::2].copy())(graph)

    with pytest.raises(ValueError, match="makes more than 8 bytes of each"):
        read_weights(changed(repeat))


def test_every_flip_is_weights_or_a_value_error():
    data, rng = model(True), np.random.default_rng(0)
    for _ in range(3000):
        place = int(rng.integers(len(data)))
        try:
            read_weights(data[:place] + rng.bytes(1) + data[place + 1 :], "w.onnx")
        except ValueError as error:
            assert str(error).startswith("w.onnx: ")
