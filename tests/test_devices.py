"""Every command that is given a GPU says in one line why MXNet cannot use it."""

import argparse
import importlib.util
from pathlib import Path

from arcface_mxnet import cuda, devices
from arcface_mxnet.align import align_faces, check_crops
from arcface_mxnet.devices import gpus, mxnet_device
from arcface_mxnet.embedding.arguments import open_embedder
from arcface_mxnet.eval import pack_pairs
from arcface_mxnet.megaface import align as megaface_align
from arcface_mxnet.megaface import gen_megaface
from arcface_mxnet.train_softmax import main as train
import cv2
import mxnet as mx
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
GPU = ("--gpu", "0", "--engine", "mxnet")
REFUSED = "GPU 0 has compute capability 9.0: MXNet cannot run there"


@pytest.fixture
def hopper(monkeypatch):
    """One card that the wheel has no code for, and a CUDA build that sees it."""
    monkeypatch.setattr(cuda, "compute_capabilities", lambda: [(9, 0)])
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 1)


@pytest.fixture
def ampere(monkeypatch):
    monkeypatch.setattr(cuda, "compute_capabilities", lambda: [(8, 0)])
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 1)


def test_the_cpu_is_never_asked_about(hopper):
    assert mxnet_device(-1) == mx.cpu()
    assert mxnet_device(-1, 1) == mx.cpu(1)


def test_a_gpu_that_is_served(ampere):
    assert mxnet_device(0) == mx.gpu(0)
    with pytest.raises(ValueError, match="GPU 1, 2 not found: MXNet sees 1.*, or do without$"):
        gpus([0, 1, 2], "do without")
    with pytest.raises(ValueError, match="GPU 3 not found.*--gpu -1 for the CPU"):
        mxnet_device(3)


def test_a_gpu_that_is_not(hopper):
    with pytest.raises(ValueError, match=REFUSED):
        mxnet_device(0)


def test_it_is_refused_before_mxnet_is_asked(hopper, monkeypatch):
    """With the CPU build too, where another wheel of MXNet would not help."""
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 0)
    with pytest.raises(ValueError, match=REFUSED):
        mxnet_device(0)


def test_a_cuda_build_without_a_driver_sees_none(monkeypatch, caplog):
    def fails():
        raise mx.MXNetError("Check failed: e == cudaSuccess\nCUDA: driver version is insufficient")

    monkeypatch.setattr(mx.context, "num_gpus", fails)
    assert devices.num_gpus() == 0
    assert caplog.messages == ["no GPU can be used: CUDA: driver version is insufficient"]


def script(name):
    spec = importlib.util.spec_from_file_location(f"deploy_{name}", ROOT / f"deploy/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture
def photos(tmp_path):
    """Return a folder of two people with two photos each."""
    folder = tmp_path / "photos"
    for person in ("anna", "bert"):
        (folder / person).mkdir(parents=True)
        for name in ("1.jpg", "2.jpg"):
            cv2.imwrite(str(folder / person / name), np.zeros((112, 112, 3), np.uint8))
    return folder


def words(name, photos, out):
    """Return the entry point and the arguments that bring it as far as its network."""
    places = [f"--{kind}{what}" for kind in ("facescrub", "megaface") for what in ("-root", "-lst")]
    photo, listing = str(photos / "anna" / "1.jpg"), photos / "list.txt"
    listing.write_text("anna/1.jpg\n")
    where = [str(photos), str(listing)] * 2
    return {
        "align": (align_faces.main, [str(photos), str(out), *GPU]),
        "check crops": (check_crops.main, [str(photos), *GPU]),
        "pack pairs": (
            pack_pairs.main,
            ["folder", "--data-dir", str(photos), "--output", str(out / "p.bin"), "--align",
             "mtcnn",
             *GPU],
        ),
        "megaface align": (
            megaface_align.main,
            ["megaface", "--input-dir", str(photos), "--name", "", "--output-dir", str(out),
             *GPU],
        ),
        "megaface features": (
            gen_megaface.main,
            ["--model", "model,1", "--output", str(out), *GPU,
             *(word for pair in zip(places, where, strict=True) for word in pair)],
        ),
        "test": (script("test"), [photo, *GPU]),
        "benchmark": (script("benchmark"), [photo, *GPU]),
        "train": (
            train,
            ["--gpus", "0", "--data-dir", str(photos), "--prefix", str(out / "model")],
        ),
    }[name]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["align", "check crops", "pack pairs", "megaface align", "megaface features", "test"]
    + ["benchmark", "train"],
)
def test_every_command_refuses_it_in_one_line(hopper, photos, tmp_path, capsys, name):
    main, arguments = words(name, photos, tmp_path / "out")
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith(f"error: {REFUSED}")] == lines
    assert not (tmp_path / "out").exists()


def test_every_script_that_embeds_refuses_it(hopper):
    arguments = argparse.Namespace(gpu=0, engine="mxnet", dtype="float32", batch_size=1)
    with pytest.raises(ValueError, match=REFUSED):
        open_embedder(arguments, "model,1")
