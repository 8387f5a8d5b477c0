"""Lists from a folder of faces."""

import os

from arcface_mxnet.megaface import folder_lists
from arcface_mxnet.megaface.lists import (
    read_distractor_lists,
    read_image_list,
    read_probe_list,
)
import cv2
import numpy as np


def test_sizes_are_nested_and_drawn_by_the_seed(tmp_path, capsys, caplog):
    for person, count in (("A", 2), ("B", 1), ("C", 120)):
        (tmp_path / "crops" / person).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "crops" / person / f"{number:03}.png").touch()
    (tmp_path / "crops" / "contact_sheet.png").touch()  # nobody's
    options = [str(tmp_path / "crops"), str(tmp_path / "lists"), "--min-images", "2"]
    assert folder_lists.main([*options, "--probes", "A"]) == 0
    assert "2 probes of 1 people; distractors: 10 100 121" in capsys.readouterr().out
    assert "left out 1 images that lie in no identity's folder" in caplog.text
    assert folder_lists.main([*options, "--probes", "A", "--strict"]) == 2
    assert "contact_sheet.png" in capsys.readouterr().err
    lists = read_distractor_lists(tmp_path / "lists", [10, 100, 121], 1)
    assert lists[2].paths[:100] == lists[1].paths and lists[1].paths[:10] == lists[0].paths
    assert list(lists[2].paths) != sorted(lists[2].paths)
    assert folder_lists.main([*options, "--probes", "A", "--seed", "1"]) == 0
    assert read_distractor_lists(tmp_path / "lists", [10], 1)[0].paths != lists[0].paths


def test_people_with_many_images_are_probes(tmp_path, capsys):
    for person, count in (("A", 5), ("B", 3), ("C", 1), ("D", 12)):
        (tmp_path / "crops" / person).mkdir(parents=True)
        for number in range(count):
            path = tmp_path / "crops" / person / f"{number:02}.png"
            cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    options = [str(tmp_path / "crops"), str(tmp_path / "lists"), "--max-images", "10"]
    assert folder_lists.main(options) == 0
    assert "15 probes of 2 people; distractors: 4" in capsys.readouterr().out
    probes = read_probe_list(tmp_path / "lists" / "faces_features_list.json")
    assert (probes.name, sorted(set(probes.ids))) == ("faces", ["A", "D"])
    (others,) = read_distractor_lists(tmp_path / "lists", [4], 1)
    assert sorted(path[0] for path in others.paths) == list("BBBC")
    assert read_image_list(tmp_path / "lists" / "megaface_lst") == list(others.paths)
    assert folder_lists.main([*options, "--probes", "D"]) == 2
    assert "others_features_list.json_4_1: is of earlier lists, whose" in capsys.readouterr().err
    assert len(read_probe_list(tmp_path / "lists" / "faces_features_list.json").paths) == 15
    options[1] = str(tmp_path / "others")
    assert folder_lists.main([*options, "--probes", "D"]) == 0
    assert "10 probes of 1 people; distractors: 9" in capsys.readouterr().out
    assert folder_lists.main([*options, "--probes", "D,C,X"]) == 2
    assert "--probes C,X: no 4 images in" in capsys.readouterr().err
    assert folder_lists.main([*options, "--min-images", "20"]) == 2
    assert "0 people with 20 images" in capsys.readouterr().err
    for wrong, message in (
        (["--min-images", "1"], "--min-images and --max-images of at least 2"),
        (["--max-images", "1"], "--min-images and --max-images of at least 2"),
        (["--name", "my_faces"], "--name 'my_faces': give letters"),
        (["--name", "../faces"], "--name '../faces': give letters"),
    ):
        assert folder_lists.main([*options, *wrong]) == 2
        assert message in capsys.readouterr().err


def test_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b"Andr\xe9")
    for person in (name, "Bo"):
        (tmp_path / "crops" / person).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "crops" / person / f"{number}.png").touch()
    options = [str(tmp_path / "crops"), str(tmp_path / "lists"), "--min-images", "2"]
    assert folder_lists.main([*options, "--probes", name]) == 0
    assert (tmp_path / "lists/facescrub_lst").read_bytes() == b"Andr\xe9/0.png\nAndr\xe9/1.png\n"
    assert read_image_list(tmp_path / "lists/facescrub_lst") == [f"{name}/0.png", f"{name}/1.png"]
    assert read_probe_list(tmp_path / "lists/faces_features_list.json").ids == (name, name)
