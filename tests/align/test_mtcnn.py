import importlib.util
from pathlib import Path
import threading

from arcface_mxnet.align import mtcnn
from arcface_mxnet.align.face import Face, main_face
from arcface_mxnet.align.mtcnn import MtcnnDetector, pyramid
from arcface_mxnet.align.network_input import cut
from arcface_mxnet.data.images import read_image
import cv2
import mxnet as mx
import numpy as np
import pytest

PHOTO = "lfw/fold_1/Abel_Pacheco/Abel_Pacheco_0001.jpg"


@pytest.fixture(scope="module")
def detector(models):
    return MtcnnDetector(mx.cpu(), model_dir=models / "mtcnn")


@pytest.fixture(scope="module")
def photo(shared_data):
    return read_image(shared_data / PHOTO)


def same_faces(first, second, pixels=0.01):
    assert len(first) == len(second) > 0
    for a, b in zip(first, second, strict=True):
        assert np.abs(a.box - b.box).max() < pixels
        assert np.abs(a.landmarks - b.landmarks).max() < pixels
        assert a.score == pytest.approx(b.score, abs=1e-3)


def test_finds_what_a_plain_port_finds(detector, models, shared_data):
    path = Path(__file__).parents[2] / "benchmarks/plain_mtcnn.py"
    spec = importlib.util.spec_from_file_location("plain_mtcnn", path)
    plain_mtcnn = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain_mtcnn)
    plain = plain_mtcnn.PlainDetector(models / "mtcnn")
    paths = sorted((shared_data / "lfw/fold_1").rglob("*.jpg"))[:8]
    for path in paths:
        image = read_image(path)[:, :201]  # an odd side, too
        # The published detector counts landmarks from the edge of a pixel, we from its centre.
        expected = [Face(box, points - 0.5, score) for box, points, score in plain.detect(image)]
        same_faces(detector.detect(image), expected)


def test_both_engines_find_the_same(detector, models, shared_data):
    other = MtcnnDetector(model_dir=models / "mtcnn", engine="mxnet")
    for path in sorted((shared_data / "lfw/fold_1").rglob("*.jpg"))[::100]:
        image = read_image(path)
        same_faces(detector.detect(image), other.detect(image))


def test_finds_a_face_where_it_is_put(detector, photo):
    (alone,) = detector.detect(photo)
    canvas = np.zeros((500, 700, 3), np.uint8)
    canvas[200:450, 400:650] = photo
    moved = main_face(detector.detect(canvas), canvas.shape)
    assert np.abs(moved.landmarks - (400, 200) - alone.landmarks).max() < 4
    left, right, nose, *mouth = alone.landmarks
    assert left[0] < nose[0] < right[0] and max(left[1], right[1]) < nose[1] < mouth[0][1]
    assert mouth[0][0] < mouth[1][0] and (alone.box[:2] < alone.landmarks.min(0)).all()


def test_landmarks_have_no_offset(detector, shared_data):
    """A mirrored photo gives the landmarks mirrored, a larger one gives them larger."""
    paths = sorted((shared_data / "lfw/fold_1").rglob("*.jpg"))[:80:2]
    mirrored, enlarged = [], []
    for path in paths:
        photo = read_image(path)
        here, there, large = (
            main_face(detector.detect(image), image.shape).landmarks
            for image in (photo, photo[:, ::-1].copy(), cv2.resize(photo, (500, 500)))
        )
        mirrored.append(249 - there[[1, 0, 2, 4, 3], 0] - here[:, 0])
        enlarged.append((large + 0.5) / 2 - 0.5 - here)
    assert abs(np.mean(mirrored)) < 0.3  # pixels; 1 too many if landmarks lie half a pixel off
    assert np.abs(np.median(enlarged, (0, 1))).max() < 0.17  # 0.25 and more otherwise


def test_tiles_change_nothing(detector, photo, monkeypatch):
    whole = detector.detect(photo)
    monkeypatch.setattr(mtcnn, "TILE", 64)
    same_faces(detector.detect(photo), whole, pixels=1.5)


@pytest.mark.parametrize("shape", [(200, 300), (256, 256), (266, 512), (1300, 300)])
def test_tiles_hold_every_cell_once(shape):
    image = np.arange(shape[0] * shape[1] * 3, dtype=np.uint32).astype(np.uint8)
    seen = np.zeros(shape, int)
    for tile, (x, y) in mtcnn._tiles(image.reshape(*shape, 3), 1.0):
        assert max(tile.shape) <= mtcnn.TILE
        assert np.array_equal(tile, image.reshape(*shape, 3)[y:, x:][: mtcnn.TILE, : mtcnn.TILE])
        seen[y : y + tile.shape[0] - 11 : 2, x : x + tile.shape[1] - 11 : 2] += 1
    expected = np.zeros(shape, int)
    expected[: shape[0] - 11 : 2, : shape[1] - 11 : 2] = 1
    assert np.array_equal(seen, expected)


def test_a_face_within_a_better_one_is_left_out(detector, photo, monkeypatch):
    class Certain:
        """Takes every box for a face, the first for the surest."""

        def run(self, data):
            scores = np.linspace(0.99, 0.9, len(data))
            corrections = np.zeros((len(data), 4)), np.zeros((len(data), 10))
            return [*corrections, np.stack([1 - scores, scores], 1)]

    monkeypatch.setattr(detector, "_onet", Certain())
    boxes = np.array([[0.0, 0, 99, 99], [20, 20, 60, 60], [120, 120, 219, 219]])
    faces = detector._locate(photo, boxes, 0.5)
    assert [face.box.tolist() for face in faces] == [[0, 0, 99, 99], [120, 120, 219, 219]]


