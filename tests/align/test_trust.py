"""Photos that lie on their side, faces that are none."""

from pathlib import Path

from arcface_mxnet.align.crop import align_face
from arcface_mxnet.align.detectors import open_detector
from arcface_mxnet.align.face import Face, main_face
from arcface_mxnet.align.template import template
from arcface_mxnet.align.trust import TURNS, Trust, find_faces
from arcface_mxnet.data.images import read_image
import numpy as np
import pytest

TRUST = Trust(sure=0.99, least=0.9, ahead=0.01)
HEIGHT, WIDTH = 200, 260
POINTS = template() + (60, 30)
BOX = np.array([POINTS[:, 0].min() - 9, 40, POINTS[:, 0].max() + 9, 150])


def photo():
    return np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)


class Marked:
    """Finds a face with the score of the turn in which the image lies; counts its calls."""

    def __init__(self, upright, scores, landmarks=POINTS):
        self.views = {np.rot90(upright, turn // 90).tobytes(): turn for turn in TURNS}
        self.scores, self.landmarks, self.calls = scores, landmarks, []

    def __call__(self, image):
        turn = self.views[image.tobytes()]
        self.calls.append(turn)
        score = self.scores.get(turn)
        return [] if score is None else [Face(BOX, self.landmarks, score)]


def test_a_sure_face_is_looked_for_once():
    detect = Marked(photo(), {0: 0.995, 90: 0.999})
    (face,) = find_faces(detect, photo(), TRUST)
    assert detect.calls == [0]
    assert face.turn == 0 and not face.is_uncertain
    assert np.array_equal(face.box, BOX.astype(np.float32))


@pytest.mark.parametrize("turn", TURNS[1:])
def test_a_turned_photo_is_set_upright(turn):
    upright = photo()
    lying = np.ascontiguousarray(np.rot90(upright, -turn // 90))  # turn sets it upright again
    detect = Marked(upright, {0: 0.985, 90: 0.95, 180: 0.93})
    (face,) = find_faces(detect, lying, TRUST)
    assert face.turn == turn and not face.is_uncertain and len(detect.calls) == 4
    assert np.array_equal(
        align_face(lying, face.landmarks)[4:-4, 4:-4], align_face(upright, POINTS)[4:-4, 4:-4]
    )
    low, high = face.box[:2], face.box[2:]
    assert (low < high).all() and (face.landmarks >= low).all() and (face.landmarks <= high).all()


def test_a_sure_face_is_not_doubted_for_a_high_score_in_another_turn():
    lying = np.ascontiguousarray(np.rot90(photo(), 2))
    (face,) = find_faces(Marked(photo(), {0: 0.995, 90: 0.989}), lying, TRUST)
    assert face.turn == 180 and not face.is_uncertain


def test_where_turns_cannot_be_told_apart_the_image_stays_as_it_is():
    lying = np.ascontiguousarray(np.rot90(photo(), 1))
    (face,) = find_faces(Marked(photo(), {0: 0.955, 90: 0.95}), lying, TRUST)
    assert face.turn == 0 and face.is_uncertain


def test_a_doubtful_face_is_no_reason_to_turn_an_image():
    lying = np.ascontiguousarray(np.rot90(photo(), 1))
    (face,) = find_faces(Marked(photo(), {0: 0.89, 90: 0.8}), lying, TRUST)
    assert face.turn == 0 and face.is_uncertain and face.score == 0.8
    assert find_faces(Marked(photo(), {0: 0.89}), lying, TRUST) == []


def test_no_face_in_any_turn_is_no_face():
    assert find_faces(Marked(photo(), {}), photo(), TRUST) == []


@pytest.mark.parametrize(
    ("scores", "words"),
    [({0: 0.89}, "its score is 0.890, upright faces reach 0.9"),
     ({0: 0.95, 90: 0.945}, "almost as high in a photo turned by another quarter")],
)  # fmt: skip
def test_what_the_scores_say_against_a_face(scores, words):
    (face,) = find_faces(Marked(photo(), scores), photo(), TRUST)
    assert face.is_uncertain and any(words in doubt for doubt in face.doubts)


def test_without_measured_scores_none_is_doubted():
    detect = Marked(photo(), {0: 0.1, 180: 0.9})
    (face,) = find_faces(detect, photo(), None)
    assert detect.calls == [0] and not face.is_uncertain


@pytest.mark.parametrize(
    ("landmarks", "words"),
    [(POINTS[[1, 0, 2, 4, 3]], "left and right are exchanged"),
     (POINTS[[3, 4, 2, 0, 1]], "mouth is not below its eyes"),
     (POINTS + (80, 0), "outside of its box")],
)  # fmt: skip
def test_landmarks_that_are_no_face(landmarks, words):
    (face,) = find_faces(Marked(photo(), {0: 1.0}, landmarks), photo(), TRUST)
    assert any(words in doubt for doubt in face.doubts)


@pytest.mark.parametrize("name", ["mtcnn", "yunet"])
def test_real_photos_turned(name, models, shared_data):
    """20 people of L to Z, on whom nothing was chosen."""
    folder = models / "mtcnn" if name == "mtcnn" else models
    detector = open_detector(folder, engine="onnxruntime")
    paths = sorted((shared_data / "lfw/fold_1").glob("[L-Z]*/*.jpg"))[::18][:20]
    assert len(paths) == 20
    right = refused = 0
    for path in paths:
        image = read_image(path)
        (expected,) = [main_face(find_faces(detector.detect, image, detector.trust), image.shape)]
        for turn in TURNS[1:]:
            lying = np.ascontiguousarray(np.rot90(image, -turn // 90))
            face = main_face(find_faces(detector.detect, lying, detector.trust), lying.shape)
            if face.is_uncertain:
                refused += 1
            elif face.turn == turn:
                right += 1
                same = align_face(lying, face.landmarks).astype(int)
                apart = np.abs(same - align_face(image, expected.landmarks)).mean()
                assert apart < 12, f"{path}: {apart} grey levels"
    assert right + refused == 60 and right >= 57


def test_two_men_upside_down_are_not_one(models):
    """The pair that once was "the same person": cosine 0.68."""
    inputs = Path(__file__).parents[3] / "shared/findings/inputs"
    if not inputs.is_dir():
        pytest.skip(f"no turned photos: {inputs}")
    from arcface_mxnet.embedding.embedder import Embedder
    from arcface_mxnet.embedding.face_model import FaceModel

    model = FaceModel(
        open_detector(models / "mtcnn", engine="onnxruntime"),
        Embedder(f"{models}/sface-m1,0", engine="onnxruntime", batch_size=1, flip=False),
    )
    first, second = (
        model.embed(read_image(inputs / f"stranger180_{name}.png")) for name in ("a", "b")
    )
    assert first @ second < 0.3
