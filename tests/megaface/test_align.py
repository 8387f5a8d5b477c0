"""The published order of attempts, with a detector that finds what it is told to."""

import json

from arcface_mxnet.align.face import Face
from arcface_mxnet.align.template import template
from arcface_mxnet.megaface import align
from arcface_mxnet.megaface.align_attempts import Hint, crop_with_hint
from arcface_mxnet.megaface.lists import read_image_list
import cv2
import numpy as np
import pytest

SIZE = (112, 112)
MODELS: list = []


class Finder:
    """Finds `canvas` in a canvas, `photo` in a photo, `boxed` in a box; notes min_size."""

    def __init__(self, canvas=(), photo=(), boxed=None):
        self.canvas, self.photo, self.boxed = list(canvas), list(photo), boxed
        self.min_size, self.calls = 20, []

    def detect(self, bgr):
        is_canvas = bgr.shape[:2] == (224, 224)
        self.calls.append(("canvas" if is_canvas else "photo", self.min_size))
        return self.canvas if is_canvas else self.photo

    def detect_in_box(self, bgr, box):
        self.calls.append(("box", box.tolist()))
        return self.boxed


def face(box, landmarks=None):
    landmarks = template(SIZE) if landmarks is None else landmarks
    return Face(np.array(box, np.float32), np.asarray(landmarks, np.float32), 0.9)


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (160, 200, 3)).astype(np.uint8)


BOX = np.array([50.0, 40, 150, 140])
EYES = np.array([[80.0, 80], [120, 80], [100, 100]])


def test_first_the_canvas_of_the_three_landmarks(photo):
    finder = Finder(canvas=[face([0, 0, 100, 100])], photo=[face(BOX)])
    crop, attempt = crop_with_hint(finder, photo, Hint(BOX, EYES), SIZE)
    assert attempt == "canvas" and crop.shape == (112, 112, 3)
    assert finder.calls == [("canvas", 112)]


def test_the_canvas_holds_the_landmarks_where_the_template_says():
    photo = np.zeros((300, 300, 3), np.uint8)
    points = template(SIZE)[:3] * 1.2 + [70, 50]
    for x, y in points:
        cv2.circle(photo, (round(x), round(y)), 4, (255, 255, 255), -1)
    seen = []
    finder = Finder()
    finder.detect = lambda bgr: seen.append(bgr) or []
    crop_with_hint(finder, photo, Hint(None, points), SIZE)
    for x, y in template(SIZE)[:3] * 1.5 + 28:
        assert seen[0][round(y), round(x)].min() > 200


def test_then_the_photo_and_only_a_face_on_the_box(photo):
    elsewhere, there = face([0, 0, 30, 30]), face([55, 45, 145, 150])
    finder = Finder(photo=[elsewhere, there])
    _, attempt = crop_with_hint(finder, photo, Hint(BOX, EYES), SIZE)
    assert attempt == "photo" and finder.calls == [("canvas", 112), ("photo", 40)]
    assert finder.min_size == 20  # other threads use the same detector
    a_fifth = face([50, 40, 150, 60])
    finder = Finder(photo=[elsewhere, a_fifth], boxed=there)
    assert crop_with_hint(finder, photo, Hint(BOX), SIZE)[1] == "box"
    assert finder.calls == [("photo", 40), ("box", BOX.tolist())]


def test_at_last_a_cut_of_box_or_centre(photo):
    crop, attempt = crop_with_hint(Finder(), photo, Hint(BOX), SIZE)
    assert attempt == "cut"
    assert np.array_equal(crop, cv2.resize(photo[18:160, 28:172], (112, 112)))
    crop, attempt = crop_with_hint(Finder(), photo, Hint(), SIZE)
    assert attempt == "cut" and crop.shape == (112, 112, 3)


@pytest.fixture
def finder(monkeypatch):
    finder = Finder()
    monkeypatch.setattr(align, "chosen_detector", lambda arguments, own: finder)
    return finder


def make_megaface(folder, photo):
    for name, note in (
        ("a/b@N00/1.jpg", {"bounding_box": {"x": 50, "y": 40, "width": 100, "height": 100},
                           "landmarks": {"0": {"x": 1, "y": 2}, "1": {"x": 3, "y": 4},
                                         "2": {"x": 5, "y": 6}}}),
        ("a/b@N00/2.jpg", None),
        ("a/b@N00/2.jpg.jpg", None),
    ):  # fmt: skip
        path = folder / "megaface" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), photo)
        if note:
            path.with_name(path.name + ".json").write_text(json.dumps(note))


