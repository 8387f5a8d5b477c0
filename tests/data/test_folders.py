import os

from arcface_mxnet.data import image_header
from arcface_mxnet.data.folders import find_images, folder_images
from arcface_mxnet.data.image_files import HEAD, ending_of, image_format
import cv2
import numpy as np
import pytest


def test_find_images_is_sorted_and_leaves_out_hidden_and_other_files(tmp_path):
    (tmp_path / "b/folder.png").mkdir(parents=True)
    for name in ("b/2.JPG", "b/1.png", "a/x.txt", ".thumbs/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.relative_to(tmp_path).as_posix() for p in find_images(tmp_path)] == [
        "b/1.png",
        "b/2.JPG",
    ]
    with pytest.raises(ValueError, match="no image below"):
        find_images(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match="no folder"):
        find_images(tmp_path / "absent")


def test_every_ending_is_found_in_both_ways(tmp_path):
    endings = [".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".JPG"]
    (tmp_path / "ann").mkdir()
    names = [f"{number}{ending}" for number, ending in enumerate(endings)]
    for name in (*names, "list.txt", "noending"):
        (tmp_path / "ann" / name).touch()
    assert [path.name for path in find_images(tmp_path)] == names
    assert [(one, path.name) for one, path in folder_images(tmp_path)] == [
        ("ann", name) for name in names
    ]


def put(folder, *names, content=b"\xff\xd8\xff\xe0 as a JPEG begins"):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


JUNK = (
    "__MACOSX/ann/._1.jpg", ".ipynb_checkpoints/1.jpg", ".DS_Store", "ann/Thumbs.db",
    "ann/desktop.ini", "ann/._1.jpg", "ann/.1.jpg", "@eaDir/1.jpg", "$RECYCLE.BIN/2.jpg",
)  # fmt: skip


def test_what_systems_leave_behind_is_nobody(tmp_path, caplog):
    put(tmp_path, "ann/1.jpg", "bob/1.jpg", *JUNK)
    caplog.set_level("INFO")
    for strict in (False, True):
        assert [name for name, _ in folder_images(tmp_path, strict=strict)] == ["ann", "bob"]
        assert len(find_images(tmp_path, strict=strict)) == 2
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4 and all("left out 9 that systems" in one for one in said)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_folder_that_is_itself_hidden_is_read(tmp_path):
    put(tmp_path, ".cache/ann/1.jpg")
    assert len(find_images(tmp_path / ".cache")) == len(folder_images(tmp_path / ".cache")) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("1", b"\xff\xd8\xff\xdb"),
        ("1.dat", b"\x89PNG\r\n\x1a\n"),
        ("J. R. Smith", b"GIF89a"),
        ("1.x", b"RIFF\0\0\0\0WEBPVP8 "),
        ("1.y", b"II*\0"),
        ("1.z", b"P5\n3 4"),
        ("1.bmpx", b"BM" + bytes(12) + b"\x28\0\0\0"),
        ("1.h", b"\0\0\0\x18ftypheic"),
        ("1.jfif", b""),
        ("1.tif", b""),
        ("1.gif", b"text: it will be named as damaged when it is read"),
    ],
)
def test_first_bytes_or_an_ending_tell_an_image(tmp_path, name, content):
    put(tmp_path, f"ann/{name}", content=content)
    assert [path.name for _, path in folder_images(tmp_path, strict=True)] == [name]


@pytest.mark.parametrize("content", [b"", b"Dear Bob", b"BMW is a car, not a bitmap", b"Photo"])
def test_other_files_are_told_by_name_and_strict_refuses_them(tmp_path, caplog, content):
    put(tmp_path, "ann/1.jpg")
    put(tmp_path, "ann/notes", "list.txt", content=content)
    for find in (find_images, folder_images):
        caplog.clear()
        assert len(find(tmp_path)) == 1
        assert "left out 2 files that are no images: " in caplog.text
        assert "list.txt" in caplog.text and "ann/notes" in caplog.text
        with pytest.raises(ValueError, match="left out 2 files.*\n--strict allows none"):
            find(tmp_path, strict=True)


