"""From a file to the encoded crop of a pair set."""

from arcface_mxnet.align.crop import crop_box
from arcface_mxnet.data.images import decode_bgr
from arcface_mxnet.eval.pair_images import ImagePreparer
import cv2
import numpy as np


class Blind:
    """Finds no face, neither in a photo nor in one that is said to be one."""

    def detect(self, image):
        return []

    detect_limited = detect


def test_a_photo_without_a_face_is_cut_and_named(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (150, 130, 3)).astype(np.uint8)
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), photo)
    prepare = ImagePreparer((112, 112), detector=Blind(), encoding=".png")
    crop = decode_bgr(prepare(path), "crop")
    assert np.array_equal(crop, crop_box(photo, None, (112, 112)))
    assert prepare.without_face == [path]