def test_megaface_notes_are_read_in_the_published_order(tmp_path, photo):
    make_megaface(tmp_path, photo)
    first, second = align.megaface_photos(tmp_path / "megaface")
    assert first.hint.box.tolist() == [50, 40, 150, 140]
    assert first.hint.landmarks.tolist() == [[3, 4], [1, 2], [5, 6]]
    assert second.hint.box is None and second.hint.landmarks is None


def test_megaface_from_photos_to_crops_and_a_second_start(tmp_path, photo, finder, capsys):
    make_megaface(tmp_path, photo)
    (tmp_path / "megaface/a/b@N00/3.jpg").write_bytes(b"no image")
    options = ["megaface", "--input-dir", str(tmp_path), "--output-dir", str(tmp_path / "out")]
    assert align.main(options) == 1
    assert "2 cut, 1 failed" in capsys.readouterr().out
    assert read_image_list(tmp_path / "out" / "lst") == ["a/b@N00/1.jpg", "a/b@N00/2.jpg"]
    assert (tmp_path / "out" / "lst").read_text().splitlines()[1] == "1\ta/b@N00/2.jpg\t1"
    told = (tmp_path / "out" / "attempts.tsv").read_text()
    assert "1.jpg\tcut\n" in told and "3.jpg\tfailed: " in told
    calls = len(finder.calls)
    cv2.imwrite(str(tmp_path / "megaface/a/b@N00/3.jpg"), photo)
    assert align.main(options) == 0
    assert len(finder.calls) == calls + 1  # only the third photo, which has no box
    told = (tmp_path / "out" / "attempts.tsv").read_text()
    assert told.count("\tcut\n") == 3
    check = ["check", "--root", str(tmp_path / "out"), "--list", str(tmp_path / "out" / "lst")]
    assert align.main(check) == 0


def test_after_a_kill_the_attempts_are_still_known(tmp_path, photo, finder, capsys):
    make_megaface(tmp_path, photo)
    options = ["megaface", "--input-dir", str(tmp_path), "--output-dir", str(tmp_path / "out"),
               "--threads", "1"]  # fmt: skip
    find = finder.detect
    finder.detect = lambda bgr: kill() if len(finder.calls) == 3 else find(bgr)

    def kill():
        raise KeyboardInterrupt

    assert align.main(options) == 130
    assert (tmp_path / "out" / "a/b@N00/1.jpg").is_file()
    finder.detect = find
    assert align.main(options) == 0
    assert "1 there already, 1 cut" in capsys.readouterr().out
    told = (tmp_path / "out" / "attempts.tsv").read_text()
    assert told == "a/b@N00/1.jpg\tcut\na/b@N00/2.jpg\tcut\n"


def test_crops_of_another_size_are_not_taken_for_done(tmp_path, photo, finder, capsys):
    make_megaface(tmp_path, photo)
    options = ["megaface", "--input-dir", str(tmp_path), "--output-dir", str(tmp_path / "out")]
    assert align.main(options) == 0
    assert align.main([*options, "--image-size", "112,96"]) == 1
    assert "2 failed" in capsys.readouterr().out
    told = (tmp_path / "out" / "attempts.tsv").read_text()
    assert "is there already, 112x112 (height x width): delete it" in told


def test_landmarks_that_say_nothing_are_passed_over(tmp_path, photo):
    finder = Finder(photo=[face(BOX)])
    assert crop_with_hint(finder, photo, Hint(BOX, np.full((3, 2), 7.0)), SIZE)[1] == "photo"
    make_megaface(tmp_path, photo)
    note = tmp_path / "megaface/a/b@N00/1.jpg.json"
    note.write_text('{"landmarks": {"0": {"x": 1, "y": 2}, "1": {"x": 3, "y": 4}}}')
    first, _ = align.megaface_photos(tmp_path / "megaface")
    assert first.hint.landmarks is None and first.hint.box is None


