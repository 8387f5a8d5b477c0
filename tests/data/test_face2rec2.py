"""Packing: the original's bytes, any number of threads, and every kind of bad list."""

import os
import shutil
import subprocess
import sys

from arcface_mxnet.data import packing
from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.data.face2rec2 import build_parser, main
from arcface_mxnet.data.lists import read_list
from arcface_mxnet.data.records import RecordReader
import cv2
import numpy as np
import pytest


@pytest.fixture
def photos(tmp_path, image_of, encode):
    """Three people with 3, 1 and 2 images of 16x16."""
    folder = tmp_path / "photos"
    for number, (name, count) in enumerate([("ann", 3), ("bob", 1), ("cyd", 2)]):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            (folder / name / f"{i}.png").write_bytes(encode(image_of(i, number)))
    (folder / "ann" / "notes.txt").write_text("no image")
    (folder / "stray.png").write_bytes(encode(image_of(0, 0)))
    return folder


@pytest.fixture
def listed(tmp_path, photos):
    """A dataset folder with property and a function that writes its list and packs it."""

    def write(lines, *arguments):
        (tmp_path / "property").write_text("9,16,16")
        (tmp_path / "train.lst").write_text("".join(line + "\n" for line in lines))
        return main([str(tmp_path), *arguments])

    return write


def line(name, identity, aligned=1):
    return f"{aligned}\tphotos/{name}.png\t{identity}"


GROUPED = [line("ann/0", 0), line("ann/1", 0), line("bob/0", 1), line("cyd/1", 2)]


def test_the_original_list_gives_the_original_records(tmp_path, shared_data):
    original = shared_data / "original_records"
    for name in ("property", "train.lst"):
        shutil.copyfile(original / name, tmp_path / name)
    assert main([str(tmp_path), "--root", str(original)]) == 0
    assert (tmp_path / "property").read_bytes() == (original / "property").read_bytes()
    ours = RecordReader(tmp_path / "train.rec", tmp_path / "train.idx")
    theirs = RecordReader(original / "train.rec", original / "train.idx")
    assert list(ours.keys) == list(theirs.keys)
    for key in theirs.keys:
        one, other = ours.read(key), theirs.read(key)
        assert (one.flag, one.id, one.id2) == (other.flag, other.id, other.id2)
        assert np.array_equal(one.label, other.label)
        if key not in range(37, 41):  # these four were aligned and encoded anew
            assert one.payload == other.payload
            continue
        images = [cv2.imdecode(np.frombuffer(r.payload, np.uint8), 1) for r in (one, other)]
        assert images[0].shape == (112, 112, 3)
        difference = cv2.absdiff(*images)
        # The last digit of the fitted matrix may move a pixel by a JPEG step.
        assert difference.max() <= 4 and difference.mean() < 0.02


def test_the_size_of_the_first_part_is_that_of_the_original(tmp_path, shared_data):
    original = shared_data / "original_records"
    lines = (original / "train.lst").read_text().splitlines()[:36]
    (tmp_path / "train.lst").write_text("\n".join(lines))
    assert main([str(tmp_path), "--root", str(original)]) == 0
    images = 317076  # where record 37 begins in the original
    assert (tmp_path / "train.rec").read_bytes()[:images] == (
        (original / "train.rec").read_bytes()[:images]
    )


def test_a_folder_of_identities(tmp_path, photos, capsys, image_of):
    out = tmp_path / "out"
    assert main([str(out), "--folder", str(photos), "--image-size", "16,16"]) == 0
    dataset = FaceDataset(out)
    assert dataset.num_classes == 3
    assert dataset.identity_ranges.tolist() == [[1, 4], [4, 5], [5, 7]]
    assert np.array_equal(dataset.sample(6)[0], image_of(1, 2))
    assert (out / "property").read_text() == "3,16,16\n"
    assert (out / "train.names").read_text() == "0\tann\n1\tbob\n2\tcyd\n"
    said = capsys.readouterr().out
    assert "6 images of 3 identities, 1 to 3 images each" in said
    assert "10 records = 6 images + 1 header + 3 identity records" in said
    assert f"wrote {out / 'property'}: 3,16,16" in said


def test_a_given_size_goes_before_that_of_property(tmp_path, photos, capsys):
    (tmp_path / "property").write_text("3,16,16\n")
    folder = [str(tmp_path), "--folder", str(photos), "--fit", "pad"]
    assert main([*folder, "--image-size", "20,18"]) == 0
    assert (tmp_path / "property").read_text() == "3,20,18\n"
    assert main(folder) == 0
    assert (tmp_path / "property").read_text() == "3,20,18\n"
    assert main([*folder, "--image-size", "20"]) == 2
    assert "--image-size '20': give HEIGHT,WIDTH" in capsys.readouterr().err


