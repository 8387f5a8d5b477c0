"""Options of a later start that crops of an earlier one would not have been made with."""

import json

from arcface_mxnet.align import align_faces
from arcface_mxnet.align.earlier import NAME, keep_options
from arcface_mxnet.align.face import Face
from arcface_mxnet.align.quality import QualityBounds
from arcface_mxnet.align.template import template
from arcface_mxnet.data.folders import find_images
import cv2
import numpy as np
import pytest

OPTIONS = {
    "detector": "A", "min_size": 20, "limited": False, "encoding": ".png", "uncertain": "accept",
    "fallback": "none",
}  # fmt: skip


def given(**changed):
    bounds = {name: value for name, value in changed.items() if name not in OPTIONS}
    of_options = {name: value for name, value in changed.items() if name in OPTIONS}
    return OPTIONS | of_options, QualityBounds(**bounds)


@pytest.mark.parametrize(
    "was, now",
    [
        ({}, {}),
        ({}, {"fallback": "box"}),
        ({"uncertain": "refuse"}, {}),
        ({"min_score": 0.5}, {"min_score": 0.4}),
        ({"max_yaw": 10.0}, {"max_yaw": 20.0}),
        ({"max_yaw": 10.0}, {}),
    ],
)
def test_what_lets_more_through_goes_on(tmp_path, was, now):
    keep_options(tmp_path, *given(**was))
    keep_options(tmp_path, *given(**now))
    kept = json.loads((tmp_path / NAME).read_text())
    assert kept == OPTIONS | vars(QualityBounds()) | now


@pytest.mark.parametrize(
    "was, now, words",
    [
        ({}, {"detector": "B"}, "--detector A"),
        ({}, {"min_size": 21}, "--min-size 20"),
        ({}, {"limited": True}, "--limited False"),
        ({}, {"encoding": ".jpg"}, "--encoding .png"),
        ({"fallback": "box"}, {}, "--fallback box"),
        ({}, {"uncertain": "refuse"}, "--uncertain accept"),
        ({}, {"min_score": 0.5}, "--min-score None"),
        ({"min_score": 0.5}, {"min_score": 0.6}, "--min-score 0.5"),
        ({"max_yaw": 20.0}, {"max_yaw": 10.0}, "--max-yaw 20.0"),
    ],
)
def test_what_would_have_made_other_crops_is_refused(tmp_path, was, now, words):
    keep_options(tmp_path, *given(**was))
    before = (tmp_path / NAME).read_text()
    with pytest.raises(ValueError, match=rf"{NAME}: the crops there were made with {words} "):
        keep_options(tmp_path, *given(**now))
    assert (tmp_path / NAME).read_text() == before


@pytest.mark.parametrize("text", ["[]", '{"min_score": "x"}', "{}"])
def test_a_damaged_note(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(ValueError, match=NAME):
        keep_options(tmp_path, *given(min_score=0.5))


class Sees:
    """A detector that finds one good face in the middle of every photo."""

    min_size, trust = 20, None

    def detect(self, image):
        box = np.array([20, 20, 131, 131], np.float32)
        return [Face(box, (template((112, 112)) + 20).astype(np.float32), 0.9)]


def test_the_command_keeps_them_and_writes_into_this_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(align_faces, "chosen_detector", lambda arguments: Sees())
    (tmp_path / "photos" / "ann").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (152, 152, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photos" / "ann" / "1.png"), pixels)
    (tmp_path / "crops").mkdir()
    monkeypatch.chdir(tmp_path / "crops")
    assert align_faces.main(["../photos", "."]) == 0
    assert (tmp_path / "crops-contact_sheet.png").is_file()
    assert align_faces.main(["../photos", ".", "--min-score", "0.95"]) == 2
    assert "--min-score None" in capsys.readouterr().err
    assert align_faces.main(["../photos", ".", "--fallback", "box"]) == 0
    assert [path.name for path in find_images(tmp_path / "crops", strict=True)] == ["1.png"]
    for words in (["--min-score", "5"], ["--max-clipped", "nan"], ["--max-yaw", "inf"]):
        assert align_faces.main(["../photos", ".", *words]) == 2
        assert f"{words[0]} {float(words[1])}: give a number from 0 to" in capsys.readouterr().err