def test_a_photo_that_opencv_cannot_warp_is_one_that_failed(tmp_path, photo, finder, capsys):
    make_megaface(tmp_path, photo)

    def fail(bgr):
        raise cv2.error("too large")

    finder.detect = fail
    options = ["megaface", "--input-dir", str(tmp_path), "--output-dir", str(tmp_path / "out")]
    assert align.main(options) == 1
    assert "2 failed" in capsys.readouterr().out
    assert align.main([*options, "--threads", "0"]) == 2
    assert "--threads 0: must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "note",
    [
        '{"bounding_box": [1]}',
        "{",
        "",
        "[]",
        '{"bounding_box": {"x": 1}}',
        '{"bounding_box": {"x": "left", "y": 1, "width": 2, "height": 3}}',
        '{"bounding_box": {"x": 1e999, "y": 1, "width": 2, "height": 3}}',
    ],
)
def test_a_bad_note_is_a_failure_of_its_photo_alone(tmp_path, photo, finder, capsys, note):
    make_megaface(tmp_path, photo)
    (tmp_path / "megaface/a/b@N00/1.jpg.json").write_text(note)
    options = ["megaface", "--input-dir", str(tmp_path), "--output-dir", str(tmp_path / "out")]
    assert align.main(options) == 1
    assert "1 failed, 1 cut" in capsys.readouterr().out
    told = (tmp_path / "out/attempts.tsv").read_text().splitlines()
    assert "1.jpg.json: not the box and landmarks" in told[0] and told[1].endswith("2.jpg\tcut")
    assert read_image_list(tmp_path / "out/lst") == ["a/b@N00/2.jpg"]


def test_what_is_no_distractor_is_told(tmp_path, photo, finder, caplog):
    make_megaface(tmp_path, photo)
    folder = tmp_path / "megaface/a/b@N00"
    for name in ("._1.jpg", "Thumbs.db", "notes.txt", "4.json"):
        (folder / name).write_bytes(b"x")
    (folder / "3").write_bytes((folder / "1.jpg").read_bytes())  # told by its first bytes
    caplog.set_level("INFO")
    crops = [one.crop for one in align.megaface_photos(tmp_path / "megaface")]
    assert crops == ["a/b@N00/1.jpg", "a/b@N00/2.jpg", "a/b@N00/3.jpg"]
    assert "left out 1 files that are no images: a/b@N00/notes.txt" in caplog.text
    assert "left out 2 that systems" in caplog.text


def make_facescrub(folder, photo):
    head = "name\timage_id\tface_id\turl\tbbox\tsha256\n"
    (folder / "facescrub_actors.txt").write_text(head + "Al Bo\t7\t1\tu\t50,40,150,140\tx\n")
    (folder / "facescrub_actresses.txt").write_text(head + "Cy Do\t8\t2\tu\t1,2,30,40\tx\n")
    paths = ["Al_Bo/Al_Bo_1.jpg", "Cy_Do/Cy_Do_2.jpg"]
    content = {"path": paths, "id": ["Al_Bo", "Cy_Do"]}
    (folder / "facescrub_uncropped_features_list.json").write_text(json.dumps(content))
    for path in paths:
        (folder / "facescrub" / path).parent.mkdir(parents=True)
        cv2.imwrite(str(folder / "facescrub" / path), photo)


def test_facescrub(tmp_path, photo, finder):
    make_facescrub(tmp_path, photo)
    first, second = align.facescrub_photos(tmp_path, "face_id")
    assert first.hint.box.tolist() == [50, 40, 150, 140] and (first.label, second.label) == (0, 1)
    options = ["facescrub", "--input-dir", str(tmp_path), "--output-dir", str(tmp_path / "out")]
    assert align.main(options) == 0
    assert read_image_list(tmp_path / "out" / "lst") == ["Al_Bo/Al_Bo_1.png", "Cy_Do/Cy_Do_2.png"]
    assert cv2.imread(str(tmp_path / "out/Al_Bo/Al_Bo_1.png")).shape == (112, 112, 3)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: (d / "facescrub_actors.txt").unlink(), "no list of actors /"),
        (lambda d: (d / "facescrub_actors.txt").write_text("x\n"), "names no columns"),
        (lambda d: (d / "facescrub_actors.txt").write_text(""), "names no columns"),
        (lambda d: (d / "facescrub_actors.txt").write_text("name\tface_id\tbbox\n"),
         "no box for Al_Bo/Al_Bo_1.jpg"),
        (lambda d: (d / "facescrub_actors.txt").write_text("name\tface_id\tbbox\nAl Bo\t1\n"),
         "facescrub_actors.txt line 2: wanted name, face_id, bbox"),
        (lambda d: (d / "facescrub_actors.txt").write_text(
            "name\tface_id\tbbox\nAl Bo\t1\t1,2,x,4\n"), "line 2: wanted"),
        (lambda d: (d / "facescrub_uncropped_features_list.json").write_text(
            '{"path": ["A/a.jpg"], "id": ["A"]}'), "no box for A/a.jpg"),
    ],
)  # fmt: skip
def test_bad_facescrub_lists(tmp_path, photo, finder, capsys, change, message):
    make_facescrub(tmp_path, photo)
    change(tmp_path)
    options = ["facescrub", "--input-dir", str(tmp_path), "--output-dir", str(tmp_path / "out")]
    assert align.main(options) == 2
    assert message in capsys.readouterr().err


