from arcface_mxnet.align.similarity import fit_similarity, similarity_transform
from arcface_mxnet.align.template import template
import numpy as np
import pytest
from skimage.transform import SimilarityTransform


def reference(landmarks, size):
    return SimilarityTransform.from_estimate(landmarks, template(size)).params[:2]


@pytest.mark.parametrize("size", [(112, 112), (112, 96)])
def test_equals_scikit_image_one_by_one_and_at_once(size):
    rng = np.random.default_rng(1)
    faces = template(size) * rng.uniform(0.2, 9, (40, 1, 1)) + rng.normal(0, 60, (40, 5, 2))
    expected = np.stack([reference(face, size) for face in faces])
    assert np.allclose(similarity_transform(faces, size), expected, rtol=1e-9, atol=1e-9)
    assert np.allclose(similarity_transform(faces[3], size), expected[3], rtol=1e-9, atol=1e-9)


def test_a_mirrored_face_is_fitted_without_mirroring():
    mirrored = template() * (-1, 1)
    matrix = similarity_transform(mirrored)
    assert np.linalg.det(matrix[:, :2]) > 0
    assert np.allclose(matrix, reference(mirrored, (112, 112)))


def test_undoes_a_known_turn_scale_and_shift():
    angle, scale, shift = np.deg2rad(25), 3.5, np.array([40.0, -7.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = scale * template() @ turn.T + shift
    matrix = similarity_transform(moved)
    assert np.allclose(moved @ matrix[:, :2].T + matrix[:, 2], template())


@pytest.mark.parametrize(
    "landmarks, message",
    [
        (np.zeros((10,)), r"shape \(10,\)"),
        (np.zeros((2, 5)), r"shape \(2, 5\)"),
        (np.full((5, 2), 7.0), "in one place"),
        (np.full((5, 2), np.nan), "not finite"),
    ],
)
def test_bad_landmarks_are_refused(landmarks, message):
    with pytest.raises(ValueError, match=message):
        similarity_transform(landmarks)


def test_no_faces_give_no_matrices():
    assert fit_similarity(np.zeros((0, 5, 2)), template()).shape == (0, 2, 3)