def test_people_without_images_nested_and_stray_ones_are_told(tmp_path, caplog):
    put(tmp_path, "ann/1.jpg", "ann/old/2.jpg", "bob/s1/1.jpg", "bob/s2/deep/1.jpg", "stray.jpg")
    (tmp_path / "cyd").mkdir()
    assert folder_images(tmp_path) == [("ann", tmp_path / "ann/1.jpg")]
    assert "left out 2 folders without images: bob, cyd" in caplog.text
    assert "left out 3 images in folders within" in caplog.text
    assert "ann/old/2.jpg, bob/s1/1.jpg, bob/s2/deep/1.jpg" in caplog.text
    assert "left out 1 images that lie in no identity's folder: stray.jpg" in caplog.text
    with pytest.raises(ValueError, match=r"(?s)stray\.jpg.*without images: bob, cyd"):
        folder_images(tmp_path, strict=True)
    caplog.clear()
    assert len(folder_images(tmp_path, ["ann"])) == 1
    assert "cyd" not in caplog.text and "stray" not in caplog.text, "not asked for"
    assert len(find_images(tmp_path)) == 5, "at any depth"


def test_links(tmp_path, caplog):
    put(tmp_path, "real/1.jpg")
    (tmp_path / "photos/ann").mkdir(parents=True)
    (tmp_path / "photos/bob").symlink_to(tmp_path / "real")
    (tmp_path / "photos/ann/1.jpg").symlink_to(tmp_path / "real/1.jpg")
    (tmp_path / "photos/ann/2.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "photos/ann/up").symlink_to(tmp_path / "photos")
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path / "photos")]
    assert found == ["photos/ann/1.jpg", "photos/bob/1.jpg"]
    assert "left out 1 links that lead nowhere" in caplog.text
    assert "left out 1 links to folders that are there themselves: ann/up" in caplog.text


def test_a_link_to_a_person_is_no_other_person(tmp_path, caplog):
    put(tmp_path, "ann/1.jpg")
    put(tmp_path, ".store/cyd/2.jpg")
    put(tmp_path, "albums/deep/dan/3.jpg")
    (tmp_path / "bob").symlink_to("ann")
    (tmp_path / "dan").symlink_to("albums/deep/dan")
    (tmp_path / "cyd").symlink_to(".store/cyd")
    assert [name for name, _ in folder_images(tmp_path)] == ["ann", "cyd", "dan"]
    assert [path.parent.name for path in find_images(tmp_path)] == ["dan", "ann", "cyd"]
    assert "left out 1 links to folders that are there themselves: bob" in caplog.text
    with pytest.raises(ValueError, match="links to folders that are there themselves: bob"):
        folder_images(tmp_path, strict=True)


def test_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b"Andr\xe9")
    put(tmp_path, f"{name}/{name}.jpg")
    assert folder_images(tmp_path) == [(name, tmp_path / name / f"{name}.jpg")]
    assert find_images(tmp_path) == [tmp_path / name / f"{name}.jpg"]


def test_what_the_aligner_writes_beside_its_crops_is_no_stranger(tmp_path, caplog):
    put(tmp_path, "ann/1.png", "train.lst", "failures.tsv", "faces.tsv", "train.names", "property")
    assert len(folder_images(tmp_path, strict=True)) == len(find_images(tmp_path, strict=True)) == 1
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


COMPLETE = {b"RIFF": b"\0\0\0\0WEBP", b"BM": bytes(12) + b"\x28\0\0\0", b"PF": b"\n", b"Pf": b"\n"}


def test_every_format_that_the_reader_knows_is_told_by_its_first_bytes():
    told = 0
    for name, starts, _ in image_header._FORMATS:
        for start in (starts,) if isinstance(starts, bytes) else starts:
            rest = b"heic" if b"ftyp" in start else COMPLETE.get(start, b"")
            assert image_format(start + rest), (name, start)
            told += 1
    assert told > 20


@pytest.mark.parametrize(
    "ending", [".jpg", ".png", ".webp", ".bmp", ".tif", ".pgm", ".ppm", ".jp2"]
)
def test_what_opencv_writes_is_told_and_gets_its_ending_back(ending):
    shape = (64, 64) if ending == ".pgm" else (64, 64, 3)
    head = cv2.imencode(ending, np.zeros(shape, np.uint8))[1].tobytes()[:HEAD]
    assert ending_of(head) == ending


@pytest.mark.parametrize(
    "head",
    [b"", b"BM", b"BMW", b"RIFF\0\0\0\0WAVE", b"\0\0\0\x18ftypisom", b"P4ge", b"PK\3\4", b"II*"],
)
def test_other_files_are_told_no_image(head):
    assert image_format(head) == "" and ending_of(head) == ".img"
