"""A crop is told from a photo of its size by where the landmarks lie."""

from arcface_mxnet.align.aligned import is_aligned
from arcface_mxnet.align.crop import align_face
from arcface_mxnet.align.face import main_face
from arcface_mxnet.align.mtcnn import MtcnnDetector
from arcface_mxnet.data.images import read_image
import cv2
import numpy as np
import pytest


@pytest.fixture(scope="module")
def detector(models):
    return MtcnnDetector(model_dir=models / "mtcnn", engine="onnxruntime")


def test_crops_photos_and_neither(detector, shared_data):
    paths = sorted((shared_data / "lfw/fold_1").rglob("*.jpg"))[::80]
    assert len(paths) >= 10
    for path in paths:
        photo = read_image(path)
        landmarks = main_face(detector.detect(photo), photo.shape).landmarks
        assert is_aligned(align_face(photo, landmarks), detector) is True, path
        assert is_aligned(align_face(photo, landmarks, (112, 96)), detector) is True, path
        small = cv2.resize(photo, (112, 112), interpolation=cv2.INTER_AREA)
        assert is_aligned(small, detector) is False, path
        upside_down = np.ascontiguousarray(align_face(photo, landmarks)[::-1, ::-1])
        assert is_aligned(upside_down, detector) is not True, path
    assert is_aligned(np.zeros((112, 112, 3), np.uint8), detector) is None
    with pytest.raises(ValueError, match="crop size"):
        is_aligned(np.zeros((100, 100, 3), np.uint8), detector)