def test_chosen_identities_in_their_order(tmp_path, photos):
    arguments = ["--folder", str(photos), "--image-size", "16,16", "--identities", "cyd,ann"]
    assert main([str(tmp_path), *arguments]) == 0
    assert FaceDataset(tmp_path).identity_ranges.tolist() == [[1, 3], [3, 6]]
    assert (tmp_path / "train.names").read_text() == "0\tcyd\n1\tann\n"


def test_the_number_of_threads_changes_nothing(tmp_path, listed):
    lines = [line(f"{name}/0", i) for i, name in enumerate(("ann", "bob", "cyd"))] * 40
    files = []
    for threads in (1, 8):
        assert listed(sorted(lines, key=lambda text: text[-1]), "--num-thread", str(threads)) == 0
        files.append([(tmp_path / f"train.{end}").read_bytes() for end in ("rec", "idx")])
    assert files[0] == files[1]


def test_a_list_that_is_not_grouped_is_grouped(tmp_path, listed, caplog, image_of):
    assert listed([line("cyd/1", 1), line("ann/0", 0), line("cyd/0", 1), line("ann/1", 0)]) == 0
    dataset = FaceDataset(tmp_path)
    assert dataset.identity_ranges.tolist() == [[1, 3], [3, 5]]
    expected = [image_of(0, 0), image_of(1, 0), image_of(1, 2), image_of(0, 2)]
    for key, image in enumerate(expected, start=1):
        assert np.array_equal(dataset.sample(key)[0], image), "order within an identity stays"
    assert "was not grouped by identity" in caplog.text


def test_gaps_in_the_numbers(tmp_path, listed, capsys):
    lines = [line("ann/0", 3), line("bob/0", 7)]
    assert listed(lines) == 2
    assert "2 identities up to number 7, but none with number 0" in capsys.readouterr().err
    assert not (tmp_path / "train.rec").exists()
    assert listed(lines, "--relabel") == 0
    assert FaceDataset(tmp_path).num_classes == 2
    assert (tmp_path / "train.names").read_text() == "0\t3\n1\t7\n"


def test_lines_without_alignment_and_landmarks_are_left_out(tmp_path, listed, capsys):
    assert listed([*GROUPED, line("cyd/0", 2, aligned=0) + "\t1\t2\t3\t4"]) == 0
    assert "left out: 1 images marked 0 (not aligned) without landmarks" in capsys.readouterr().out
    assert len(FaceDataset(tmp_path).image_keys) == 4


def test_all_lists_of_a_prefix(tmp_path, listed):
    listed(GROUPED)
    (tmp_path / "train.rec").unlink()
    (tmp_path / "val.lst").write_text(line("ann/0", 0))
    assert main([str(tmp_path / "va")]) == 0
    assert (tmp_path / "val.rec").exists() and not (tmp_path / "train.rec").exists()
    assert (tmp_path / "property").read_text() == "3,16,16\n", "still that of train"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("1\tphotos/ann/0.png", "has 2 fields separated by TAB"),
        ("1 photos/ann/0.png 0", "has 1 fields.*this line has spaces: put one TAB"),
        ("1,photos/ann/0.png,0", "has 1 fields.*this line has commas: put one TAB"),
        ("photos/ann/0.png\t0", "has a path .'photos/ann/0.png'. and a number: write 1, path"),
        ("0\tphotos/ann/0.png", "has a path .'photos/ann/0.png'. and a number"),
        ("7\t0\t3\tphotos/ann/0.png", "of im2rec's form .* with 2 labels"),
        ("7\t1.5\tphotos/ann/0.png", "im2rec's form .* '1.5' is no whole number from 0"),
        ("7\tnan\tphotos/ann/0.png", "im2rec's form .* 'nan' is no whole number from 0"),
        ("7\t0\tphotos/ann/0.png", "is of im2rec form, line 1 is not: one list has one form"),
        ("1\tC:\\faces\\0.png\t0", "begins with a drive of Windows"),
        ("2\tphotos/ann/0.png\t0", "begins with '2'; 1 means aligned"),
        ("1\tphotos/ann/0.png\tann", "needs numbers after the path.*'ann'"),
        ("0\tphotos/ann/0.png\t0\t1\t2\t3\tx", "needs numbers"),
        ("1\tphotos/ann/0.png\t-1", "an identity must be from 0 to 16777215: '-1'"),
        ("1\tphotos/ann/0.png\t16777216", "must be from 0 to"),
        ("1\t\t0", "has no path"),
        ("1\t../other.png\t0", "leaves .*--root"),
        ("1\t/etc/passwd\t0", "leaves .*--root"),
        ("1\tphotos/../../x.png\t0", "leaves .*--root"),
    ],
)
def test_a_bad_line_is_named(tmp_path, listed, capsys, bad, message):
    assert listed([GROUPED[0], bad, *GROUPED[1:]]) == 2
    said = capsys.readouterr().err
    assert "train.lst line 2: " in said
    import re

    assert re.search(message, said), said
    assert not (tmp_path / "train.rec").exists()