def test_check_of_images_aligned_by_others(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "good.png"), np.zeros((112, 112, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((100, 112, 3), np.uint8))
    (tmp_path / "lst").write_text("good.png\nsmall.png\nabsent.png\n")
    assert align.main(["check", "--root", str(tmp_path), "--list", str(tmp_path / "lst")]) == 1
    told = capsys.readouterr().out
    assert "small.png\tis 100x112 (height x width)" in told and "absent.png\t" in told
    assert "1 of 3 images are well" in told


def test_photos_without_a_box_are_told_at_once(tmp_path, photo, finder, capsys):
    make_facescrub(tmp_path, photo)
    for part, line in (
        ("actors", "Al Bo\t7\t9\tu\t1,2,3,4"),
        ("actresses", "Cy Do\t8\t2\tu\t1,2,3"),
    ):
        head = "name\timage_id\tface_id\turl\tbbox\n"
        (tmp_path / f"facescrub_{part}.txt").write_text(head + line)
    options = ["facescrub", "--input-dir", str(tmp_path), "--output-dir", str(tmp_path / "out")]
    assert align.main(options) == 2
    told = capsys.readouterr().err
    assert "2 of 2 photos have no box" in told
    assert "facescrub_actresses.txt line 2: wanted" in told
    assert "is face_id the column" in told and "photos: 'Al_Bo/Al_Bo_1.jpg'" in told
    assert "boxes: 'Al_Bo_9'" in told
    assert align.main([*options, "--skip-missing"]) == 2, "of other data"


def test_skip_missing_makes_photos_without_a_box_fail_alone(tmp_path, photo, finder, capsys):
    make_facescrub(tmp_path, photo)
    actors = tmp_path / "facescrub_actors.txt"
    actors.write_text(actors.read_text().replace("50,40,150,140", "50,40,150"))
    options = ["facescrub", "--input-dir", str(tmp_path), "--output-dir", str(tmp_path / "out")]
    assert align.main(options) == 2
    told = capsys.readouterr().err
    assert "1 of 2 photos have no box" in told and "facescrub_actors.txt line 2: wanted" in told
    assert not (tmp_path / "out").exists()
    assert align.main([*options, "--skip-missing"]) == 1
    assert "1 failed" in capsys.readouterr().out
    assert "no box for it" in (tmp_path / "out/attempts.tsv").read_text()
    assert read_image_list(tmp_path / "out/lst") == ["Cy_Do/Cy_Do_2.png"]


def test_lists_of_other_photos_show_two_names_of_each_side(tmp_path, photo, finder, capsys):
    make_facescrub(tmp_path, photo)
    (tmp_path / "facescrub").rename(tmp_path / "photos")
    options = ["facescrub", "--input-dir", str(tmp_path), "--output-dir", str(tmp_path / "out")]
    assert align.main(options) == 2
    told = capsys.readouterr().err
    assert "2 of 2 files are missing" in told and "facescrub/Al_Bo/Al_Bo_1.jpg" in told
    assert "there: 'photos/Al_Bo/Al_Bo_1.jpg'" in told
    (tmp_path / "lst").write_text("Al_Bo_1.jpg\nCy_Do_2.jpg\n")
    check = ["check", "--root", str(tmp_path / "photos"), "--list", str(tmp_path / "lst")]
    assert align.main(check) == 2
    assert "there: 'Al_Bo/Al_Bo_1.jpg' and 'Cy_Do/Cy_Do_2.jpg'" in capsys.readouterr().err
