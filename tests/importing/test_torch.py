"""Checkpoints of arcface_torch, both ways: by the names and shapes of its networks."""

from importlib.util import find_spec
import os
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from arcface_mxnet.checkpoints.load import save_checkpoint  # noqa: E402
from arcface_mxnet.checkpoints.network import read_network  # noqa: E402
from arcface_mxnet.engines.parity import Parity  # noqa: E402
from arcface_mxnet.engines.reference import run_mxnet  # noqa: E402
from arcface_mxnet.export import torch_command  # noqa: E402
from arcface_mxnet.export.torch_archive import write_archive  # noqa: E402
from arcface_mxnet.export.torch_state import torch_state  # noqa: E402
from arcface_mxnet.importing import command  # noqa: E402
from arcface_mxnet.importing.from_torch import import_torch  # noqa: E402
from arcface_mxnet.importing.proof import compare_with_file, face_like_crops  # noqa: E402
from arcface_mxnet.importing.torch_networks import (  # noqa: E402
    IRESNETS,
    MOBILEFACENETS,
    SCALES,
    iresnet,
    mobilefacenet,
    recognised,
)

from tests.importing.settled import settled  # noqa: E402

CROPS = face_like_crops((112, 112), 2)
RAW = CROPS.transpose(0, 3, 1, 2)
SCRIPT = Path(__file__).with_name("torch_modules.py")


