"""The published order of attempts with the real detector, on a few photos of LFW."""

import json
import shutil

from arcface_mxnet.align.crop import align_face
from arcface_mxnet.align.mtcnn import MtcnnDetector
from arcface_mxnet.data.images import read_image
from arcface_mxnet.megaface import align
import cv2
import mxnet as mx
import numpy as np
import pytest

SIZE = (112, 112)
PEOPLE = ("Abdel_Madi_Shabneh", "Abdul_Rahman", "Abel_Pacheco", "Afton_Smith")
CLOSE = 10.0  # grey values, 0..255
SHIFT = 6.0  # pixels that the data set's boxes and landmarks are off ours


@pytest.fixture(scope="module")
def found(models, shared_data):
    """Return by person (path of the photo, the face our detector finds in it)."""
    detector = MtcnnDetector(mx.cpu(), min_size=60, model_dir=models / "mtcnn")
    paths = {name: shared_data / f"lfw/fold_1/{name}/{name}_0001.jpg" for name in PEOPLE}
    return {name: (path, detector.detect(read_image(path))[0]) for name, path in paths.items()}


def run(command, folder, models, *more):
    """Return the attempt of each crop."""
    options = [command, "--input-dir", str(folder), "--output-dir", str(folder / "out"),
               "--model-dir", str(models / "mtcnn"), *more]  # fmt: skip
    assert align.main(options) == 0
    lines = (folder / "out" / "attempts.tsv").read_text().splitlines()
    return dict(line.split("\t") for line in lines)


def difference(path, photo, face):
    """Return by how many grey values a crop differs from one by our own landmarks, on average.

    The border is left out: a canvas may be black where the photo goes on.
    """
    ours = align_face(read_image(photo), face.landmarks, SIZE).astype(float)
    return np.abs(cv2.imread(str(path)) - ours)[16:-16, 16:-16].mean()


def test_distractors(found, models, tmp_path):
    """With landmarks: the canvas.  With a box alone: the photo.  Beside the face: the box, cut."""
    wanted = {}
    for number, (name, (photo, face)) in enumerate(found.items()):
        crop = f"{number}/{number}@N00/{name}_0.jpg"
        path = tmp_path / "megaface" / crop
        path.parent.mkdir(parents=True)
        shutil.copy(photo, path)
        x1, y1, x2, y2 = (face.box + SHIFT).tolist()
        note = {"bounding_box": {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}}
        if number < 2:
            left, right, nose = (face.landmarks[:3] + SHIFT / 3).tolist()
            note["landmarks"] = {
                key: {"x": x, "y": y}
                for key, (x, y) in zip("102", (left, right, nose), strict=True)
            }
        elif number == 3:  # a box in the corner, where nobody is
            note["bounding_box"] = {"x": 0, "y": 0, "width": 30, "height": 30}
        path.with_name(path.name + ".json").write_text(json.dumps(note))
        wanted[crop] = ("canvas", "canvas", "photo", "cut")[number]
    assert run("megaface", tmp_path, models) == wanted
    apart = [
        difference(tmp_path / "out" / crop, photo, face)
        for crop, (photo, face) in zip(wanted, found.values(), strict=True)
    ]
    assert max(apart[:3]) < CLOSE < 3 * CLOSE < apart[3]  # the cut is of the corner


def test_facescrub(found, models, tmp_path):
    paths, rows = [], []
    for number, (name, (photo, face)) in enumerate(found.items()):
        paths.append(f"{name}/{name}_{number}.jpg")
        (tmp_path / "facescrub" / name).mkdir(parents=True)
        shutil.copy(photo, tmp_path / "facescrub" / paths[-1])
        box = ",".join(str(int(value)) for value in face.box - SHIFT)
        rows.append(f"{name.replace('_', ' ')}\t9\t{number}\thttp://x\t{box}\t0\n")
    head = "name\timage_id\tface_id\turl\tbbox\tsha256\n"
    (tmp_path / "facescrub_actors.txt").write_text(head + "".join(rows[:2]))
    (tmp_path / "facescrub_actresses.txt").write_text(head + "".join(rows[2:]))
    (tmp_path / "facescrub_uncropped_features_list.json").write_text(
        json.dumps({"path": paths, "id": list(found)})
    )
    attempts = run("facescrub", tmp_path, models)
    assert attempts == {path.replace(".jpg", ".png"): "photo" for path in paths}
    for crop, (photo, face) in zip(attempts, found.values(), strict=True):
        assert difference(tmp_path / "out" / crop, photo, face) < CLOSE


def test_a_face_too_small_for_the_photo_is_found_in_its_box(found, models, tmp_path):
    """Faces below a quarter of the photo's height are not looked for there, as published."""
    photo, face = found["Abel_Pacheco"]
    wide = cv2.copyMakeBorder(read_image(photo), 400, 400, 400, 400, cv2.BORDER_CONSTANT)
    path = tmp_path / "megaface" / "1/1@N00/1_0.jpg"
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), wide)
    x1, y1, x2, y2 = (face.box + 400 + SHIFT).tolist()
    note = {"bounding_box": {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}}
    path.with_name("1_0.jpg.json").write_text(json.dumps(note))
    assert run("megaface", tmp_path, models) == {"1/1@N00/1_0.jpg": "box"}
    assert difference(tmp_path / "out/1/1@N00/1_0.jpg", photo, face) < CLOSE
