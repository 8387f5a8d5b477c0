"""Lists: the kit's forms, and input that must be refused."""

import codecs
import json
import os

from arcface_mxnet.megaface.lists import (
    algorithm_name,
    read_distractor_list,
    read_distractor_lists,
    read_image_list,
    read_names,
    read_noise_list,
    read_probe_list,
)
import pytest


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_probe_lists_of_facescrub_and_fgnet(tmp_path):
    path = write(
        tmp_path / "facescrub_features_list.json",
        {"path": ["A/A_1.png", "B/B_1.png"], "id": ["A", "B"]},
    )
    probes = read_probe_list(path)
    assert (probes.name, probes.paths, probes.ids) == (
        "facescrub", ("A/A_1.png", "B/B_1.png"), ("A", "B"))  # fmt: skip
    path = write(tmp_path / "fgnet_features_list.json", {"path": ["001A02.JPG"], "id": [1]})
    assert read_probe_list(path).name == "fgnet"
    assert read_probe_list(path).ids == ("1",)


@pytest.mark.parametrize(
    "content, message",
    [
        ({"path": ["a"]}, "no array 'id'"),
        ({"id": ["a"]}, "no array 'path'"),
        ({"path": [], "id": []}, "no array 'path', or it is empty"),
        ({"path": ["a", "b"], "id": ["a"]}, "of one length"),
        ({"path": ["a", "b", "a"], "id": ["a", "a", "a"]}, "1 duplicates: 'a'"),
        ({"path": ["a/../../b"], "id": ["a"]}, "leave their root, .*: 'a/../../b'"),
        ({"path": ["/etc/passwd"], "id": ["a"]}, "leave their root"),
        ({"path": ["a\\..\\b"], "id": ["a"]}, "leave their root"),
        ({"path": ["a\nb"], "id": ["a"]}, "leave their root"),
        ({"path": [""], "id": ["a"]}, "leave their root"),
        ({"path": [1], "id": ["a"]}, "text alone"),
        ({"path": ["a"], "id": [None]}, "a name or a number"),
        (["a"], "an object with the array 'path'"),
        ("{", "not a list: no JSON"),
        ("[" * 100000, "not a list: no JSON"),
    ],
)
def test_bad_probe_lists(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_probe_list(write(tmp_path / "list.json", content))


def test_dots_within_a_name_are_no_way_out(tmp_path):
    path = write(tmp_path / "l_1.json", {"path": ["a..b/c...jpg"], "id": ["a"]})
    assert read_probe_list(path).paths == ("a..b/c...jpg",)


def test_distractor_lists_of_a_folder(tmp_path):
    for size in (1, 2):
        for index in (1, 2):
            write(tmp_path / f"megaface_features_list.json_{size}_{index}",
                  {"path": [f"{index}/{i}.jpg" for i in range(size)]})  # fmt: skip
    lists = read_distractor_lists(tmp_path, [1, 2], 2)
    assert [(one.name, one.size, one.index) for one in lists] == [
        ("megaface", size, index) for size in (1, 2) for index in (1, 2)
    ]
    assert lists[3].paths == ("2/0.jpg", "2/1.jpg")
    with pytest.raises(FileNotFoundError, match="json_3_1: no such list"):
        read_distractor_lists(tmp_path, [3], 1)
    with pytest.raises(FileNotFoundError, match="no such list or folder"):
        read_distractor_lists(tmp_path / "x", [1], 1)


def test_one_list_serves_all_sizes_by_its_first_entries(tmp_path):
    path = write(tmp_path / "mine_features_list.json", {"path": ["a", "b", "c"]})
    assert [one.paths for one in read_distractor_lists(path, [1, 3], 1)] == [
        ("a",),
        ("a", "b", "c"),
    ]
    with pytest.raises(ValueError, match="one list is one set"):
        read_distractor_lists(path, [1], 2)


def test_a_size_larger_than_the_list(tmp_path):
    path = write(tmp_path / "megaface_features_list.json_10_1", {"path": ["a", "b"]})
    with pytest.raises(ValueError, match="2 distractors, size 10 was asked for"):
        read_distractor_list(path, 10)
    assert read_distractor_list(path, 1).paths == ("a",)
    with pytest.raises(ValueError, match="1 duplicates"):
        read_distractor_list(write(path, {"path": ["a", "a"]}), 2)


def test_noise_lists(tmp_path):
    path = write(tmp_path / "noises.txt", "#noises\nA_1.png\n\n3\t37/5@N00/4_0.jpg\n")
    assert read_noise_list(path) == {"A_1.png", "37/5@N00/4_0.jpg"}
    with pytest.raises(FileNotFoundError, match="^no list /"):
        read_noise_list(tmp_path / "x")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="line 1: byte 2 of the file, 0x00, is not UTF-16-LE text"):
        read_noise_list(tmp_path / "binary")


def test_lists_of_names_that_are_not_utf8_and_of_windows(tmp_path):
    path = tmp_path / "list"
    path.write_bytes(b"a/Zo\xeb.jpg \r\n")
    assert [os.fsencode(name) for name in read_names(path)] == [b"a/Zo\xeb.jpg"]
    path.write_bytes(codecs.BOM_UTF16_LE + "a.jpg\t\r\n#b\r\n\r\n".encode("utf-16-le"))
    assert read_noise_list(path) == {"a.jpg"}


def test_image_lists_bare_aligned_and_json(tmp_path):
    assert read_image_list(write(tmp_path / "a", "x/1.png\nx/2.png\n")) == ["x/1.png", "x/2.png"]
    assert read_image_list(write(tmp_path / "b", "1\tx/1.png\t0\n1\tx/2.png\t0\n")) == [
        "x/1.png", "x/2.png"]  # fmt: skip
    assert read_names(write(tmp_path / "c", {"path": ["x/1.png"]})) == ["x/1.png"]
    assert read_names(tmp_path / "a") == ["x/1.png", "x/2.png"]
    with pytest.raises(ValueError, match="leave their root"):
        read_image_list(write(tmp_path / "d", "1\t../x\t0\n"))
    with pytest.raises(ValueError, match="the list is empty"):
        read_image_list(write(tmp_path / "e", "\n"))


def test_a_mark_in_front_of_a_list_is_no_part_of_it(tmp_path):
    mark = b"\xef\xbb\xbf"
    for name, text in (
        ("noises", b"A_1.png\n"),
        ("lst", b"A_1.png\n"),
        ("json", b'{"path": ["a"]}'),
    ):
        (tmp_path / name).write_bytes(mark + text)
    assert read_noise_list(tmp_path / "noises") == {"A_1.png"}
    assert read_names(tmp_path / "lst") == ["A_1.png"]
    assert read_names(tmp_path / "json") == ["a"]
    assert read_names(write(tmp_path / "space", ' \n{"path": ["b"]}')) == ["b"]


def test_two_lists_of_one_size_are_named(tmp_path):
    for name in ("megaface", "mine"):
        write(tmp_path / f"{name}_features_list.json_1_1", {"path": ["a"]})
    with pytest.raises(
        ValueError, match="2 lists of size 1, set 1: 'megaface_features_list.json_1_1'"
    ):
        read_distractor_lists(tmp_path, [1], 1)


def test_algorithm_names():
    assert algorithm_name("_r100ii.bin") == "r100ii"
    assert algorithm_name("_a_112x112.bin.gz") == "a_112x112"
    for ending in ("", ".bin", "_/x.bin"):
        with pytest.raises(ValueError, match="wanted like _r100.bin"):
            algorithm_name(ending)
