"""ONNX networks of others, against what onnxruntime makes of the same file."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from arcface_mxnet.checkpoints.network import StoredNetwork  # noqa: E402
from arcface_mxnet.engines.model_input import numbers  # noqa: E402
from arcface_mxnet.engines.reference import run_mxnet  # noqa: E402
from arcface_mxnet.importing.from_onnx import import_onnx  # noqa: E402
from arcface_mxnet.importing.norms import with_measured_norms  # noqa: E402
from arcface_mxnet.importing.proof import (  # noqa: E402
    checked,
    compare_with_file,
    face_like_crops,
    file_embeddings,
)
from onnx import helper  # noqa: E402

from tests.importing.foreign import SIZE, make, model, nodes, stored  # noqa: E402

FED = {"color": "rgb", "mean": (127.5,), "scale": (127.5,)}
CROPS = face_like_crops(SIZE, 4)


def took(made, **options):
    """Return what was imported, after it was held against onnxruntime."""
    data = made.SerializeToString()
    imported = import_onnx(data, "m.onnx", **FED | options)
    compare_with_file(imported, data, CROPS, "m.onnx")
    return imported


def test_a_file_of_torch_gives_what_torch_gave(shared_data):
    data = (shared_data / "foreign_onnx/mbf_torch.onnx").read_bytes()
    with np.load(shared_data / "foreign_onnx/mbf_torch.npz") as given:
        images, expected = given["images"], given["embedding_of_rounded"]
    imported = import_onnx(data, "mbf", **FED)
    assert len(imported.restored) == 49 and imported.batch is None and imported.size == (112, 112)
    found = run_mxnet(imported.network, images.astype(np.float32))[0]
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize(
    ("mean", "scale"), [((127.5,), (128.0,)), ((0.0,), (1.0,)), ((100.0, 110.0, 120.0), (60.0,)),
                        ((127.5,), (50.0, 60.0, 70.0))],
)  # fmt: skip
def test_what_it_is_fed_becomes_its_first_layers(color, mean, scale):
    imported = took(model(), color=color, mean=mean, scale=scale)
    other = {"rgb": "bgr", "bgr": "rgb"}[color]
    swapped = import_onnx(model().SerializeToString(), "m", color=other, mean=mean, scale=scale)
    data = model().SerializeToString()
    expected = file_embeddings(swapped, data, swapped.fed.apply(raw(CROPS)), "m")
    with pytest.raises(ValueError, match="does not give what the other gives: lowest cosine"):
        checked(imported.network, raw(CROPS), expected, "m", "the other gives")


def raw(crops):
    return crops.transpose(0, 3, 1, 2)


def test_a_bias_becomes_a_norm_that_adds_it_to_the_bit():
    norm, bias = (took(model(), restore=restore) for restore in (True, False))
    assert norm.restored == ["conv_Conv_norm"] and bias.restored == []
    images = raw(CROPS).astype(np.float32)
    np.testing.assert_array_equal(run_mxnet(norm.network, images), run_mxnet(bias.network, images))
    (node,) = [n for n in norm.network.graph.nodes if n.name == "conv_Conv_norm"]
    assert node.operator == "BatchNorm" and node.get("use_global_stats", False) is True


def test_a_bias_before_a_norm_is_a_bias():
    norm = {"G": np.ones(4), "B": np.ones(4), "M": np.ones(4), "V": np.full(4, 2.0)}
    layers = nodes()
    layers.insert(1, make("BatchNormalization", ["a", *"GBMV"], ["an"], "bn"))
    layers[2].input[0] = "an"
    imported = took(model(layers, stored() | norm))
    assert imported.restored == [] and "conv_Conv_bias" in imported.network.parameters


def test_a_measured_norm_has_the_statistics_of_the_crops():
    crops = face_like_crops(SIZE, 40)
    before = took(model())
    after = with_measured_norms(before.network, before.restored, crops)
    images = raw(crops).astype(np.float32)
    np.testing.assert_allclose(
        run_mxnet(after, images)[0], run_mxnet(before.network, images)[0], rtol=1e-4, atol=1e-5
    )
    weight = stored()["onnx::Conv_1"]
    scaled = np.pad((images - 127.5) / 127.5, ((0, 0), (0, 0), (1, 1), (1, 1)))
    values = np.stack([
        np.tensordot(scaled[:, :, y : y + 3, x : x + 3], weight, ([1, 2, 3], [1, 2, 3]))
        for y in range(0, 8, 2) for x in range(0, 8, 2)
    ])  # fmt: skip
    found = after.parameters
    name = "conv_Conv_norm"
    np.testing.assert_allclose(found[f"{name}_moving_mean"], values.mean((0, 1)), atol=1e-5)
    np.testing.assert_allclose(found[f"{name}_moving_var"], values.var((0, 1)), rtol=1e-4)
    assert "use_global_stats" not in str([n.texts for n in after.graph.nodes])


def test_first_layers_that_scale_pixels_need_no_saying():
    scaling = [make("Sub", ["input.1", "mean"], ["x"]), make("Mul", ["x", "by"], ["y"])]
    layers = [*scaling, *nodes()]
    layers[2].input[0] = "y"
    for mean, scale in ((127.5, 1 / 128), (np.full((1, 3, 1, 1), 120.0), 1 / 60)):
        made = model(layers, stored() | {"mean": mean, "by": scale})
        imported = took(made, mean=None, scale=None)
        assert imported.notes == ["its first layers scale raw pixels, 0..255"]
    for mean, scale in ((0.5, 2.0), (0.0, 1 / 2000), (127.5, 1.0)):
        made = model(layers, stored() | {"mean": mean, "by": scale}).SerializeToString()
        with pytest.raises(ValueError, match="Conv '/conv/Conv' is the first layer, and what it"):
            import_onnx(made, "m.onnx", color="rgb")


def test_a_norm_of_raw_pixels_needs_no_saying_either():
    norm = {"G": np.ones(3), "B": np.zeros(3), "M": np.full(3, 125.0), "V": np.full(3, 3600.0)}
    layers = [make("BatchNormalization", ["input.1", *"GBMV"], ["y"], "bn_data"), *nodes()]
    layers[1].input[0] = "y"
    took(model(layers, stored() | norm), mean=None, scale=None)
    with pytest.raises(ValueError, match="BatchNormalization 'bn_data' is the first layer"):
        took(model(layers, stored() | norm | {"M": np.zeros(3)}), mean=None, scale=None)


def test_a_file_for_one_image_at_a_time():
    layers = [node for node in nodes() if node.op_type in ("Conv", "PRelu")]
    layers += [make("Reshape", ["b", "shape"], ["c"], "/Reshape"), *nodes()[-2:]]
    made = model(layers, stored() | {"shape": np.array([1, 64])}, shape=(1, 3, *SIZE))
    assert took(made).batch == 1


def test_images_with_the_channels_last():
    layers = [make("Transpose", ["input.1"], ["t"], "/T", perm=[0, 3, 1, 2]), *nodes()]
    layers[1].input[0] = "t"
    imported = took(model(layers, shape=("N", *SIZE, 3)))
    assert imported.is_channels_last
    assert "transpose" not in [node.operator for node in imported.network.graph.nodes]
    kept = [make("Relu", ["input.1"], ["r"], "/R"), *layers]
    kept[1].input[0] = "r"
    took(model(kept, shape=("N", *SIZE, 3)))


def test_one_of_two_outputs_is_named():
    made = model(outputs=("out", "b"))
    with pytest.raises(ValueError, match=r"it has 2 outputs \('out', 'b'\): name the embedding by"):
        took(made)
    took(made, output="out")
    with pytest.raises(ValueError, match=r"'b' is \(N, 4, 4, 4\), not one vector for each image"):
        took(made, output="b")
    with pytest.raises(ValueError, match="--output 'x': it has no such output; there are 'out'"):
        took(made, output="x")


def test_an_unfolded_export_of_our_own_has_its_names_without_its_metadata(initialised):
    from arcface_mxnet.engines.conversion import to_onnx

    given = initialised("m1", (16, 16), emb_size=8, multiplier=0.0625)
    wanted = StoredNetwork.of(*given)
    made = to_onnx(*given, size=(16, 16), fold=False)
    whole = import_onnx(made.SerializeToString(), "m")
    assert whole.network.fingerprint == wanted.fingerprint
    del made.metadata_props[:]
    bare = import_onnx(made.SerializeToString(), "m", color="rgb")
    for name, value in bare.network.parameters.items():
        if not name.endswith("gamma"):  # some are fixed at 1, and written as 1
            np.testing.assert_array_equal(value, wanted.parameters[name])
    assert bare.network.parameters.keys() == wanted.parameters.keys()


def changed(change):
    made = model()
    change(made.graph)
    return made


def attribute(number, name, value):
    return changed(
        lambda graph: graph.node[number].attribute.append(helper.make_attribute(name, value))
    )


def external(graph):
    graph.initializer[0].data_location = 1
    graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


def other_node(operator, number=1, **options):
    def change(graph):
        graph.node[number].op_type = operator
        for name, value in options.items():
            setattr(graph.node[number], name, value)

    return changed(change)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (other_node("Resize"), "m.onnx: Resize '/act/PRelu': an operator that has no handler"),
        (other_node("PRelu", domain="com.microsoft"), "PRelu '/act/PRelu': .* domain 'com.micros"),
        (attribute(0, "colour", 3), "Conv '/conv/Conv': .*Unrecognized attribute: colour"),
        (attribute(10, "training_mode", 1), "BatchNormalization .* a norm that is training"),
        (model(opset=6), "m.onnx: is of opset 6; read are 7 to"),
        (changed(external), "tensor 'onnx::Conv_1' has its values in another file"),
        (model(shape=("N", 3, "H", "W")), "no fixed size; give --image-size"),
        (model(shape=("N", 1, 8, 8)), "its images have 1 channels; wanted are 3"),
        (model(shape=("N", 192)), "its input has 2 axes"),
        (changed(lambda graph: graph.node[9].ClearField("input")), "MatMul '/fc/MatMul': input 0"),
        (changed(lambda graph: graph.initializer.pop()), "reads 'norm.running_var', which nothing"),
        (changed(lambda graph: graph.node.pop(1)), "Reshape '/Reshape' reads 'b'|Shape.*reads 'b'"),
        (model(arrays=stored() | {"onnx::Conv_2": np.ones(5)}), r"Conv .* a bias \(5,\) of 4"),
        (model(arrays=stored() | {"onnx::PRelu_3": np.ones((8, 1))}), r"PRelu .* slopes \(8, 1\)"),
        (model(arrays=stored() | {"onnx::Conv_1": np.ones((4, 2, 3, 3))}), "Conv .* a kernel"),
        (model(arrays=stored() | {"onnx::MatMul_4": np.ones((60, 6))}), "MatMul .* for vectors of"),
        (model([make("Identity", ["input.1"], ["out"])]), r"'out' is \(N, 3, 8, 8\), not one"),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_said_by_name(made, reason):
    with pytest.raises(ValueError, match=reason):
        took(made)


def test_colour_and_size_are_asked_for():
    with pytest.raises(ValueError, match="give --input-color, one of rgb, bgr"):
        took(model(), color=None)
    with pytest.raises(ValueError, match=r"it takes images of 8x8 .*, --image-size says 9x9"):
        took(model(), size=(9, 9))
    took(model(shape=("N", 3, "H", "W")), size=SIZE)
    for text in ("", "1,2", "nan", "a", "1,2,3,4"):
        with pytest.raises(ValueError, match=f"--mean {text!r}: give one number, or three"):
            numbers(text, "--mean")
    with pytest.raises(ValueError, match="scale 0: pixels are divided by it"):
        took(model(), scale=(1.0, 0.0, 1.0))
    took(model(), scale=(-2.0,), mean=(3.0,))
    assert numbers("2, 3,4", "--scale") == (2, 3, 4)


def test_a_truncated_file_is_no_network():
    data = model().SerializeToString()
    for size in (0, 10, 200, len(data) - 1):
        with pytest.raises(ValueError, match=r"^m\.onnx: "):
            import_onnx(data[:size], "m.onnx", **FED)
