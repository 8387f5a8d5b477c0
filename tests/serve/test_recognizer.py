"""The faces of a photo: which are told, which is taken, which speak for another person."""

from types import SimpleNamespace

from arcface_mxnet.align.face import Face
from arcface_mxnet.face_model import FaceModel
from arcface_mxnet.serve.photos import Photo
from arcface_mxnet.serve.recognizer import Recognizer
from arcface_mxnet.serve.refusal import Refusal
import cv2
import numpy as np
import pytest

FIVE = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.55], [0.35, 0.75], [0.65, 0.75]])  # of a box


def face(x, y, side, score=0.9):
    box = np.array([x, y, x + side, y + side], np.float32)
    return Face(box, (FIVE * side + (x, y)).astype(np.float32), score)


def recognizer(*faces, most=32, embed=None):
    detector = SimpleNamespace(detect=lambda bgr: list(faces), trust=None)
    return Recognizer(FaceModel(detector, embed), most)


def photo(scale=1):
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    return Photo(noise, 300 * scale, 200 * scale)


def test_the_large_and_central_face_is_told_though_others_score_better():
    crowd = [face(5 * i, 150, 20, 0.99 - i / 1000) for i in range(50)]
    sight = recognizer(*crowd, face(100, 50, 100, 0.7), most=8).see(photo())
    assert sight.num_faces == 51 and len(sight.faces) == 8
    assert sight.faces[sight.main].face.score == 0.7
    assert len(sight.others(sight.main)) == 7


def test_specks_and_doubtful_faces_are_no_second_person():
    upside_down = Face(*(getattr(face(200, 50, 90), name) for name in ("box",)),
                       face(200, 50, 90).landmarks[::-1].copy(), 0.9)  # fmt: skip
    sight = recognizer(face(50, 50, 100), face(5, 5, 15), upside_down).see(photo())
    assert sight.main == 0 and sight.others(0) == []
    assert not sight.faces[0].refusal and "uncertain" in sight.faces[2].refusal


def test_a_reduced_photo_is_told_in_pixels_of_the_one_sent():
    plain, larger = (recognizer(face(50, 50, 100)).see(photo(scale)).faces[0] for scale in (1, 3))
    for told, reduced in ((larger.face.box, plain.face.box),
                          (larger.face.landmarks, plain.face.landmarks)):  # fmt: skip
        np.testing.assert_allclose(told, 3 * (reduced + 0.5) - 0.5)  # centres of first pixels
    assert larger.quality.eye_distance == pytest.approx(3 * plain.quality.eye_distance)
    assert larger.quality.yaw == plain.quality.yaw
    np.testing.assert_array_equal(larger.crop, plain.crop)


def test_a_spot_is_told_where_it_is_in_the_photo_as_sent():
    sent = np.zeros((600, 900), np.uint8)
    sent[300:330, 600:690] = 255  # its middle: 644.5, 314.5
    reduced = cv2.resize(sent, (300, 200), interpolation=cv2.INTER_AREA)
    middle = np.argwhere(reduced)[:, ::-1].mean(axis=0)
    told = Photo(cv2.cvtColor(reduced, cv2.COLOR_GRAY2BGR), 900, 600).as_sent(middle[None])
    np.testing.assert_array_equal(told, [[644.5, 314.5]])


def test_what_lies_outside_of_the_photo_is_no_face():
    with pytest.raises(Refusal, match="no face was found"):
        recognizer(face(1000, 50, 100)).see(photo())
    sight = recognizer(face(1000, 50, 100), face(50, 50, 100)).see(photo())
    assert sight.num_faces == 1


def test_crops_are_embedded_in_their_order():
    def embed(rgb_nhwc):
        means = rgb_nhwc.reshape(len(rgb_nhwc), -1).mean(axis=1) / 255
        return np.stack([means, np.sqrt(1 - means**2)], axis=1).astype(np.float32)

    crops = [np.full((112, 112, 3), grey, np.uint8) for grey in (10, 200, 90)]
    rows = recognizer(embed=embed).embed(crops)
    assert [row[0] for row in rows] == pytest.approx([10 / 255, 200 / 255, 90 / 255], rel=1e-5)
