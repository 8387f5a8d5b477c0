"""The second detector, against the first on real photos."""

from arcface_mxnet.align import caps
from arcface_mxnet.align.crop import align_face
from arcface_mxnet.align.face import main_face
from arcface_mxnet.align.mtcnn import MtcnnDetector
from arcface_mxnet.align.yunet import YunetDetector
from arcface_mxnet.data.images import read_image
import cv2
import numpy as np
import pytest


@pytest.fixture(scope="module")
def detector(models):
    return YunetDetector(model_dir=models)


@pytest.fixture(scope="module")
def photo(shared_data):
    return read_image(shared_data / "lfw/fold_1/Abel_Pacheco/Abel_Pacheco_0001.jpg")


@pytest.fixture(scope="module")
def published(models, photo):
    """Return the main face as the published detector finds it."""
    detector = MtcnnDetector(model_dir=models / "mtcnn", engine="onnxruntime")
    return main_face(detector.detect(photo), photo.shape)


def apart(face, other):
    """Return the mean distance of landmarks, of the distance between the eyes."""
    distance = np.linalg.norm(face.landmarks - other.landmarks, axis=1).mean()
    return distance / np.linalg.norm(other.landmarks[0] - other.landmarks[1])


def test_landmarks_are_those_of_the_published_detector_in_its_order(detector, photo, published):
    faces = detector.detect(photo)
    assert [face.score for face in faces] == sorted((f.score for f in faces), reverse=True)
    assert apart(main_face(faces, photo.shape), published) < 0.15


@pytest.mark.parametrize("factor", [0.3, 2, 6, 11])
def test_landmarks_are_in_the_photo_whatever_its_size(detector, photo, published, factor):
    size = tuple(round(side * factor) for side in photo.shape[1::-1])
    resized = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if factor < 1 else 2)
    face = main_face(detector.detect(resized), resized.shape)
    there = type(face)(
        (face.box + 0.5) / factor - 0.5, (face.landmarks + 0.5) / factor - 0.5, face.score
    )
    assert apart(there, published) < 0.2


def test_a_given_box_and_a_photo_that_is_one(detector, photo, published):
    assert apart(detector.detect_in_box(photo, published.box), published) < 0.15
    x1, y1, x2, y2 = published.box.round().astype(int)
    (face,) = detector.detect_limited(photo[y1:y2, x1:x2])
    moved = type(face)(face.box, face.landmarks + (x1, y1), face.score)
    assert apart(moved, published) < 0.15
    assert detector.detect_in_box(photo, np.array([2, 2, 20, 20])) is None
    assert detector.detect_in_box(photo, np.array([-90, -90, -20, -20])) is None
    assert detector.detect_in_box(photo, np.array([0, 0, 3e6, 3e6])) is None


@pytest.mark.parametrize("shape", [(1, 1), (12, 31), (31, 31), (40, 3000)])
def test_small_and_long_images_are_searched_and_hold_nothing(detector, shape):
    assert detector.detect(np.full((*shape, 3), 127, np.uint8)) == []


def test_grey_and_transparent_images(detector, photo, published):
    grey = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    assert apart(main_face(detector.detect(grey), photo.shape), published) < 0.3
    bgra = cv2.cvtColor(photo, cv2.COLOR_BGR2BGRA)
    assert len(detector.detect(bgra)) == len(detector.detect(photo))
    with pytest.raises(ValueError, match="float32"):
        detector.detect(photo.astype(np.float32))


def test_what_opencv_does_not_read_is_named(tmp_path):
    (tmp_path / "yunet.onnx").write_bytes(b"no network")
    with pytest.raises(ValueError, match=f"{tmp_path}/yunet.onnx is no YuNet"):
        YunetDetector(model_dir=tmp_path)
    with pytest.raises(ValueError, match="min_size 0"):
        YunetDetector(model_dir=tmp_path, min_size=0)


@pytest.mark.parametrize("make", [YunetDetector, MtcnnDetector])
def test_faces_of_a_crowd_are_capped_and_it_is_said(make, models, photo, monkeypatch, caplog):
    folder = models if make is YunetDetector else models / "mtcnn"
    crowd = np.tile(align_face(photo, [[90, 110], [140, 110], [115, 140], [95, 165], [135, 165]],
                               (112, 112)), (3, 3, 1))  # fmt: skip
    engine = {} if make is YunetDetector else {"engine": "onnxruntime"}
    detector = make(model_dir=folder, **engine)
    every = detector.detect(crowd)
    assert len(every) > 4 and "faces in one image" not in caplog.text
    monkeypatch.setattr(caps, "MOST_FACES", 4)
    few = detector.detect(crowd)
    assert [face.score for face in few] == [face.score for face in every[:4]]
    assert f"{len(every)} faces in one image: the 4 of best score are taken" in caplog.text


def test_candidates_are_capped_by_score(caplog):
    low = np.arange(0, 100, 20.0)[:, None]
    boxes = np.concatenate([np.hstack([low, low, low + 9, low + 9]), [[1, 0, 9, 9]]])
    scores = np.array([0.5, 0.9, 0.1, 0.8, 0.7, 0.2])  # the last is hidden by the first
    assert caps.best_candidates(boxes, scores, 5).tolist() == [1, 3, 4, 0, 2]
    assert not caplog.text
    assert caps.best_candidates(boxes, scores, 3).tolist() == [1, 3, 4]
    assert "more than 3 places in one image may be faces: those of best score" in caplog.text