def test_a_link_out_of_the_root_is_not_followed(tmp_path, listed, capsys):
    outside = tmp_path.parent / f"{tmp_path.name}-outside.png"
    outside.write_bytes(b"secret")
    (tmp_path / "photos" / "link.png").symlink_to(outside)
    assert listed([line("link", 0)]) == 2
    assert "leaves" in capsys.readouterr().err


def test_all_faults_are_told_together(listed, capsys):
    assert listed(["x"] * 15) == 2
    said = capsys.readouterr().err
    assert "line 1:" in said and "line 10:" in said and "line 11:" not in said


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_an_image_that_cannot_be_packed(tmp_path, listed, photos, capsys, content):
    path = photos / "bob" / "0.png"
    path.unlink() if content is None else path.write_bytes(content)
    assert listed(GROUPED) == 2
    said = capsys.readouterr().err
    assert "train.lst line 3: " in said and "bob/0.png" in said
    assert not (tmp_path / "train.rec").exists() and not (tmp_path / "train.idx").exists()
    lines = [GROUPED[0], *GROUPED[2:], line("ann/1", 1)]
    assert listed(lines, "--skip-bad") == 0
    said = capsys.readouterr().out
    assert "left out: 1 images that could not be packed" in said and "bob/0.png" in said
    assert FaceDataset(tmp_path).identity_ranges.tolist() == [[1, 2], [2, 3], [3, 4]]


def test_an_image_of_another_shape(tmp_path, listed, photos, capsys, encode):
    wide = np.full((20, 40, 3), 200, np.uint8)
    (photos / "bob" / "0.png").write_bytes(encode(wide))
    assert listed(GROUPED) == 2
    assert "bob/0.png: is 32 wide and 16 high after resizing" in capsys.readouterr().err
    assert listed(GROUPED, "--fit", "pad", "--encoding", ".png") == 0
    image, _ = FaceDataset(tmp_path).sample(3)
    assert image.shape == (16, 16, 3)
    assert (image[4:12] == 200).all() and not image[:4].any() and not image[12:].any()


@pytest.mark.parametrize("shape", [(112, 92), (50, 200, 3), (300, 10), (16, 16, 3), (7, 9, 3)])
def test_padding_keeps_the_proportions_and_the_centre(shape):
    image = np.full(shape, 255, np.uint8)
    result = packing.padded(image, (112, 112))
    assert result.shape == (112, 112, *shape[2:])
    rows, columns = (np.flatnonzero(result.reshape(112, 112, -1).any((2, axis))) for axis in (1, 0))
    assert max(len(rows), len(columns)) == 112
    assert len(columns) / len(rows) == pytest.approx(shape[1] / shape[0], rel=0.2)
    for found in (rows, columns):
        assert abs(found[0] - (111 - found[-1])) <= 1


def test_missing_things(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "no list" in capsys.readouterr().err
    assert main([str(tmp_path), "--folder", str(tmp_path / "nobody")]) == 2
    assert "nobody: no such folder" in capsys.readouterr().err
    (tmp_path / "train.lst").write_text("\n\n")
    assert main([str(tmp_path)]) == 2
    assert "holds no image" in capsys.readouterr().err
    assert main([str(tmp_path), "--identities", "a"]) == 2
    assert "--identities: goes with --folder" in capsys.readouterr().err


def test_a_property_with_two_fields_is_not_guessed_at(tmp_path, listed, capsys):
    (tmp_path / "property").write_text("9,16")
    (tmp_path / "train.lst").write_text(GROUPED[0])
    assert main([str(tmp_path)]) == 2
    assert "expected a line NUM_CLASSES,HEIGHT,WIDTH" in capsys.readouterr().err


def test_published_flags_are_taken(tmp_path, listed, caplog):
    flags = ["--quality", "90", "--num-thread", "2", "--color", "1", "--encoding", ".jpg"]
    dead = ["--list", "False", "--exts", ".jpeg", ".jpg", "--chunks", "1", "--shuffle", "True"]
    assert listed(GROUPED, *flags, *dead) == 0
    assert "--chunks has no effect, as published" in caplog.text
    assert build_parser().parse_args(["p", "--recursive", "True", "--pack-label", "1"]).prefix


FULL_DISK = """
import resource, signal, sys
from arcface_mxnet.data.face2rec2 import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
sys.exit(main(sys.argv[1:]))
"""


def test_a_full_disk_keeps_what_was_there(tmp_path, listed):
    pytest.importorskip("resource")
    assert listed(GROUPED) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.glob("train.*")}
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True
    )
    assert run.returncode == 2
    assert "nothing was left behind, make room" in run.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.glob("train.*")} == before


