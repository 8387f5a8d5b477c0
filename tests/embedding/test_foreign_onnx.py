"""ONNX files of others: fed as declared, guessed only where that is certain, refused otherwise."""

import argparse

from arcface_mxnet.align.template import template
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.embedding.arguments import add_network_arguments, embedding_facts
from arcface_mxnet.engines.model_input import Declaration
from arcface_mxnet.engines.packages import onnxruntime_module
from arcface_mxnet.engines.presets import PRESETS
from arcface_mxnet.engines.session import CPU, Session, provider
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
import pytest

SIZE = (4, 6)  # height, width
PIXELS = 3 * SIZE[0] * SIZE[1]
DIMENSION = 8
WEIGHT = np.random.default_rng(0).normal(size=(PIXELS, DIMENSION)).astype(np.float32)
GIVEN = Declaration(color="rgb", mean=(127.5,), scale=(128.0,))


def network(
    shape=("N", 3, *SIZE), *, before=(), after=(), more=(), opset=13, kind=TensorProto.FLOAT,
    outputs=(("out", ("N", DIMENSION)),), flat=(0, -1),
):  # fmt: skip
    """Return the bytes of: image -> before -> flat -> @ WEIGHT -> after."""
    nodes = [
        *before,
        helper.make_node("Reshape", ["x" if before else "image", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weight"], ["made" if after else "out"]),
        *after,
    ]
    tensors = [
        numpy_helper.from_array(np.array(flat, np.int64), "flat"),
        numpy_helper.from_array(WEIGHT, "weight"),
        *more,
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 7
    return model.SerializeToString()


def scalar(value, name):
    return numpy_helper.from_array(np.array(value, np.float32), name)


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (5, *SIZE, 3), dtype=np.uint8)


def opened(model, declared=GIVEN, **options):
    return Embedder(model, flip=False, normalize=False, declared=declared, **options)


def expected(images, mean=127.5, scale=128.0, *, bgr=False, nhwc=False):
    """The formula that the help states, in plain numpy."""
    x = images[..., ::-1] if bgr else images
    x = (x.astype(np.float64) - mean) / scale
    return (x if nhwc else x.transpose(0, 3, 1, 2)).reshape(len(x), -1) @ WEIGHT


def near(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize(("mean", "scale"), [(127.5, 127.5), (0, 255), (0, 1), (-3, -2)])
def test_pixels_are_fed_as_declared(images, color, mean, scale):
    declared = Declaration(color=color, mean=(float(mean),), scale=(float(scale),))
    found = opened(network(), declared)(images)
    wanted = expected(images, mean, scale, bgr=color == "bgr")
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_a_number_for_each_channel_is_in_the_order_of_the_channels(images):
    mean, scale = (103.0, 116.0, 123.0), (50.0, 60.0, 70.0)
    found = opened(network(), Declaration(color="bgr", mean=mean, scale=scale))(images)
    near(found, expected(images, np.array(mean), np.array(scale), bgr=True))


def test_nhwc_is_seen_and_fed(images):
    embed = opened(network(("N", *SIZE, 3)))
    assert embed.input.layout == "nhwc" and embed.input.size == SIZE
    near(embed(images), expected(images, nhwc=True))


@pytest.mark.parametrize("fixed", [1, 2, 4])
def test_a_fixed_batch_takes_any_number_of_images(images, fixed):
    model = network((fixed, 3, *SIZE), outputs=[("out", (fixed, DIMENSION))])
    near(opened(model)(images), expected(images))


def test_a_batch_that_is_free_in_name_alone_is_run_one_by_one(images, caplog):
    """Exporters write a free batch over a reshape to (1, -1)."""
    embed = opened(network(flat=(1, PIXELS)))
    assert "takes one image at a time, whatever it says" in caplog.text
    near(embed(images), expected(images))


def test_a_free_image_size_must_be_declared(images):
    model = network(("N", 3, "H", "W"))
    with pytest.raises(ValueError, match="give --preset, or --image-size H,W"):
        opened(model)
    embed = opened(model, Declaration(size=SIZE).over(GIVEN))
    near(embed(images), expected(images))
    with pytest.raises(ValueError, match="images are 6x4 .height x width.; .* takes 4x6"):
        embed(images.transpose(0, 2, 1, 3))


@pytest.mark.parametrize("opset", [9, 11, 17])
def test_opsets(images, opset):
    near(opened(network(opset=opset))(images), expected(images))


def test_a_network_that_takes_bytes(images):
    cast = helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT)
    model = network(before=[cast], kind=TensorProto.UINT8)
    with pytest.raises(ValueError, match="takes whole numbers, uint8; give --mean 0 --scale 1"):
        opened(model)
    found = opened(model, Declaration(color="rgb", mean=(0.0,), scale=(1.0,)))(images)
    np.testing.assert_allclose(found, expected(images, 0, 1), rtol=1e-4, atol=0.05)


def test_a_network_that_takes_half_precision(images):
    cast = helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT)
    found = opened(network(before=[cast], kind=TensorProto.FLOAT16))(images)
    np.testing.assert_allclose(found, expected(images), rtol=1e-2, atol=1e-2)
    with pytest.raises(ValueError, match=r"takes tensor\(double\); known are tensor\(float\), "):
        opened(network(before=[cast], kind=TensorProto.DOUBLE))


OWN = [helper.make_node("Sub", ["image", "m"], ["y"]), helper.make_node("Mul", ["y", "s"], ["x"])]
OWN_VALUES = [scalar(127.5, "m"), scalar(1 / 128, "s")]


def test_a_graph_that_scales_its_pixels_itself_is_fed_raw_ones(images, caplog):
    caplog.set_level("INFO")
    model = network(before=OWN, more=OWN_VALUES)
    embed = opened(model, Declaration(color="rgb"))
    assert (embed.input.mean, embed.input.scale) == ((0.0,), (1.0,))
    assert "it begins with Sub, Mul, which bring 0..255 to -0.996..0.996" in caplog.text
    near(embed(images), expected(images))
    preset = Embedder(model, flip=False, normalize=False, preset=Declaration(
        color="rgb", mean=(127.5,), scale=(127.5,)))  # fmt: skip
    near(preset(images), expected(images))  # as the code of the zoo does it
    caplog.clear()
    twice = opened(model)  # what is declared goes before what is seen
    assert "is fed scaled pixels, as declared, but scales them itself" in caplog.text
    assert not np.allclose(twice(images), embed(images), atol=1)


def test_pixels_normalised_by_a_batchnorm_are_raw(images):
    values = {"g": 1.0, "b": 0.0, "mean": 127.5, "var": 64.0**2}
    more = [numpy_helper.from_array(np.full(3, v, np.float32), k) for k, v in values.items()]
    node = helper.make_node("BatchNormalization", ["image", *values], ["x"], epsilon=1e-5)
    found = opened(network(before=[node], more=more), Declaration(color="rgb"))(images)
    near(found, expected(images, scale=64.0))


@pytest.mark.parametrize(
    ("before", "more"),
    [
        ([helper.make_node("Mul", ["image", "s"], ["x"])], [scalar(2, "s")]),
        ([helper.make_node("Sub", ["image", "s"], ["x"])], [scalar(0.5, "s")]),
        ([helper.make_node("Relu", ["image"], ["x"])], []),
        ([helper.make_node("Identity", ["image"], ["x"])], []),
    ],
    ids=["times 2", "minus 0.5", "relu", "identity"],
)
def test_what_is_not_certain_is_not_guessed(before, more):
    with pytest.raises(ValueError, match="does not say what it is fed: give --preset, or --mean, "):
        opened(network(before=before, more=more), Declaration(color="rgb"))


def test_colours_are_never_guessed():
    with pytest.raises(ValueError, match=r"give --preset, or --input-color rgb\|bgr \("):
        opened(network(before=OWN, more=OWN_VALUES), Declaration())


def test_of_two_outputs_one_is_named(images):
    norm = [
        helper.make_node("Identity", ["made"], ["vector"]),
        helper.make_node("ReduceL2", ["made"], ["norm"], axes=[1], keepdims=1),
    ]
    outputs = [("norm", ("N", 1)), ("vector", ("N", DIMENSION))]
    model = network(after=norm, outputs=outputs)
    with pytest.raises(ValueError, match=r"has 2 outputs, 'norm' .*'vector' .*--output NAME"):
        opened(model)
    near(opened(model, Declaration(output="vector").over(GIVEN))(images), expected(images))
    with pytest.raises(ValueError, match=r"output 'norm' is \(2, 1\) for 2 images; wanted is one"):
        opened(model, Declaration(output="norm").over(GIVEN))
    with pytest.raises(ValueError, match="no output 'fc1'; it has 'norm', 'vector'"):
        opened(model, Declaration(output="fc1").over(GIVEN))


def test_maps_of_one_place_are_vectors(images):
    shape = numpy_helper.from_array(np.array([0, DIMENSION, 1, 1], np.int64), "shape")
    model = network(
        after=[helper.make_node("Reshape", ["made", "shape"], ["out"])], more=[shape],
        outputs=[("out", ("N", DIMENSION, 1, 1))],
    )  # fmt: skip
    near(opened(model)(images), expected(images))


@pytest.mark.parametrize("shape", [(-1, 4), (1, -1, 4), (-1, 2, 2, 2)])
def test_a_detector_is_refused(shape):
    """Boxes of all images in a row, boxes of one, and maps."""
    target = numpy_helper.from_array(np.array(shape, np.int64), "shape")
    node = helper.make_node("Reshape", ["made", "shape"], ["out"])
    dims = [None if size < 0 else size for size in shape]
    with pytest.raises(ValueError, match="wanted is one vector an image, .*is it a detector"):
        opened(network(after=[node], more=[target], outputs=[("out", dims)]))


def test_what_contradicts_the_file_is_refused():
    with pytest.raises(ValueError, match="takes images of 4x6 .*, not the 112x112 that are"):
        opened(network(), PRESETS["adaface"].declared)
    with pytest.raises(ValueError, match=r"which is nchw, not nhwc"):
        opened(network(), Declaration(layout="nhwc").over(GIVEN))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"color": "grey"}, "color 'grey': known are rgb, bgr"),
        ({"scale": (0.0,)}, "scale 0: pixels are divided by it"),
        ({"layout": "chw"}, "layout 'chw': known are nchw, nhwc"),
    ],
)
def test_declarations_that_are_none(values, message):
    with pytest.raises(ValueError, match=message):
        Declaration(**values)


