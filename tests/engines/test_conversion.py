"""Whole networks: every head, detectors of any image size, old and half-precision checkpoints."""

import dataclasses
import json
import subprocess
import sys

from arcface_mxnet.checkpoints.embedding_part import load_slim
from arcface_mxnet.checkpoints.graph import parse_graph, to_json, without_casts, without_labels
from arcface_mxnet.checkpoints.load import load_checkpoint, save_checkpoint
from arcface_mxnet.checkpoints.network import StoredNetwork, read_network, read_whole
from arcface_mxnet.data.images import decode_rgb
from arcface_mxnet.engines.conversion import checkpoint_to_onnx, convert, to_onnx
from arcface_mxnet.engines.parity import Parity
from arcface_mxnet.eval.pair_sets import read_pair_set
from arcface_mxnet.fetch.mtcnn import output_network, proposal_network, refinement_network
from arcface_mxnet.networks import NetworkOptions, build_network
from arcface_mxnet.networks.heads import HEADS, add_head
from arcface_mxnet.training.half import half_precision
import mxnet as mx
import numpy as np
import onnx
import onnxruntime
import pytest


def run_mxnet(symbol, arg_params, aux_params, data):
    """Return the first output by MXNet's own operators."""
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=data.shape)
    executor.copy_params_from(arg_params, aux_params, allow_extra_params=True)
    return executor.forward(is_train=False, data=mx.nd.array(data))[0].asnumpy()


SIZE = (112, 112)
DATA = mx.sym.Variable("data")


def random_parameters(symbol, size=SIZE, channels=3):
    """Return arg and aux parameters that leave no layer neutral."""
    shapes, _, state_shapes = symbol.infer_shape(data=(1, channels, *size))
    rng = np.random.default_rng(0)

    def drawn(names, sizes, low):
        return {
            name: mx.nd.array(rng.uniform(low, 1, size) / max(1, np.prod(size[1:])) ** 0.5)
            for name, size in zip(names, sizes, strict=True)
            if name != "data"
        }

    args = drawn(symbol.list_arguments(), shapes, -1)
    return args, drawn(symbol.list_auxiliary_states(), state_shapes, 0.1)


def stored(symbol, args, states):
    parameters = {name: value.asnumpy() for name, value in {**args, **states}.items()}
    graph = without_casts(without_labels(parse_graph(symbol.tojson(), "the symbol")))
    return StoredNetwork(graph, parameters)


def run(model, data):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"data": data})


def images(count=2, size=SIZE, channels=3):
    rng = np.random.default_rng(1)
    return rng.uniform(0, 255, (count, channels, *size)).astype(np.float32)


@pytest.fixture(scope="module")
def y1(tmp_path_factory):
    """Return "prefix,number" of a MobileFaceNet with a classifier after it, D = 16."""
    body = build_network("y1", NetworkOptions(emb_size=16, output="GDC"))
    logits = mx.sym.FullyConnected(body, num_hidden=7, no_bias=True, name="fc7")
    symbol = mx.sym.SoftmaxOutput(logits, name="softmax")
    args, states = random_parameters(symbol)
    del args["softmax_label"]
    prefix = str(tmp_path_factory.mktemp("model") / "y1")
    save_checkpoint(prefix, 3, symbol, args, states)
    return f"{prefix},3"


SIZES = {"A": 24, "AX": 24, "Z": 24 * 49}


@pytest.mark.parametrize(
    ("head", "emb_size"),
    [*((head, SIZES.get(head, 8)) for head in HEADS), ("GNAP", 24), ("GNAP", 32)],
)
def test_every_head_agrees(head, emb_size):
    body = mx.sym.Convolution((DATA - 127.5) / 128, kernel=(16, 16), stride=(16, 16), num_filter=24)
    symbol = add_head(body, NetworkOptions(emb_size=emb_size, output=head), 24)
    args, states = random_parameters(symbol)
    expected = run_mxnet(symbol, args, states, images())
    (actual,) = run(to_onnx(symbol, args, states), images())
    assert Parity.of([expected], [actual]).is_faithful
    assert len(HEADS) == 20


def test_the_published_checkpoint_agrees_on_faces(shared_data):
    """MXNet wrote it in 2018 and reads it; here nothing of MXNet does."""
    checkpoint = f"{shared_data / 'published_y1' / 'model'},0"
    images = read_pair_set(shared_data / "lfw" / "lfw_folds_1_2.bin").images[:8]
    faces = [decode_rgb(image, "a face") for image in images]
    data = np.stack(faces).transpose(0, 3, 1, 2).astype(np.float32)
    expected = run_mxnet(*load_slim(checkpoint), data)
    (actual,) = run(checkpoint_to_onnx(checkpoint), data)
    assert Parity.of([expected], [actual]).is_faithful