def test_skip_bad_closes_the_gap_of_a_person_without_a_good_image(tmp_path, photos, capsys):
    (photos / "bob" / "0.png").write_bytes(b"no image")
    arguments = [str(tmp_path), "--folder", str(photos), "--image-size", "16,16"]
    assert main(arguments) == 2
    assert "bob/0.png" in capsys.readouterr().err
    assert main([*arguments, "--skip-bad"]) == 0
    said = capsys.readouterr().out
    assert "left out: 1 identities without an image that can be packed (bob)" in said
    assert "5 images of 2 identities" in said
    assert (tmp_path / "property").read_text() == "2,16,16\n"
    assert (tmp_path / "train.names").read_text() == "0\tann\n1\tcyd\n"
    dataset = FaceDataset(tmp_path)
    assert dataset.num_classes == 2
    assert [dataset.sample(key)[1] for key in range(1, 6)] == [0, 0, 0, 1, 1]


def test_skip_bad_never_changes_the_numbers_of_a_list(tmp_path, listed, photos, capsys):
    (photos / "bob" / "0.png").write_bytes(b"no image")
    assert listed(GROUPED, "--skip-bad") == 2
    said = capsys.readouterr().err
    assert "no image of 1 identities can be packed (numbers 1)" in said
    assert "line 3: " in said and "give --relabel" in said
    assert not (tmp_path / "train.rec").exists()
    assert listed(GROUPED, "--skip-bad", "--relabel") == 0
    assert (tmp_path / "train.names").read_text() == "0\t0\n1\t2\n"
    assert (tmp_path / "property").read_text() == "2,16,16\n"


def test_an_identity_of_which_all_is_left_out_is_no_class(tmp_path, listed, capsys):
    lines = [GROUPED[0], line("bob/0", 1, aligned=0), line("cyd/0", 2)]
    assert listed(lines) == 2
    assert "all are marked 0 (not aligned), without landmarks" in capsys.readouterr().err
    assert listed(lines, "--relabel") == 0
    assert FaceDataset(tmp_path).num_classes == 2


def test_missing_files_are_told_at_once_before_any_is_packed(tmp_path, listed, capsys):
    assert listed([*GROUPED, line("cyd/8", 2), line("cyd/9", 2)]) == 2
    said = capsys.readouterr().err
    assert "2 of 6 files are missing" in said
    assert "line 5: " in said and "cyd/8.png: missing" in said and "cyd/9.png: missing" in said
    assert listed([text.replace("photos/", "fotos/") for text in GROUPED]) == 2
    said = capsys.readouterr().err
    assert "4 of 4 files are missing" in said
    assert "the list: 'fotos/ann/0.png' and 'fotos/ann/1.png'" in said
    assert "there: 'photos/stray.png' and 'photos/ann/0.png'" in said


def test_strict_refuses_what_is_no_image_of_an_identity(tmp_path, photos, capsys):
    arguments = [str(tmp_path / "out"), "--folder", str(photos), "--image-size", "16,16"]
    assert main([*arguments, "--strict"]) == 2
    said = capsys.readouterr().err
    assert "ann/notes.txt" in said and "stray.png" in said
    assert not (tmp_path / "out").exists()
    assert main([str(tmp_path), "--strict"]) == 2
    assert "--strict: goes with --folder" in capsys.readouterr().err


def test_names_that_are_not_utf8(tmp_path, image_of, encode):
    name = b"Andr\xe9"
    folder = tmp_path / "photos" / os.fsdecode(name)
    folder.mkdir(parents=True)
    (folder / os.fsdecode(name + b".png")).write_bytes(encode(image_of(0, 0)))
    (folder / os.fsdecode(name + b"-bad.png")).write_bytes(b"no image")
    command = [sys.executable, "-m", "arcface_mxnet.data.face2rec2", str(tmp_path), "--image-size"]
    command += ["16,16", "--folder", str(tmp_path / "photos"), "--skip-bad"]
    run = subprocess.run(command, capture_output=True)
    assert run.returncode == 0, run.stderr
    assert name + b"-bad.png" in run.stdout
    assert (tmp_path / "train.names").read_bytes() == b"0\t" + name + b"\n"
    assert (tmp_path / "property").is_file()