def test_values_in_another_file_are_refused_with_the_cure(tmp_path):
    (tmp_path / "whole.onnx").write_bytes(network())
    onnx.save_model(
        onnx.load(tmp_path / "whole.onnx"), tmp_path / "parts.onnx",
        save_as_external_data=True, size_threshold=0,
    )  # fmt: skip
    with pytest.raises(ValueError, match="has its values in another file.*make it one file: pyt"):
        Embedder(tmp_path / "parts.onnx", declared=GIVEN)


def test_inputs_that_nothing_reads_are_left_out(images):
    model = onnx.load_model_from_string(network())
    model.graph.input.append(helper.make_tensor_value_info("old_weight", 1, [7, 7]))
    near(opened(model.SerializeToString())(images), expected(images))


def test_a_file_of_others_says_what_it_was_fed(images):
    first = opened(network()).facts
    assert first["input"].startswith("4,6, rgb, nchw, mean 127.5, scale 128")
    assert opened(network(), Declaration(color="bgr").over(GIVEN)).facts != first


def test_a_network_written_by_torch_gives_what_torch_gives(shared_data):
    folder = shared_data / "foreign_onnx"
    given = np.load(folder / "mbf_torch.npz")
    preset = PRESETS["insightface"].declared
    embed = Embedder(folder / "mbf_torch.onnx", flip=False, normalize=False, preset=preset)
    found, wanted = embed(given["images"].transpose(0, 2, 3, 1)), given["embedding_of_rounded"]
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_the_file_of_opencv_gives_what_our_import_of_it_gives(models, crops):
    """Its weights are in blocks of int8, its batch is 1, and inputs of old weights are left."""
    theirs = Embedder(models / "sface.onnx", preset=PRESETS["sface"].declared)
    ours = Embedder(f"{models}/sface-m1,0")
    assert (theirs(crops) * ours(crops)).sum(axis=1).min() > 0.99999