def test_half_precision_checkpoints_agree(tmp_path):
    """The weights are those of half precision, the computation is in single precision."""
    single = build_network("y1", NetworkOptions(emb_size=16, output="GDC"))
    args, states = random_parameters(single)
    half = {name: value.astype("float16") for name, value in args.items()}
    save_checkpoint(f"{tmp_path}/half", 1, half_precision(single), half, states)
    network = read_network(f"{tmp_path}/half,1")
    rounded = {name: value.astype("float32") for name, value in half.items()}
    expected = run_mxnet(single, rounded, states, images())
    (actual,) = run(convert(network), images())
    assert Parity.of([expected], [actual]).is_faithful
    symbol = mx.sym.load_json(to_json(network.graph))  # as the engine MXNet runs it
    names = set(symbol.list_auxiliary_states())
    parameters = {name: mx.nd.array(value) for name, value in network.parameters.items()}
    again = run_mxnet(
        symbol,
        {name: value for name, value in parameters.items() if name not in names},
        {name: parameters[name] for name in names},
        images(),
    )
    np.testing.assert_array_equal(again, expected)


def test_reading_and_converting_needs_no_mxnet(y1):
    code = (
        "import sys\n"
        "from arcface_mxnet.engines.conversion import checkpoint_to_onnx\n"
        "model = checkpoint_to_onnx(sys.argv[1])\n"
        "assert 'mxnet' not in sys.modules\n"
        "print({p.key: p.value for p in model.metadata_props}['fingerprint'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, y1], capture_output=True, text=True)
    assert done.stdout.strip() == read_network(y1).fingerprint, done.stderr


def test_mxnets_objects_give_the_same_model(y1):
    assert to_onnx(*load_checkpoint(y1)) == checkpoint_to_onnx(y1)
    assert to_onnx(*load_slim(y1)) == checkpoint_to_onnx(y1)


def test_the_model_is_sound_with_its_weights_too(y1):
    """What was checked is the model without the bytes of its weights."""
    model = checkpoint_to_onnx(y1)
    onnx.checker.check_model(model, full_check=True)
    assert [node.name for node in model.graph.input] == ["data"]
    assert {c.data_type for c in model.graph.initializer} == {onnx.TensorProto.FLOAT}


def test_the_stored_network_stays_as_it_was(y1):
    network = read_network(y1)
    before = {name: value.copy() for name, value in network.parameters.items()}
    convert(network)
    for name, value in network.parameters.items():
        np.testing.assert_array_equal(value, before[name])


DETECTORS = {
    "pnet": (proposal_network, (12, 12), ["conv4_2_output", "prob1_output"]),
    "rnet": (refinement_network, (24, 24), ["conv5_2_output", "prob1_output"]),
    "onet": (output_network, (48, 48), ["conv6_3_output", "conv6_2_output", "prob1_output"]),
}


def group_outputs(symbol, args, states, data):
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=data.shape)
    executor.copy_params_from(args, states)
    return [o.asnumpy() for o in executor.forward(is_train=False, data=mx.nd.array(data))]


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_keep_their_outputs(name):
    build, size, outputs = DETECTORS[name]
    symbol = build()
    args, states = random_parameters(symbol, size)
    model = convert(stored(symbol, args, states), size)
    assert [output.name for output in model.graph.output] == outputs
    data = images(3, size) / 255
    for actual, expected in zip(
        run(model, data), group_outputs(symbol, args, states, data), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
    facts = {p.key for p in model.metadata_props}
    assert facts == {"layout", "fingerprint", "image_size"}  # neither RGB nor 0..255 is claimed


def test_a_detector_takes_images_of_any_size():
    """Odd sizes too, where a pooling window hangs over the edge."""
    symbol = proposal_network()
    args, states = random_parameters(symbol, (12, 12))
    model = convert(stored(symbol, args, states), None)
    (data,) = model.graph.input
    dimensions = [d.dim_param or d.dim_value for d in data.type.tensor_type.shape.dim]
    assert dimensions == ["batch", 3, "height", "width"]
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for size in ((12, 12), (13, 14), (31, 57), (100, 75)):
        pixels = images(1, size) / 255
        for actual, expected in zip(
            session.run(None, {"data": pixels}),
            group_outputs(symbol, args, states, pixels),
            strict=True,
        ):
            np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def test_a_dense_layer_needs_an_image_size():
    symbol = refinement_network()
    network = stored(symbol, *random_parameters(symbol, (24, 24)))
    with pytest.raises(ValueError, match="FullyConnected 'conv4': a dense layer without a fixed"):
        convert(network, None)


def old_det4():
    """Return the text of a symbol as the published det4: five patches, in the form of 2015."""
    nodes = [("null", "data", {}, [])]
    split = {"axis": "1", "num_outputs": "5", "squeeze_axis": "False"}
    nodes.append(("SliceChannel", "slice", split, [[0, 0]]))
    heads = []
    for part in range(5):
        start = len(nodes)
        nodes.append(("null", f"conv{part}_weight", {}, []))
        nodes.append(("null", f"conv{part}_bias", {}, []))
        options = {
            "cudnn_off": "False", "cudnn_tune": "off", "dilate": "(1,1)", "kernel": "(3,3)",
            "no_bias": "False", "num_filter": "8", "num_group": "1", "pad": "(0,0)",
            "stride": "(1,1)", "workspace": "1024",
        }  # fmt: skip
        reads = [[1, part], [start, 0], [start + 1, 0]]
        nodes.append(("Convolution", f"conv{part}", options, reads))
        nodes.append(("null", f"prelu{part}_gamma", {}, []))
        options = {"act_type": "prelu", "lower_bound": "0.125", "slope": "0.25",
                   "upper_bound": "0.334"}  # fmt: skip
        nodes.append(("LeakyReLU", f"prelu{part}", options, [[start + 2, 0], [start + 3, 0]]))
        options = {"global_pool": "False", "kernel": "(3,3)", "pad": "(0,0)", "pool_type": "max",
                   "pooling_convention": "full", "stride": "(2,2)"}  # fmt: skip
        nodes.append(("Pooling", f"pool{part}", options, [[start + 4, 0]]))
        heads.append([start + 5, 0])
    written = [
        {"op": op, "param": options, "name": name, "inputs": inputs, "backward_source_id": -1}
        for op, name, options, inputs in nodes
    ]
    arguments = [i for i, node in enumerate(nodes) if node[0] == "null"]
    return json.dumps({"nodes": written, "arg_nodes": arguments, "heads": heads})


def test_a_published_detector_of_fifteen_channels(tmp_path):
    (tmp_path / "det4-symbol.json").write_text(old_det4())
    symbol = mx.sym.load_json(old_det4())
    args, states = random_parameters(symbol, (24, 24), 15)
    mx.nd.save(f"{tmp_path}/det4-0001.params", {f"arg:{name}": v for name, v in args.items()})
    model = convert(read_whole(f"{tmp_path}/det4,1"), (24, 24))
    data = images(2, (24, 24), 15) / 255
    for actual, expected in zip(
        run(model, data), group_outputs(symbol, args, states, data), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
    assert [output.name for output in model.graph.output] == [f"pool{i}_output" for i in range(5)]


def test_outputs_that_no_node_of_their_own_makes():
    """A dropped layer, an input handed through, and a name that a parameter has."""
    norm = mx.sym.BatchNorm(
        mx.sym.Convolution(DATA, mx.sym.var("n_output"), no_bias=True, kernel=(1, 1), num_filter=3),
        fix_gamma=False,
        name="m",
    )
    symbol = mx.sym.Group(
        [mx.sym.Dropout(norm, name="d"), mx.sym.identity(DATA, name="same"),
         mx.sym.relu(norm, name="n2"), norm]
    )  # fmt: skip
    args, states = random_parameters(symbol, (5, 6))
    model = convert(stored(symbol, args, states), (5, 6))
    names = ["d_output", "same_output", "n2_output", "m_output"]
    assert [output.name for output in model.graph.output] == names
    data = images(2, (5, 6))
    for actual, expected in zip(
        run(model, data), group_outputs(symbol, args, states, data), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_layers_of_one_name_are_told_apart():
    one = mx.sym.relu(DATA - 100, name="same")
    two = mx.sym.sqrt(mx.sym.abs(DATA, name="same"), name="same")
    symbol = mx.sym.elemwise_add(one, two, name="sum")
    (actual,) = run(convert(stored(symbol, {}, {}), (4, 4)), images(1, (4, 4)))
    expected = run_mxnet(symbol, {}, {}, images(1, (4, 4)))
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_graphs_that_cannot_be_converted():
    other = stored(mx.sym.relu(mx.sym.Variable("image")), {"image": mx.nd.ones((1, 3))}, {})
    with pytest.raises(ValueError, match="the symbol reads no variable 'data'"):
        convert(other)
    network = stored(mx.sym.relu(DATA), {}, {})
    twice = dataclasses.replace(network.graph, outputs=network.graph.outputs * 2)
    with pytest.raises(ValueError, match="two outputs of the symbol are the same"):
        convert(StoredNetwork(twice, {}))
    clash = mx.sym.BatchNorm(DATA, mx.sym.var("fc1"), fix_gamma=False, name="fc1")
    with pytest.raises(ValueError, match="two tensors would be called 'fc1'; rename that para"):
        to_onnx(clash, *random_parameters(clash))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (
            (112, 96),
            r"does not take images of shape \(3, 112, 96\) \(channels, heig",
        ),
        (
            (128, 128),
            r"images of 128x128 .*pre_fc1_weight is \(16, 512\), .* \(16, 2048\)",
        ),
    ],
)
def test_images_that_the_network_is_not_for(y1, size, message):
    with pytest.raises(ValueError, match=message):
        checkpoint_to_onnx(y1, size)
