from arcface_mxnet.align.check_crops import main
from arcface_mxnet.align.crop import align_face, crop_box
from arcface_mxnet.align.crop_report import check_crops
from arcface_mxnet.align.face import main_face
from arcface_mxnet.align.mtcnn import MtcnnDetector
from arcface_mxnet.data.images import read_image
import cv2
import mxnet as mx
import numpy as np
import pytest


@pytest.fixture(scope="module")
def detector(models):
    return MtcnnDetector(mx.cpu(), min_size=40, model_dir=models / "mtcnn")


@pytest.fixture(scope="module")
def faces(detector, shared_data):
    """Return 16 photos with the landmarks of their main faces."""
    paths = sorted((shared_data / "lfw/fold_1").rglob("*.jpg"))[5::50][:16]
    photos = [read_image(path) for path in paths]
    return [(p, main_face(detector.detect(p), p.shape).landmarks) for p in photos]


@pytest.fixture(scope="module")
def crops(faces):
    return [align_face(photo, landmarks) for photo, landmarks in faces]


def moved(crop, x, y):
    return cv2.warpAffine(crop, np.array([[1.0, 0, x], [0, 1, y]]), (112, 112))


@pytest.mark.parametrize("size", [(112, 112), (112, 96)])
def test_good_crops_have_no_fault(faces, detector, size):
    report = check_crops([align_face(*face, size) for face in faces], detector)
    assert report.faults == () and report.num_found == report.num_crops == 16
    assert np.abs(report.shift).max() < 1 and np.abs(report.scale - 1).max() < 0.06


@pytest.mark.parametrize(
    "spoil, expected",
    [
        (lambda crop: moved(crop, -8, 0), r"-\d\.\d pixels off in x: aligned to the reference"),
        (lambda crop: moved(crop, 8, 0), r"\+\d\.\d pixels off in x: aligned to the reference"),
        (lambda crop: moved(crop, 0, 8), r"pixels off in x, y: not aligned"),
        (lambda crop: crop[..., ::-1].copy(), "red and blue are swapped"),
        (lambda crop: cv2.resize(crop[:, 8:104], (112, 112)), r"are 1.2\d times as wide"),
        (lambda crop: cv2.resize(crop, (96, 112)), r"are 0.9\d times as wide"),
        (lambda crop: crop[:, 2:110], "are 112x108"),
        (lambda crop: crop[::-1, ::-1].copy(), r"1[56] crops lie on their side or stand on their"),
        (lambda crop: np.rot90(crop).copy(), r"1[456] crops lie on their side or stand on their"),
    ],
)
def test_each_fault_is_told_from_the_others(crops, detector, spoil, expected):
    faults = check_crops([spoil(crop) for crop in crops], detector).faults
    assert len(faults) == 1, faults
    pytest.raises(ValueError, _raise, faults[0]).match(expected)


def _raise(message):
    raise ValueError(message)


def test_crops_cut_without_alignment_are_seen(faces, detector):
    report = check_crops([crop_box(photo) for photo, _ in faces], detector)
    assert any("not aligned" in fault for fault in report.faults)


def test_grey_crops_have_no_colour_fault(crops, detector):
    grey = [cv2.cvtColor(cv2.cvtColor(c, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR) for c in crops]
    report = check_crops(grey, detector)
    assert report.red is None and report.faults == ()


def test_script_says_what_is_wrong_by_its_exit_code(crops, models, tmp_path, capsys):
    for number, crop in enumerate(crops):
        cv2.imwrite(str(tmp_path / f"{number}.png"), crop)
    arguments = [str(tmp_path), "--detector", f"{models}/mtcnn"]
    assert main(arguments) == 0
    assert "aligned as published" in capsys.readouterr().out
    for number, crop in enumerate(crops):
        cv2.imwrite(str(tmp_path / f"{number}.png"), crop[..., ::-1])
    assert main([*arguments, "--sample", "8"]) == 1
    out = capsys.readouterr().out
    assert "8 of 16 crops" in out and "WRONG" in out
    assert main([str(tmp_path / "absent")]) == 2