def exported(template=None):
    """Return an export of ours for crops of 112x112, with other metadata if asked for."""
    model = onnx.load_model_from_string(network(before=OWN, more=OWN_VALUES))
    for place in (*model.graph.input, *model.graph.output):
        place.type.tensor_type.shape.dim[0].dim_param = "N"
    shape = model.graph.input[0].type.tensor_type.shape
    shape.dim[2].dim_value = shape.dim[3].dim_value = 112
    large = np.zeros((3 * 112 * 112, DIMENSION), np.float32)
    large[: len(WEIGHT)] = WEIGHT
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(large, "weight"))
    facts = {"input_range": "0..255", "color_order": "RGB", "layout": "NCHW"}
    helper.set_model_props(model, facts | ({"template": template} if template else {}))
    return model.SerializeToString()


def test_an_export_of_ours_says_what_it_is_fed(crops):
    embed = Embedder(exported())
    assert embed.input is None and embed.size == (112, 112) and "input" not in embed.facts
    assert embed(crops).shape == (3, DIMENSION)
    for declared, words in (
        (Declaration(color="bgr"), "leave color out"),
        (GIVEN, "leave mean, scale out"),
        (Declaration(size=(112, 96)), "leave size out"),
    ):
        with pytest.raises(ValueError, match=f"says itself that it is fed 112,112, rgb.*{words}"):
            Embedder(exported(), declared=declared)