def run_torch(action, folder):
    """Run torch in a process of its own: it and MXNet bring an OpenMP each."""
    line = [sys.executable, str(SCRIPT), action, str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a folder with networks that torch wrote, and what torch makes of RAW."""
    if find_spec("torch") is None:
        pytest.skip("torch is not installed, which writes and reads the other side")
    folder = tmp_path_factory.mktemp("torch")
    np.save(folder / "images.npy", RAW)
    run_torch("write", folder)
    return folder


def test_both_worlds_exchange_checkpoints(written):
    """From torch to here, compared with torch; back to torch, compared with torch."""
    for name in ("r18", "mbf2", "large1"):
        expected = np.load(written / f"{name}.npz")["embedding"]
        for file in (f"{name}.pth", *([f"{name}.nested.pt"] * (name == "large1"))):
            assert command.main([str(written / file), "--prefix", str(written / name)]) == 0
            network = read_network(f"{written / name},0")
            parity = Parity.of([expected], run_mxnet(network, RAW.astype(np.float32)))
            assert parity.max_difference < 1e-5, (file, parity)
        back = ["--model", f"{written / name},0", "--torch"]
        assert torch_command.main([*back, str(written / f"{name}.back.pth")]) == 0
    run_torch("read", written)
    for name in ("r18", "mbf2", "large1"):
        again = np.load(written / f"{name}.back.npy")
        assert (again == np.load(written / f"{name}.npz")["embedding"]).all()  # to the bit


def test_what_torch_wrote_before_1_6_is_refused(written, capsys):
    assert command.main([str(written / "large1.old.pth"), "--prefix", str(written / "x")]) == 2
    said = capsys.readouterr().err
    assert "as torch wrote before 1.6, which is not read; save it anew where torch is" in said
    assert not list(written.glob("x-*"))


@pytest.mark.parametrize(
    "known", [*(iresnet(units) for units in IRESNETS.values()),
              *(mobilefacenet(b, s) for b in MOBILEFACENETS.values() for s in SCALES)],
    ids=lambda known: known.title,
)  # fmt: skip
def test_the_table_names_all_that_the_symbol_reads(known):
    symbol = known.build(8)
    shapes, _, states = symbol.infer_shape(data=(1, 3, *known.size))
    here = dict(zip(symbol.list_arguments(), shapes, strict=True))
    here |= zip(symbol.list_auxiliary_states(), states, strict=True)
    del here["data"]
    if known.is_mobile:
        del here["pre_fc1_bias"]
    assert sorted(known.names.values()) == sorted(here)
    assert recognised({name: here[ours] for name, ours in known.names.items()}) == known or (
        recognised({name: here[ours] for name, ours in known.names.items()}).title == known.title
    )


@pytest.fixture(scope="module")
def mobile(initialised):
    """Return a y1 of this project as StoredNetwork, and its state there."""
    network = settled(*initialised("y1", emb_size=8, output="GDC"), (112, 112))
    return network, torch_state(network)[1]


def test_what_differs_there_goes_into_the_parameters(mobile):
    network, state = mobile
    ours = network.parameters
    first, var = state["layers.0.layers.0.weight"], state["layers.0.layers.1.running_var"]
    np.testing.assert_allclose(first, ours["conv_1_conv2d_weight"] * (127.5 / 128), rtol=1e-6)
    wanted = ours["conv_1_batchnorm_moving_var"] + np.float32(1e-3 - 1e-5)
    np.testing.assert_allclose(var, wanted, rtol=1e-6)
    assert (state["features.layers.3.weight"] == 1).all() and not (ours["fc1_gamma"] == 1).all()
    assert state["layers.0.layers.1.num_batches_tracked"].dtype == np.int64
    mean = ours["fc1_moving_mean"] - ours["pre_fc1_bias"]
    np.testing.assert_allclose(state["features.layers.3.running_mean"], mean, rtol=1e-6)


@pytest.mark.parametrize("end", ["pth", "safetensors"])
def test_a_file_comes_back_as_it_went_to_the_bit(mobile, tmp_path, end):
    _, state = mobile
    torch_command.WRITERS[f".{end}"](tmp_path / f"m.{end}", state)
    imported, reference = import_torch(tmp_path / f"m.{end}")
    assert compare_with_file(imported, reference, CROPS, "m").max_difference < 1e-5
    _, again = torch_state(imported.network)
    assert list(again) == list(state)
    for name, value in state.items():
        np.testing.assert_array_equal(again[name], value)


def test_a_last_norm_that_learned_its_scale_keeps_it(mobile, tmp_path):
    _, state = mobile
    scale = np.linspace(0.5, 1.5, 8, dtype="<f4")
    for value in (scale, np.ones_like(scale)):
        write_archive(tmp_path / "m.pth", state | {"features.layers.3.weight": value})
        imported, reference = import_torch(tmp_path / "m.pth")
        compare_with_file(imported, reference, CROPS, "m")
        (last,) = [node for node in imported.network.graph.nodes if node.name == "fc1"]
        assert last.get("fix_gamma", True) == (value is not scale)


def test_a_network_that_learned_bgr_takes_rgb_here(mobile, tmp_path):
    _, state = mobile
    write_archive(tmp_path / "m.pth", state)
    imported, reference = import_torch(
        tmp_path / "m.pth", color="bgr", mean=(100.0,), scale=(64.0,)
    )
    compare_with_file(imported, reference, CROPS, "m")
    with pytest.raises(ValueError, match="it subtracts 100 from the pixels; arcface_torch"):
        torch_state(imported.network)
    with pytest.raises(ValueError, match="one --mean and one --scale"):
        import_torch(tmp_path / "m.pth", mean=(1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match=r"of images of 112x112, --image-size says 96x112"):
        import_torch(tmp_path / "m.pth", size=(96, 112))


def test_networks_that_it_has_not_are_refused(initialised, tmp_path, capsys):
    for name, options in (("m1", {"multiplier": 0.125}), ("y1", {"output": "E"})):
        save_checkpoint(str(tmp_path / name), 0, *initialised(name, emb_size=8, **options))
        line = ["--model", f"{tmp_path / name},0", "--torch", str(tmp_path / "out.pth")]
        assert torch_command.main(line) == 2
        assert "arcface_torch has no such network: it has LResNet-IR" in capsys.readouterr().err
    assert torch_command.main([*line[:-1], "out.onnx"]) == 2
    assert "give a name in .pth, .pt, .safetensors" in capsys.readouterr().err
    assert not (tmp_path / "out.pth").exists()


DEEP = "layer3.14.conv1.weight"


def without(name):
    return lambda state: state.pop(name)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without("conv_sep.layers.1.bias"), r"MobileFaceNet .*lacks conv_sep\.layers\.1\.bias$"),
        (lambda s: s.update({"se.weight": s["conv_sep.layers.1.bias"]}), "has no se.weight$"),
        (lambda s: s.update({"conv_sep.layers.1.bias": np.zeros(7, np.float32)}),
         r"conv_sep.layers.1.bias is \(7,\), not \(512,\)$"),
        (lambda s: s.update({"layers.7.layers.2.layers.0.layers.0.weight": np.zeros(7, "<f4")}),
         r"a MobileFaceNet of \(1, 4, 6, 3\) blocks, 1 x 64 .*known are \(1, 4, 6, 2\)"),
        (lambda s: s.update({"conv_sep.layers.1.bias": np.zeros(512, "<i8")}), "bias is int64; a"),
        (lambda s: s.clear(), "it holds no network"),
        (lambda s: (s.clear(), s.update({"a.weight": np.zeros(2, "<f4")})), "are of no network"),
        (lambda s: (s.clear(), s.update({"layer1.0.bn1.weight": np.zeros(2, "<f4"),
                                         DEEP: np.zeros(2, "<f4")})),
         r"an IResNet of \(1, 0, 15, 0\) units in its stages; known are 18: \(2, 2, 2, 2\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_by_name(mobile, tmp_path, capsys, change, reason):
    state = dict(mobile[1])
    change(state)
    write_archive(tmp_path / "m.pth", state)
    with pytest.raises(ValueError, match=reason) as error:
        import_torch(tmp_path / "m.pth")
    assert str(error.value).startswith(f"{tmp_path / 'm.pth'}: ")
    assert command.main([str(tmp_path / "m.pth")]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.pth"]


def test_the_published_network_of_2018_goes_there_and_back(shared_data, tmp_path):
    """Its embedding's weight has an older name."""
    published = f"{shared_data / 'published_y1' / 'model'},0"
    path = str(tmp_path / "y1.safetensors")
    assert torch_command.main(["--model", published, "--torch", path]) == 0
    assert command.main([path]) == 0
    expected, found = (
        run_mxnet(read_network(checkpoint), RAW.astype(np.float32))
        for checkpoint in (published, f"{tmp_path / 'y1'},0")
    )
    assert Parity.of(expected, found).max_difference < 1e-5