def test_a_given_box_is_made_square(detector, photo):
    box = (80, 60, 170, 190)
    same_faces(
        [detector.detect_in_box(photo, box)], [detector.detect_in_box(photo, (60, 60, 190, 190))]
    )


def test_beyond_the_image_all_is_black():
    white = np.full((40, 40, 3), 255, np.uint8)
    part = cut(white, np.array([-20, 10, 19, 49]), 40)
    assert part[:30, 20:].min() == 255
    assert part[:, :20].max() == 0 and part[30:].max() == 0
    assert cut(white, np.array([50, 50, 60, 60]), 24).max() == 0


def test_a_box_beyond_all_measure_takes_no_memory(detector):
    image = np.full((20, 40000, 3), 128, np.uint8)
    assert detector.detect_in_box(image[:, :20], (0, 0, 3e6, 3e6)) is None
    assert detector.detect_limited(image) == []


def test_grey_rgba_and_16_bit_photos(detector, photo):
    (expected,) = detector.detect(photo)
    alpha = np.dstack([photo, np.zeros(photo.shape[:2], np.uint8)])
    same_faces(detector.detect(alpha), [expected])
    same_faces(detector.detect(photo.astype(np.uint16) * 257), [expected])
    (grey,) = detector.detect(cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY))
    assert np.abs(grey.landmarks - expected.landmarks).max() < 8


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1, 3), (12, 12, 3), (21, 20, 3)])
def test_tiny_and_thin_images_have_no_face(detector, shape):
    assert detector.detect(np.full(shape, 128, np.uint8)) == []


def test_min_size_leaves_out_small_faces(models, photo):
    small = np.zeros_like(photo)
    small[90:165, 90:165] = cv2.resize(photo, (75, 75), interpolation=cv2.INTER_AREA)
    found = [
        len(MtcnnDetector(mx.cpu(), min_size=size, model_dir=models / "mtcnn").detect(small))
        for size in (20, 100)
    ]
    assert found == [1, 0]


def test_limited_and_forced_modes_agree_with_the_search(detector, photo):
    (face,) = detector.detect(photo)
    x1, y1, x2, y2 = face.box.astype(int)
    inside = photo[y1 - 10 : y2 + 10, x1 - 10 : x2 + 10]
    eye_distance = np.linalg.norm(face.landmarks[0] - face.landmarks[1])
    for judge in (True, False):
        (limited,) = detector.detect_limited(inside, judge=judge)
        offset = limited.landmarks + (x1 - 10, y1 - 10) - face.landmarks
        assert np.abs(offset).max() < 0.15 * eye_distance
    forced = detector.detect_in_box(photo, face.box)
    assert np.abs(forced.landmarks - face.landmarks).max() < 0.15 * eye_distance
    assert detector.detect_in_box(photo, (0, 0, 30, 30)) is None
    assert detector.detect_limited(np.zeros((100, 100, 3), np.uint8)) == []


def test_limited_mode_trusts_that_a_face_is_there(detector, monkeypatch):
    class Doubtful:
        """Gives every box the same score and corrects nothing."""

        def __init__(self, score):
            self.scores = [1 - score, score]

        def run(self, data):
            count = len(data)
            return [np.zeros((count, 4)), np.zeros((count, 10)), np.array([self.scores] * count)]

    image = np.zeros((100, 300), np.uint8)
    monkeypatch.setattr(detector, "_rnet", Doubtful(0.01))
    monkeypatch.setattr(detector, "_onet", Doubtful(0.21))
    assert detector.detect_limited(image, judge=False)[0].box.tolist() == [0, 0, 299, 99]
    assert detector.detect_limited(image)[0].box.tolist() == [0, -100, 299, 199]
    monkeypatch.setattr(detector, "_onet", Doubtful(0.19))
    assert detector.detect_limited(image) == []


def test_threads_may_share_a_detector(detector, photo):
    expected, results = detector.detect(photo), []
    workers = [
        threading.Thread(target=lambda: results.append(detector.detect(photo))) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 4
    for faces in results:
        same_faces(faces, expected)


def test_pyramid_from_the_smallest_face_to_the_whole_image():
    scales = list(pyramid((240, 320, 3), 24, 0.5))
    assert scales == [0.5, 0.25, 0.125, 0.0625]  # 240 -> 15 pixels; 7.5 are less than a window


@pytest.mark.parametrize("options", [{"min_size": 0}, {"factor": 1}, {"thresholds": (0.5, 0.5)}])
def test_options_out_of_range_are_refused(models, options):
    with pytest.raises(ValueError, match="min_size .* factor .* thresholds"):
        MtcnnDetector(mx.cpu(), model_dir=models / "mtcnn", **options)


def test_an_absent_detector_says_how_to_fetch_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="arcface-fetch fetch mtcnn"):
        MtcnnDetector(mx.cpu(), model_dir=tmp_path)


def test_main_face_is_large_and_central():
    def face(x, y, side):
        return Face(np.array([x, y, x + side, y + side]), np.zeros((5, 2)), 0.9)

    corner, centre, tiny = face(0, 0, 60), face(80, 80, 50), face(98, 98, 4)
    assert main_face([corner, tiny, centre], (200, 200, 3)) is centre
    assert main_face([tiny, face(70, 70, 150)], (200, 200)).box[0] == 70