def test_an_export_for_other_points_is_refused():
    points = ";".join(f"{x:.4f},{y:.4f}" for x, y in template((112, 112)))
    Embedder(exported(points))
    for other in (points.replace("38.2946", "40.0000"), "1,2;3,4", "x"):
        with pytest.raises(ValueError, match="wants crops aligned to other points than those of"):
            Embedder(exported(other))


def test_where_openvino_differs_the_cpu_provider_runs(images, caplog, monkeypatch):
    run = Session.run

    def wrong(self, inputs):
        made = run(self, inputs)
        return made if self.is_plain else [one + np.float32(50) for one in made]

    monkeypatch.setattr(Session, "run", wrong)
    if Session(network()).is_plain:
        pytest.skip("this onnxruntime has its CPU provider alone")
    near(opened(network())(images), expected(images))
    assert "disagree" in caplog.text and "the CPU provider runs it" in caplog.text


def test_a_file_that_openvino_cannot_read_runs_all_the_same(images, monkeypatch, caplog):
    if provider(-1, "float32") == CPU:
        pytest.skip("this onnxruntime has its CPU provider alone")
    runtime = onnxruntime_module()
    start = runtime.InferenceSession

    def refusing(model, options, providers):
        if providers[0][0] != CPU:
            raise RuntimeError("no handler for this operator")
        return start(model, options, providers=providers)

    monkeypatch.setattr(runtime, "InferenceSession", refusing)
    near(opened(network())(images), expected(images))
    assert "onnxruntime's CPU provider runs it" in caplog.text
    with pytest.raises(ValueError, match="not an ONNX file that can be run"):
        Session(b"junk")


def test_cached_embeddings_are_of_what_was_declared(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(network())
    parser = argparse.ArgumentParser()
    add_network_arguments(parser, batch_size=8)

    def facts(*words, text=str(path)):
        return embedding_facts(parser.parse_args(["--gpu", "-1", *words]), text)

    found = [
        facts("--preset", "insightface"),
        facts("--preset", "adaface"),
        facts("--preset", "adaface", "--output-name", "out"),
        facts("--input-color", "rgb", "--mean", "127.5", "--scale", "128"),
        facts("--input-color", "rgb", "--mean", "127.5", "--scale", "64"),
        facts(text=f"{path}@color=rgb;mean=127.5;scale=1"),
    ]
    assert len({str(one) for one in found}) == len(found)
    assert len({one["model"] for one in found}) == 1
    assert facts(text=f"{path}@insightface") == found[0]
