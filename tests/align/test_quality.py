"""Numbers of faces whose truth is known: rotated models, blurred, dark and enlarged photos."""

from arcface_mxnet.align.face import Face
from arcface_mxnet.align.quality import MEAN_FACE, Quality, QualityBounds, pose, quality
from arcface_mxnet.align.template import template
import cv2
import numpy as np
import pytest


def turned(yaw, pitch, roll):
    """Return the landmarks of the mean face turned by these degrees, seen from far."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return (MEAN_FACE @ (about_z @ about_y @ about_x).T)[:, :2] * 1.7 + 100


@pytest.mark.parametrize(
    "angles", [(0, 0, 0), (30, 0, 0), (-45, 0, 0), (0, 20, 0), (0, -25, 0), (0, 0, 60),
               (25, 10, -30), (-40, 5, 100)]
)  # fmt: skip
def test_the_pose_of_a_turned_model(angles):
    assert np.allclose(pose(turned(*angles)), angles, atol=1e-3)


def test_a_nose_to_the_right_of_the_image_is_yaw_to_the_right():
    points = template()
    points[2, 0] += 8
    assert pose(points)[0] > 10
    points[2, 0] -= 16
    assert pose(points)[0] < -10


def test_points_on_one_line_have_no_pose_and_no_crash():
    assert pose(np.stack([np.arange(5.0), np.arange(5.0)], 1)) == (0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def face():
    return Face(np.array([0.0, 0, 111, 111]), template().astype(np.float32), 0.99)


@pytest.fixture(scope="module")
def sharp():
    noise = np.random.default_rng(3).integers(40, 200, (28, 28, 3)).astype(np.uint8)
    return cv2.resize(noise, (112, 112), interpolation=cv2.INTER_NEAREST)


def test_blur_dark_and_bright(face, sharp):
    plain = quality(sharp, face)
    blurred = quality(cv2.GaussianBlur(sharp, (0, 0), 3), face)
    assert blurred.sharpness < plain.sharpness / 20 and blurred.clipped == 0
    assert plain.brightness == pytest.approx(cv2.cvtColor(sharp, cv2.COLOR_BGR2GRAY).mean(), abs=1)
    assert quality(sharp // 40, face).clipped == 1
    bright = quality(np.maximum(sharp, 250), face)
    assert bright.clipped == 1 and bright.brightness >= 250
    half = sharp.copy()
    half[:56] = 0
    assert quality(half, face).clipped == pytest.approx(0.5, abs=0.02)


def test_the_distance_of_the_eyes_is_in_pixels_of_the_photo(face, sharp):
    expected = np.linalg.norm(template()[0] - template()[1])
    assert quality(sharp, face).eye_distance == pytest.approx(expected, rel=1e-5)
    larger = Face(face.box * 2, face.landmarks * 2, 0.99)
    twice = quality(cv2.resize(sharp, (224, 224)), larger)
    assert twice.eye_distance == pytest.approx(2 * expected, rel=1e-5)
    assert twice.score == 0.99


def test_each_bound_speaks_of_its_own_quantity():
    worst = Quality(10.0, 20.0, 100.0, 0.5, -50.0, 30.0, 0.0, 0.4)
    bounds = QualityBounds(11, 21, 0.4, 45, 25, 0.5)
    assert list(bounds.faults(worst)) == [
        "eye distance 10 below 11", "sharpness 20 below 21", "clipped 0.5 beyond 0.4",
        "yaw -50 beyond 45", "pitch 30 beyond 25", "score 0.4 below 0.5",
    ]  # fmt: skip
    assert list(QualityBounds().faults(worst)) == []
    assert list(QualityBounds(10, 20, 0.5, 50, 30, 0.4).faults(worst)) == []