@pytest.mark.parametrize(
    "change",
    [
        lambda text, row: text.replace("/", "\\"),
        lambda text, row: text + "\t",
        lambda text, row: text + " \t \t",
        lambda text, row: "  \t  ".join(text.split("\t")),
        lambda text, row: text + ".000000",
        lambda text, row: f"{row + 70}\t{text[-1]}.000000\t{text.split(chr(9))[1]}",
        lambda text, row: f"{row}\t{text[-1]}\t{text.split(chr(9))[1]}".replace("/", "\\"),
    ],
    ids=["backslashes", "TAB", "blanks and TABs", "spaces", "decimals", "im2rec", "im2rec 2"],
)
def test_lists_as_people_have_them_give_the_same_records(tmp_path, listed, change):
    assert listed(GROUPED) == 0
    expected = (tmp_path / "train.rec").read_bytes()
    (tmp_path / "train.rec").unlink()
    assert listed([change(text, row) for row, text in enumerate(GROUPED)]) == 0
    assert (tmp_path / "train.rec").read_bytes() == expected


def test_a_file_with_a_backslash_or_blanks_in_its_name_is_itself(tmp_path, image_of, encode):
    for row, name in enumerate(("a\\b.png", "a/b.png", " b.png", "b.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encode(image_of(row, 0)))
    (tmp_path / "x.lst").write_text("1\ta\\b.png\t0\n1\t b.png\t0\n")
    names = [entry.path.name for entry in read_list(tmp_path / "x.lst")]
    assert names == ["a\\b.png", " b.png"]


def test_im2rec_is_told_and_does_not_say_whether_images_are_aligned(tmp_path, caplog):
    (tmp_path / "x.lst").write_text("5\t3.000000\ta b/1.jpg\n")
    caplog.set_level("INFO")
    for are_aligned, words in ((True, "aligned crops"), (False, "photos to align")):
        (entry,) = read_list(tmp_path / "x.lst", are_aligned=are_aligned)
        assert (entry.path, entry.identity) == (tmp_path / "a b/1.jpg", 3)
        assert entry.is_aligned == are_aligned and entry.landmarks is None
        assert f"as im2rec writes them; the images are taken for {words}" in caplog.text


def test_a_name_that_no_line_can_hold_is_refused(tmp_path, photos, capsys):
    (photos / "bob").rename(photos / "b\nob")
    assert main([str(tmp_path), "--folder", str(photos), "--image-size", "16,16"]) == 2
    assert "1 names hold a line break, such as 'b\\nob'" in capsys.readouterr().err
    assert not (tmp_path / "train.rec").exists()


def test_a_list_that_a_mac_left_behind_is_none(tmp_path, listed):
    (tmp_path / "._train.lst").write_bytes(b"\0\5\x16\7")
    assert listed(GROUPED) == 0
    assert not (tmp_path / "._train.rec").exists()


def test_names_that_came_with_a_list_stay_and_those_of_another_packing_go(tmp_path, listed, caplog):
    """arcface-align writes the two together."""
    names = tmp_path / "train.names"
    names.write_text("0\tn1\n1\tn4\n2\tn9\n")
    os.utime(names, (2**32, 2**32))  # not older than the list
    assert listed(GROUPED) == 0
    assert names.read_text() == "0\tn1\n1\tn4\n2\tn9\n"
    os.utime(names, (1, 1))
    assert listed(GROUPED) == 0
    assert not names.exists()
    assert "train.names: of another packing than this list; removed" in caplog.text
    names.write_text("0\tn1\n")  # of fewer identities
    os.utime(names, (2**32, 2**32))
    assert listed(GROUPED) == 0
    assert not names.exists()


def test_a_crop_of_two_people_is_told(tmp_path, caplog):
    path = tmp_path / "train.lst"
    path.write_text("1\ta/1.png\t0\n1\tb/1.png\t1\n1\ta/1.png\t0\n1\ta/1.png\t1\n1\ta/1.png\t2\n")
    assert len(read_list(path)) == 5
    assert "2 lines give a crop to another identity than a line before" in caplog.text
    assert "a/1.png is identity 0 in line 1 and 1 in line 4" in caplog.text
    caplog.clear()
    marks = "\t".join(["1"] * 14)
    path.write_text(f"0\ta/1.png\t0\t{marks}\n0\ta/1.png\t1\t{marks}\n")  # two faces of a photo
    assert len(read_list(path)) == 2
    assert not caplog.text
