import os

from arcface_mxnet.align.align_faces import main, photos_of_folder
from arcface_mxnet.align.aligner import FACTS, Aligner, Photo
from arcface_mxnet.align.face import Face
from arcface_mxnet.align.face_facts import FactsWriter, read_facts
from arcface_mxnet.align.template import template
from arcface_mxnet.data.images import read_image
from arcface_mxnet.data.lists import read_list
import cv2
import numpy as np
import pytest

PHOTOS = ("Abel_Pacheco/Abel_Pacheco_0001", "Abel_Pacheco/Abel_Pacheco_0004")
OTHER = "Abdul_Rahman/Abdul_Rahman_0001"


@pytest.fixture
def photos(tmp_path, shared_data):
    """A folder of three photos of two people, and two files without a face."""
    folder = tmp_path / "photos"
    for name in (*PHOTOS, OTHER):
        path = folder / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((shared_data / f"lfw/fold_1/{name}.jpg").read_bytes())
    cv2.imwrite(str(folder / "Abel_Pacheco/black.png"), np.zeros((90, 90), np.uint8))
    (folder / "Abdul_Rahman/broken.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture
def align(models):
    return lambda *arguments: main([*map(str, arguments), "--detector", f"{models}/mtcnn"])


def test_a_folder_becomes_crops_a_list_and_a_table_of_failures(photos, align, tmp_path, capsys):
    output = tmp_path / "crops"
    assert align(photos, output) == 1
    assert "5 photos, 3 crops" in capsys.readouterr().out
    entries = read_list(output / "train.lst")
    assert [(entry.path.stem, entry.identity, entry.is_aligned) for entry in entries] == [
        ("Abdul_Rahman_0001", 0, True),
        ("Abel_Pacheco_0001", 1, True),
        ("Abel_Pacheco_0004", 1, True),
    ]
    for entry in entries:
        crop = read_image(entry.path)
        assert crop.shape == (112, 112, 3)
    failures = (output / "failures.tsv").read_text().splitlines()
    assert [line.split("\t")[0].split("/")[-1] for line in failures] == ["broken.jpg", "black.png"]
    assert "decode" in failures[0] and failures[1].endswith("no face found")
    assert cv2.imread(f"{output}-contact_sheet.png").shape == (112, 12 * 112, 3)


def test_a_second_run_does_only_what_is_missing(photos, align, tmp_path):
    output = tmp_path / "crops"
    align(photos, output)
    kept, lost = (output / f"{name}.png" for name in PHOTOS)
    first = lost.read_bytes()
    cv2.imwrite(str(kept), np.zeros((112, 112, 3), np.uint8))  # would be made anew otherwise
    lost.unlink()
    align(photos, output)
    assert read_image(kept).max() == 0 and lost.read_bytes() == first
    assert len(read_list(output / "train.lst")) == 3


def test_crops_of_another_size_are_not_mixed_in(photos, align, tmp_path):
    output = tmp_path / "crops"
    align(photos, output)
    (output / f"{OTHER}.png").unlink()
    assert align(photos, output, "--image-size", "112,96") == 1
    assert [entry.path.stem for entry in read_list(output / "train.lst")] == [OTHER.split("/")[1]]
    assert "is there already, 112x112" in (output / "failures.tsv").read_text()


def test_a_photo_too_much_for_the_machine_does_not_end_the_run(photos, tmp_path):
    class Exhausted:
        trust = None

        def detect(self, bgr):
            raise cv2.error("Insufficient\nmemory")

    photo = Photo(photos / f"{OTHER}.jpg", tmp_path / "crop.png", 0)
    assert Aligner(Exhausted(), (112, 112)).align(photo).reason == "Insufficient memory"


def test_names_older_than_utf8_come_out_as_they_went_in(photos, align, tmp_path):
    name = os.fsdecode(b"Jos\xe9")
    (photos / "Abdul_Rahman").rename(photos / name)
    output = tmp_path / "crops"
    assert align(photos, output) == 1
    assert [entry.path.parent.name for entry in read_list(output / "train.lst")][-1] == name
    assert os.fsencode(f"{name}/broken.jpg") in (output / "failures.tsv").read_bytes()


def test_a_list_cannot_write_beside_its_folder(photos, align, tmp_path):
    list_path = photos / "some.lst"
    list_path.write_text(f"0\t../photos/{OTHER}.jpg\t9\n")
    output = tmp_path / "inner/crops"
    assert align(list_path, output) == 0
    assert (output / f"{OTHER}.png").is_file()


def test_a_list_with_landmarks_needs_no_face(photos, align, tmp_path):
    numbers = "\t".join(map(str, (template() / 2).T.ravel()))
    list_path = photos / "some.lst"
    list_path.write_text(
        f"0\tAbel_Pacheco/black.png\t7\t0\t0\t90\t90\t{numbers}\n0\t{OTHER}.jpg\t9\n"
    )
    output = tmp_path / "crops"
    assert align(list_path, output, "--image-size", "112,96") == 0
    entries = read_list(output / "train.lst")
    assert [entry.identity for entry in entries] == [0, 1]
    assert (output / "train.names").read_text() == "0\t7\n1\t9\n"
    assert [read_image(entry.path).shape for entry in entries] == [(112, 96, 3)] * 2


def test_options_that_would_do_nothing_are_refused(photos, align, tmp_path, capsys, caplog):
    output = tmp_path / "crops"
    assert align(photos, output, "--limited", "--min-size", "30") == 2
    assert "--min-size: --limited, which looks for no size, does not use" in capsys.readouterr().err
    numbers = "\t".join(map(str, (template() / 2).T.ravel()))
    list_path = photos / "some.lst"
    known = f"0\tAbel_Pacheco/black.png\t7\t0\t0\t90\t90\t{numbers}\n"
    list_path.write_text(known)
    assert align(list_path, output, "--max-yaw", "3", "--limited", "--uncertain", "refuse") == 2
    told = capsys.readouterr().err
    assert "--limited, --uncertain, --max-yaw: a list in which every photo is a crop, or h" in told
    assert not output.exists()
    list_path.write_text(f"{known}0\t{OTHER}.jpg\t9\n")
    assert align(list_path, output, "--max-yaw", "80") == 0
    assert "1 of 2 photos are listed as crops, or with landmarks" in caplog.text


def test_fallback_cuts_the_centre_where_no_face_is(photos, align, tmp_path):
    (photos / "Abdul_Rahman/broken.jpg").unlink()
    assert align(photos, tmp_path / "crops", "--fallback", "box") == 0
    assert read_image(tmp_path / "crops/Abel_Pacheco/black.png").shape == (112, 112, 3)


def test_bad_input_ends_with_one_line(photos, align, tmp_path, capsys):
    for arguments, message in [
        ((tmp_path / "absent", tmp_path / "crops"), "no folder and no list"),
        ((photos, photos / "crops"), "lies in"),
        ((photos, tmp_path / "crops", "--image-size", "112,100"), "height,width"),
        ((photos, tmp_path / "crops", "--threads", "0"), "--threads 0: must be at least 1"),
    ]:
        assert align(*arguments) == 2
        assert message in capsys.readouterr().err
    (photos / f"{OTHER}.png").write_bytes(b"")
    assert align(photos, tmp_path / "crops") == 2
    assert "would be written twice" in capsys.readouterr().err
    (photos / f"{OTHER}.png").rename(photos / "a\tb.png")
    assert align(photos, tmp_path / "crops") == 2
    assert "hold a TAB or a line break" in capsys.readouterr().err
    assert not (tmp_path / "crops").exists()


def test_what_is_no_photo_is_told_and_strict_refuses_it(photos, align, tmp_path, capsys, caplog):
    for name in ("notes.txt", "Abel_Pacheco/Thumbs.db", "__MACOSX/._1.jpg"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(b"text")
    good = (photos / f"{OTHER}.jpg").read_bytes()
    for name in ("1.jfif", "1.v2", "J. R. Smith"):  # told by their first bytes
        (photos / "Abel_Pacheco" / name).write_bytes(good)
    caplog.set_level("INFO")
    assert align(photos, tmp_path / "crops") == 1
    assert "8 photos, 6 crops" in capsys.readouterr().out
    made = {path.name for path in (tmp_path / "crops/Abel_Pacheco").iterdir()}
    assert made >= {"1.png", "1.v2.png", "J. R. Smith.png"}
    assert "left out 1 files that are no images: notes.txt" in caplog.text
    assert "left out 2 that systems or programs left there" in caplog.text
    assert align(photos, tmp_path / "crops", "--strict") == 2
    assert "notes.txt" in capsys.readouterr().err


def table(path):
    """Return the lines of faces.tsv by crop, each a dictionary."""
    head, *lines = path.read_text().splitlines()
    return {line.split("\t")[0]: dict(zip(head.split("\t"), line.split("\t"), strict=True))
            for line in lines}  # fmt: skip


def test_what_is_known_of_each_face_is_listed(photos, align, tmp_path, capsys):
    lying = cv2.rotate(read_image(photos / f"{OTHER}.jpg"), cv2.ROTATE_90_CLOCKWISE)
    cv2.imwrite(str(photos / "Abdul_Rahman/lying.png"), lying)
    output = tmp_path / "crops"
    align(photos, output)
    facts = table(output / "faces.tsv")
    assert list(facts) == [f"{OTHER}.png", "Abdul_Rahman/lying.png", *(f"{n}.png" for n in PHOTOS)]
    assert facts["Abdul_Rahman/lying.png"]["turn"] == "90" and facts[f"{OTHER}.png"]["turn"] == "0"
    upright, set_upright = (read_image(output / name).astype(int) for name in list(facts)[:2])
    assert np.abs(upright - set_upright).mean() < 10
    assert all(float(one["eye_distance"]) > 30 and one["doubts"] == "" for one in facts.values())
    assert "1 were turned and set upright" in capsys.readouterr().out
    assert not (output / "faces.tsv.running").exists()
    before = (output / "faces.tsv").read_bytes()
    align(photos, output)  # every crop is there: what is known of them is kept
    assert (output / "faces.tsv").read_bytes() == before


def test_faces_below_a_bound_are_failures_with_the_number(photos, align, tmp_path, capsys):
    output = tmp_path / "crops"
    assert align(photos, output, "--min-eye-distance", "500", "--min-score", "0.5") == 1
    assert "5 photos, 0 crops" in (printed := capsys.readouterr().out)
    assert "3 eye distance .. below .." in printed
    failures = (output / "failures.tsv").read_text()
    assert failures.count("below 500") == 3 and "score" not in failures
    assert align(photos, output, "--max-yaw", "-1") == 2
    assert "--max-yaw -1.0: give a number from 0" in capsys.readouterr().err


def test_uncertain_faces_are_marked_or_refused(photos, tmp_path):
    class Doubtful:
        trust = None

        def detect(self, bgr):
            points = (template() + 50)[[1, 0, 2, 4, 3]]  # left and right exchanged
            return [Face(np.array([50, 50, 162, 162.0]), points, 0.9)]

    photo = Photo(photos / f"{OTHER}.jpg", tmp_path / "crop.png", 0)
    refused = Aligner(Doubtful(), (112, 112), accept_uncertain=False).align(photo)
    assert "uncertain: its left and right are exchanged" in refused.reason
    assert not photo.crop_path.exists()
    marked = Aligner(Doubtful(), (112, 112)).align(photo)
    assert marked.reason == "" and "exchanged" in marked.facts["doubts"]
    assert photo.crop_path.is_file()


def test_facts_survive_an_interrupted_run(tmp_path):
    facts = dict.fromkeys(FACTS, "1")
    writer = FactsWriter(tmp_path)
    writer.add("a.png", facts)
    writer.close()
    with (tmp_path / "faces.tsv.running").open("a") as file:
        file.write("b.png\tcut o")  # the kill
    writer = FactsWriter(tmp_path)
    assert set(writer.lines) == {"a.png"}
    writer.add("c.png", facts)
    writer.finish(["a.png", "b.png", "c.png"])
    found = table(tmp_path / "faces.tsv")
    assert [one["score"] for one in found.values()] == ["1", "", "1"]
    assert set(read_facts(tmp_path)) == {"a.png", "b.png", "c.png"}


def test_a_list_of_other_photos_shows_two_names_of_each_side(photos, align, tmp_path, capsys):
    list_path = tmp_path / "some.lst"
    list_path.write_text("".join(f"0\t{name}.png\t{row}\n" for row, name in enumerate(PHOTOS)))
    assert align(list_path, tmp_path / "crops", "--root", photos) == 2
    said = capsys.readouterr().err
    assert "2 of 2 files are missing" in said and f"the list: '{PHOTOS[0]}.png'" in said
    assert f"there: '{OTHER}.jpg' and 'Abdul_Rahman/broken.jpg'" in said


def test_a_person_within_a_person_is_told(tmp_path, caplog):
    for name in ("ann/1.jpg", "ann/old/2.jpg", "bob/3/4.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    photos = photos_of_folder(tmp_path, tmp_path / "crops", ".png")
    assert [photo.identity for photo in photos] == [0, 1, 2]
    assert "1 folders with photos lie in folders with photos, such as ann/old: each" in caplog.text


def test_a_full_disk_names_the_file_of_facts(tmp_path):
    (tmp_path / "faces.tsv.running").symlink_to("/dev/full")
    writer = FactsWriter(tmp_path)
    with pytest.raises(OSError, match="faces.tsv.running"):
        writer.add("a.png", dict.fromkeys(FACTS, "1"))
    with pytest.raises(OSError, match="faces.tsv.running"):
        writer.close()
