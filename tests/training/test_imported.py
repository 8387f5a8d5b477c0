"""An imported network trains like one of this project: with every loss, and to the bit."""

from pathlib import Path

from arcface_mxnet.checkpoints.embedding_part import load_slim
from arcface_mxnet.checkpoints.load import load_checkpoint, save_checkpoint
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.plan import make_plan
import numpy as np
import pytest

from tests.end_to_end.every_loss import KEYS, OPTIONS

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from arcface_mxnet.engines.conversion import checkpoint_to_onnx, write_model  # noqa: E402
from arcface_mxnet.importing import command  # noqa: E402
from arcface_mxnet.train_softmax import main as train_main  # noqa: E402

SIZE = (16, 16)
SEARCHING = dict.fromkeys(("12", "13"), ("--triplet-alpha", "2"))  # faces so unlike each other


def foreign_onnx(path: Path) -> None:
    """Write what torch would of convolution with a folded norm, slopes, and a dense layer."""
    rng = np.random.default_rng(2)
    stored = {
        "onnx::Conv_1": rng.normal(0, 0.2, (6, 3, 3, 3)),
        "onnx::Conv_2": rng.normal(0, 0.2, 6),
        "onnx::PRelu_3": np.full((6, 1, 1), 0.25),
        "fc.weight": rng.normal(0, 0.1, (16, 6 * 8 * 8)),
        "fc.bias": np.zeros(16),
    }
    make = onnx.helper.make_node
    nodes = [
        make("Conv", ["input.1", "onnx::Conv_1", "onnx::Conv_2"], ["a"], "/conv/Conv",
             kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        make("PRelu", ["a", "onnx::PRelu_3"], ["b"], "/act/PRelu"),
        make("Flatten", ["b"], ["c"], "/Flatten"),
        make("Gemm", ["c", "fc.weight", "fc.bias"], ["out"], "/fc/Gemm", transB=1),
    ]  # fmt: skip
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "g", [info("input.1", 1, ["N", 3, *SIZE])], [info("out", 1, ["N", 16])],
        [onnx.numpy_helper.from_array(v.astype(np.float32), k) for k, v in stored.items()],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)])
    model.ir_version = 7
    path.write_bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """Return the prefix of a network that was imported."""
    folder = tmp_path_factory.mktemp("foreign")
    foreign_onnx(folder / "theirs.onnx")
    fed = ["--input-color", "rgb", "--mean", "127.5", "--scale", "127.5"]
    assert command.main([str(folder / "theirs.onnx"), *fed]) == 0
    return str(folder / "theirs")


def trained(config, **more):
    """Return symbol and parameters, as bytes, after three steps."""
    symbol, args, aux = load_checkpoint(train(TrainConfig(**config | more, max_steps=3)).checkpoint)
    arrays = {name: array.asnumpy().tobytes() for name, array in (args | aux).items()}
    return symbol, arrays


def test_an_own_export_goes_on_to_the_bit(options, tmp_path):
    # Without the classifier, which belongs to its dataset and is in no export.
    save_checkpoint(
        str(tmp_path / "first"),
        0,
        *load_slim(train(TrainConfig(**options, max_steps=3)).checkpoint),
    )
    first = f"{tmp_path / 'first'},0"
    model = tmp_path / "export.onnx"
    write_model(model, checkpoint_to_onnx(first, SIZE, fold=False))
    assert command.main([str(model), "--prefix", str(tmp_path / "back")]) == 0
    _, wanted = trained(options | {"prefix": str(tmp_path / "1")}, pretrained=first)
    again = {"pretrained": f"{tmp_path / 'back'},0"}
    _, found = trained(options | {"prefix": str(tmp_path / "2")}, **again)
    assert found == wanted
    # The same by the symbols of both; the classifier is then drawn as the resnets' is.
    by_symbol = {"pretrained": first, "network": f"{first.rpartition(',')[0]}-symbol.json"}
    _, wanted_so = trained(options | {"prefix": str(tmp_path / "3")}, **by_symbol)
    again["network"] = f"{tmp_path / 'back'}-symbol.json"
    _, found_so = trained(options | {"prefix": str(tmp_path / "5")}, **again)
    assert found_so == wanted_so != wanted
    _, other = trained(options | {"prefix": str(tmp_path / "4")}, pretrained=first, lr=0.02)
    assert other != wanted


@pytest.mark.parametrize("key", KEYS)
def test_a_foreign_network_trains_with_every_loss(foreign, dataset_dir, tmp_path, key):
    count = len(FaceDataset(dataset_dir).image_keys)
    np.save(tmp_path / "teacher.npy", np.eye(count, 4, dtype=np.float32) + 0.1)
    line = [
        "--data-dir", dataset_dir, "--prefix", tmp_path / "m", "--loss-type", key, "--target", "",
        "--network", f"{foreign}-symbol.json", "--pretrained", f"{foreign},0", "--emb-size", "16",
        "--per-batch-size", "12", "--frequent", "1", "--lr", "0.05", "--max-steps", "2",
        *(word.replace("DATA", str(tmp_path)) for word in OPTIONS.get(key, ())),
        *SEARCHING.get(key, ()),
    ]  # fmt: skip
    assert train_main(list(map(str, line))) == 0
    _, args, aux = load_checkpoint(f"{tmp_path / 'm'},last")
    _, before, states = load_checkpoint(f"{foreign},0")
    for name in before:
        assert np.isfinite(args[name].asnumpy()).all()
    assert (args["conv_Conv_weight"] != before["conv_Conv_weight"]).asnumpy().any()
    assert (args["conv_Conv_norm_beta"] != before["conv_Conv_norm_beta"]).asnumpy().any()
    for name, array in states.items():  # a norm that keeps its statistics
        np.testing.assert_array_equal(aux[name].asnumpy(), array.asnumpy())


def test_a_run_of_it_is_resumed(foreign, options, tmp_path):
    own = {"network": f"{foreign}-symbol.json", "pretrained": f"{foreign},0", "emb_size": 16}
    straight = options | own | {"prefix": str(tmp_path / "straight")}
    _, wanted = trained(straight)
    halves = options | own | {"prefix": str(tmp_path / "halves")}
    train(TrainConfig(**halves, max_steps=1))
    _, found = trained(halves, resume=True)
    assert found == wanted


def test_its_embedding_has_the_size_that_it_has(foreign, options):
    run = options | {"network": f"{foreign}-symbol.json"}
    with pytest.raises(ValueError, match="--emb-size 8: the embedding of .* has 16; give"):
        make_plan(TrainConfig(**run))
    run["network"] = "none-symbol.json"
    with pytest.raises(FileNotFoundError, match=r"none-symbol\.json"):
        make_plan(TrainConfig(**run))
