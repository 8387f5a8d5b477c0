"""Packing pairs: every published list, what is missing, sizes, alignment."""

from functools import partial
from pathlib import Path
import pickle
import re

from arcface_mxnet.eval import pack_pairs
from arcface_mxnet.eval.pack_pairs import lacks_a_class, main
from arcface_mxnet.eval.pair_lists import (
    PAIR_LISTS,
    pair_list,
    read_agedb,
    read_cfp,
    read_flagged,
    read_lfw,
    read_two_lines,
)
from arcface_mxnet.eval.pair_sets import read_pair_set
import cv2
import numpy as np
import pytest
from scipy.io import savemat

MTCNN = Path(__file__).parents[2] / "models" / "mtcnn"


def put(path, value=0, size=(112, 112)):
    """Write an image of one grey value and return its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full(size if path.suffix == ".pgm" else (*size, 3), value, np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path.read_bytes()


def cell(*values):
    """Return a MATLAB cell row."""
    row = np.empty(len(values), dtype=object)
    row[:] = values
    return row


def short(pairs, root):
    return [
        (p.left.relative_to(root).as_posix(), p.right.relative_to(root).as_posix(), p.is_genuine)
        for p in pairs
    ]


def test_lfw_list(tmp_path):
    (tmp_path / "pairs.txt").write_text("10\t300\nAnn_A\t1\t4\nBo\t2\tAnn_A\t10\n")
    pairs = read_lfw(tmp_path / "pairs.txt", tmp_path)
    assert short(pairs, tmp_path) == [
        ("Ann_A/Ann_A_0001.jpg", "Ann_A/Ann_A_0004.jpg", True),
        ("Bo/Bo_0002.jpg", "Ann_A/Ann_A_0010.jpg", False),
    ]
    assert (pairs[1].left_identity, pairs[1].right_identity) == ("Bo", "Ann_A")


def test_flagged_list(tmp_path):
    (tmp_path / "a.txt").write_text("x/1.jpg y/2.jpg 1\nwith space.jpg\ty/2.jpg\t0\n")
    assert short(read_flagged(tmp_path / "a.txt", tmp_path), tmp_path) == [
        ("x/1.jpg", "y/2.jpg", True),
        ("with space.jpg", "y/2.jpg", False),
    ]


def test_two_line_lists(tmp_path):
    text = "A_B_0001.jpg 3\nA_B_0002.jpg 3\nA_B_0001.jpg 0\nC_0001.jpg 0\n"
    (tmp_path / "a.txt").write_text(text)
    pairs = read_two_lines(tmp_path / "a.txt", tmp_path)
    assert short(pairs, tmp_path) == [
        ("A_B_0001.jpg", "A_B_0002.jpg", True),
        ("A_B_0001.jpg", "C_0001.jpg", False),
    ]
    assert (pairs[1].left_identity, pairs[1].right_identity) == ("A_B", "C")


def test_cfp_table(tmp_path):
    rows = [
        cell("Data/Images/001/frontal/01.jpg", "Data/Images/001/profile/02.jpg", 1.0, 1.0),
        cell("Data/Images/001/frontal/01.jpg", "Data/Images/017/profile/02.jpg", 1.0, -1.0),
        cell("Data/Images/001/frontal/01.jpg", "Data/Images/018/profile/02.jpg", 1.0, 0.0),
    ]
    savemat(tmp_path / "a.mat", {"pairs": np.stack(rows)})
    pairs = read_cfp(tmp_path / "a.mat", tmp_path, profile=True)
    assert short(pairs, tmp_path) == [
        ("Data/Images/001/frontal/01.jpg", "Data/Images/001/profile/02.jpg", True),
        ("Data/Images/001/frontal/01.jpg", "Data/Images/017/profile/02.jpg", False),
        ("Data/Images/001/frontal/01.jpg", "Data/Images/018/profile/02.jpg", False),
    ]
    assert (pairs[1].left_identity, pairs[1].right_identity) == ("001", "017")


def test_cfp_folder(tmp_path):
    """The lists that CFP comes with, fold after fold, genuine pairs first."""
    protocol = tmp_path / "Protocol"
    for kind, name in (("F", "frontal"), ("P", "profile")):
        lines = [f"{n} ../Data/Images/{n:03d}/{name}/0{n}.jpg" for n in (1, 2)]
        protocol.mkdir(exist_ok=True)
        (protocol / f"Pair_list_{kind}.txt").write_text("\n".join(lines))
    for fold in ("02", "01"):
        folder = protocol / "Split/FP" / fold
        folder.mkdir(parents=True)
        (folder / "diff.txt").write_text("1,2\n" if fold == "01" else "2, 1\n")
        (folder / "same.txt").write_text("1,1\n")
        (folder / "._same.txt").write_bytes(b"\0\5\x16\7")  # a Mac was here
    pairs = read_cfp(protocol, tmp_path, profile=True)
    front, side = "Data/Images/00{0}/frontal/0{0}.jpg", "Data/Images/00{0}/profile/0{0}.jpg"
    assert short(pairs, tmp_path) == [
        (front.format(1), side.format(1), True),
        (front.format(1), side.format(2), False),
        (front.format(1), side.format(1), True),
        (front.format(2), side.format(1), False),
    ]
    assert (pairs[3].left_identity, pairs[3].right_identity) == ("002", "001")
    (protocol / "Split/FP/01/same.txt").write_text("1,7\n")
    with pytest.raises(ValueError, match="same.txt line 1: expected two numbers of the lists"):
        read_cfp(protocol, tmp_path, profile=True)
    with pytest.raises(ValueError, match="holds no pairs"):
        read_cfp(protocol, tmp_path, profile=False)


def test_agedb_table(tmp_path):
    fold = np.stack([cell("12_Ann_30_f", "12_Ann_30_f"), cell("12_Ann_60_f", "7_Bo_61_m")])
    splits = np.empty((2, 1), dtype=object)
    splits[0, 0], splits[1, 0] = fold, fold
    savemat(tmp_path / "a.mat", {"splits": splits})
    pairs = read_agedb(tmp_path / "a.mat", tmp_path)
    assert len(pairs) == 4
    assert short(pairs[:2], tmp_path) == [
        ("12_Ann_30_f.jpg", "12_Ann_60_f.jpg", True),
        ("12_Ann_30_f.jpg", "7_Bo_61_m.jpg", False),
    ]


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_lfw, "1 300\nAnn 1\n", "line 2: expected `name i j`"),
        (read_lfw, "1 300\n", "holds no pairs"),
        (read_lfw, "1 300\n../../etc 1 2\n", "leaves"),
        (read_flagged, "a b 2\n", "line 1: expected `path1 path2 0|1`"),
        (
            read_flagged,
            "a.jpg b.jpg 1\n/etc/passwd b.jpg 1\n",
            "line 2: the path '/etc/passwd' leaves",
        ),
        (read_flagged, "..\\..\\x.jpg b.jpg 1\n", "leaves"),
        (read_two_lines, "a_1.jpg 1\n", "1 lines; two make a pair"),
        (read_two_lines, "a_1.jpg 1\nb_1.jpg 0\n", "two lines `file label` that agree"),
        (partial(read_cfp, profile=False), "no mat", "not a MATLAB file"),
        (read_agedb, "no mat", "not a MATLAB file"),
    ],
)
def test_faulty_lists(tmp_path, read, text, message):
    (tmp_path / "list.mat").write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path / "list.mat", tmp_path)


def test_aligned_images_are_stored_byte_for_byte(tmp_path, capsys):
    bytes_of = {
        name: put(tmp_path / "in" / name, value)
        for value, name in enumerate(["a.jpg", "b.png", "c.jpg"])
    }
    (tmp_path / "in/pairs.txt").write_text("a.jpg b.png 1\nb.png c.jpg 0\n")
    out = tmp_path / "new/mine.bin"
    assert main(["list", "--data-dir", str(tmp_path / "in"), "--output", str(out)]) == 0
    assert (
        "2 pairs, 1 genuine and 1 impostor, of 3 images; 0 pairs left out"
        in capsys.readouterr().out
    )
    images, flags = pickle.loads(out.read_bytes(), encoding="bytes")
    assert images == [bytes_of[name] for name in ("a.jpg", "b.png", "b.png", "c.jpg")]
    assert flags == [True, False]
    assert read_pair_set(out).paths == ["a.jpg", "b.png", "b.png", "c.jpg"]


@pytest.mark.parametrize(("kind", "text", "words"), [
    ("list", "a.jpg b.jpg 1\nb.jpg a.jpg 0\n", "line 2: .* are said to be two people, .*line 1"),
    ("list", "a.jpg b.jpg 1\na.jpg a.jpg 0\n", "line 2: .*a.jpg and itself are said to be two"),
    ("calfw", "A_1.jpg x\nA_2.jpg x\n", "line 1: expected two lines `file label` that agree"),
    ("calfw", "A_1.jpg 0\nA_2.jpg 00\nA_1.jpg 0\nB_1.jpg 1\n", "line 3: expected two lines"),
    ("calfw", "A_1.jpg 1\nB_2.jpg 1\n" * 3 + "A_1.jpg 0\nC_1.jpg 0\n",
     "names two identities for 3 of 3 genuine pairs: is a line missing"),
    ("cplfw", "A_1.jpg 0\nA_2.jpg 0\nB_1.jpg 0\nB_2.jpg 0\nA_1.jpg 1\nA_3.jpg 1\n",
     "names one identity for 2 of 2 impostor pairs"),
])  # fmt: skip
def test_a_list_that_contradicts_itself_is_refused(tmp_path, kind, text, words):
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(ValueError, match=words):
        PAIR_LISTS[kind].read(tmp_path / "pairs.txt", tmp_path)


@pytest.mark.parametrize(("head", "told"), [("10\t300", True), ("1", False), ("1 1", False)])
def test_a_list_of_other_length_than_it_says_is_told(tmp_path, caplog, head, told):
    (tmp_path / "pairs.txt").write_text(f"{head}\nA 1 1\nA 1 B 1\n")
    assert len(read_lfw(tmp_path / "pairs.txt", tmp_path)) == 2
    assert ("10 x 300 pairs of each kind, 6000 lines; it has 2: cut off" in caplog.text) == told
    assert "1 pairs are of an image with itself, such as " in caplog.text


def test_missing_files_are_told_at_once_and_left_out_when_asked(tmp_path, capsys, caplog):
    put(tmp_path / "a.jpg")
    (tmp_path / "empty.png").touch()
    text = "a.jpg a.jpg 1\na.jpg gone.jpg 0\nlost.jpg gone.jpg 0\na.jpg empty.png 0\n"
    (tmp_path / "pairs.txt").write_text(text)
    run = ["list", "--data-dir", str(tmp_path), "--output", str(tmp_path / "x.bin")]
    assert main(run) == 2
    said = capsys.readouterr().err
    assert "3 of 4 files are missing or no images" in said
    for fault in ("gone.jpg: missing", "lost.jpg: missing", "empty.png: empty"):
        assert f"{tmp_path}/{fault}" in said
    assert "3 of 4 pairs need them" in said and "--skip-missing" in said
    assert not (tmp_path / "x.bin").exists()
    assert main([*run, "--skip-missing"]) == 0
    assert (
        "1 pairs, 1 genuine and 0 impostor, of 1 images; 3 pairs left out"
        in capsys.readouterr().out
    )
    assert "3 of 4 files are missing or no images" in caplog.text
    (tmp_path / "pairs.txt").write_text("gone.jpg a.jpg 1\n")
    assert main([*run, "--skip-missing"]) == 2
    assert "1 of 1 pairs need them" in capsys.readouterr().err


def test_a_list_of_other_images_shows_two_names_of_each_side(tmp_path, capsys):
    for name in ("x/1.png", "x/2.png"):
        put(tmp_path / name)
    lines = [f"y/{number}.jpg y/{number}.jpg 1" for number in range(12)]
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    run = ["list", "--data-dir", str(tmp_path), "--output", str(tmp_path / "x.bin")]
    for more in ([], ["--skip-missing"]):
        assert main([*run, *more]) == 2
        said = capsys.readouterr().err
        assert "12 of 12 files are missing" in said
        assert "the list: 'y/0.jpg' and 'y/1.jpg'; there: 'x/1.png' and 'x/2.png'" in said


def test_bad_images_are_told_at_once(tmp_path, capsys):
    put(tmp_path / "a.png")
    for name in ("b.png", "c.png"):
        (tmp_path / name).write_bytes((tmp_path / "a.png").read_bytes()[:60])
    (tmp_path / "pairs.txt").write_text("a.png b.png 1\na.png c.png 0\na.png a.png 1\n")
    run = ["list", "--data-dir", str(tmp_path), "--output", str(tmp_path / "x.bin")]
    assert main(run) == 2
    said = capsys.readouterr().err
    assert "2 of 3 images cannot be packed" in said and "b.png" in said and "c.png" in said
    assert main([*run, "--skip-missing"]) == 0
    assert "of 1 images; 2 pairs left out" in capsys.readouterr().out


def write_agedb(path, names):
    splits = np.empty((1, 1), dtype=object)
    splits[0, 0] = np.stack([cell(*names[:2]), cell(*names[2:])])
    savemat(path, {"splits": splits})


def write_cfp(path, names):
    rows = [cell(names[0], names[1], 1.0, 1.0), cell(names[2], names[3], 1.0, -1.0)]
    savemat(path, {"pairs": np.stack(rows)})


TWO_LINES = "A_0001.jpg 1\nA_0002.jpg 1\nA_0001.jpg 0\nB_0001.jpg 0\n"
AGEDB = ("1_A_30_f", "1_A_30_f", "1_A_60_f", "2_J. R._61_m")
CFP = [f"Data/Images/{one}.jpg" for one in (
    "001/frontal/01", "001/profile/02", "001/frontal/01", "002/profile/02")]  # fmt: skip


@pytest.mark.parametrize("ending", [".png", ".jpg", ".JPG", ".jpeg", ".webp", ".bmp", ""])
@pytest.mark.parametrize(
    ("kind", "write", "stems"),
    [
        ("lfw", "1\t1\nA\t1\t2\nA\t1\tB\t1\n", ["A/A_0001", "A/A_0002", "B/B_0001"]),
        ("calfw", TWO_LINES, ["A_0001", "A_0002", "B_0001"]),
        ("cplfw", TWO_LINES, ["A_0001", "A_0002", "B_0001"]),
        ("list", "a/1.jpg a/2.jpg 1\na/1.jpg b.c.jpg 0\n", ["a/1", "a/2", "b.c"]),
        ("agedb_30", partial(write_agedb, names=AGEDB), AGEDB),
        ("cfp_fp", partial(write_cfp, names=CFP), [name[:-4] for name in CFP]),
        ("cfp_ff", partial(write_cfp, names=CFP), [name[:-4] for name in CFP]),
    ],
)
def test_the_aligners_ending_is_found(tmp_path, caplog, capsys, kind, write, stems, ending):
    """arcface-align writes .png whatever the list says; others leave no ending at all."""
    crops = tmp_path / "crops"
    for value, stem in enumerate(stems):
        put(crops / f"{stem}.png", value)
        (crops / f"{stem}.png").rename(crops / f"{stem}{ending}")
    list_path = tmp_path / "the.list.mat"
    list_path.write_text(write) if isinstance(write, str) else write(list_path)
    run = [kind, "--data-dir", str(crops), "--pairs", str(list_path)]
    caplog.set_level("INFO")
    assert main([*run, "--output", str(tmp_path / "x.bin")]) == 0
    assert "2 pairs, 1 genuine and 1 impostor" in capsys.readouterr().out
    assert ("have another ending than listed" in caplog.text) == (ending != ".jpg")
    assert all(path.endswith(ending) for path in read_pair_set(tmp_path / "x.bin").paths)


def test_an_ending_is_not_chosen_among_several(tmp_path, capsys):
    for name in ("A/A_0001.png", "A/A_0001.bmp", "A/A_0002.jpg", "A/A_0002.png"):
        put(tmp_path / name)
    (tmp_path / "pairs.txt").write_text("A\t1\t2\n")
    run = ["lfw", "--data-dir", str(tmp_path), "--output", str(tmp_path / "x.bin")]
    assert main(run) == 2
    said = capsys.readouterr().err
    assert "A_0001.jpg: missing, and 2 others could be meant: A_0001.bmp, A_0001.png" in said
    assert "A_0002" not in said, "the listed one is there"


def test_agedb_in_its_own_folder(tmp_path):
    write_agedb(tmp_path / "04_FINAL_protocol_30_years.mat", AGEDB)
    for name in AGEDB:
        put(tmp_path / "03_Protocol_Images" / f"{name}.png")
    run = ["agedb_30", "--data-dir", str(tmp_path), "--output", str(tmp_path / "x.bin")]
    assert main(run) == 0
    assert read_pair_set(tmp_path / "x.bin").paths[0] == "03_Protocol_Images/1_A_30_f.png"


def test_all_bad_lines_of_a_list_are_told_at_once(tmp_path):
    (tmp_path / "a.txt").write_text("a b 1\na b 2\nc\n../../x b 0\n")
    with pytest.raises(ValueError) as told:
        read_flagged(tmp_path / "a.txt", tmp_path)
    said = str(told.value)
    assert "3 bad entries" in said
    assert "line 2: expected" in said and "line 3: expected" in said and "line 4: the path" in said


@pytest.mark.parametrize("line", ["A \t 1\t2\t", "A\t\t1\t2", "A   1  2", "A 1 2  "])
def test_blanks_and_tabs_between_and_after_fields(tmp_path, line):
    (tmp_path / "pairs.txt").write_text(f"10  300\n{line}\n")
    assert short(read_lfw(tmp_path / "pairs.txt", tmp_path), tmp_path) == [
        ("A/A_0001.jpg", "A/A_0002.jpg", True)
    ]


def test_images_of_another_size(tmp_path, capsys):
    put(tmp_path / "a.pgm", 200, (112, 92))
    (tmp_path / "pairs.txt").write_text("a.pgm a.pgm 1\n")
    run = ["list", "--data-dir", str(tmp_path), "--output", str(tmp_path / "x.bin")]
    assert main(run) == 2
    assert "is 112x92 (height x width), not 112x112; give --align" in capsys.readouterr().err
    assert not (tmp_path / "x.bin").exists()
    assert main([*run, "--fit", "pad", "--encoding", ".png"]) == 0
    rgb = next(read_pair_set(tmp_path / "x.bin").decoded())
    assert rgb.shape == (112, 112, 3)
    assert (rgb[:, :10] == 0).all()
    assert (rgb[:, 10:102] == 200).all()
    assert main([*run, "--fit", "resize", "--encoding", ".png", "--image-size", "64,48"]) == 0
    rgb = next(read_pair_set(tmp_path / "x.bin").decoded())
    assert rgb.shape == (64, 48, 3)
    assert (rgb == 200).all()


def test_lists_that_would_leave_a_fold_with_one_class_are_spread(tmp_path, caplog):
    put(tmp_path / "a.jpg", 1)
    put(tmp_path / "b.jpg", 2)
    lines = ["a.jpg a.jpg 1"] * 30 + ["a.jpg b.jpg 0"] * 30
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    main(["list", "--data-dir", str(tmp_path), "--output", str(tmp_path / "x.bin")])
    flags = read_pair_set(tmp_path / "x.bin").is_genuine
    assert [part.sum() for part in np.array_split(flags, 10)] == [3] * 10
    assert "the pairs were spread" in caplog.text


def test_folder_of_identities(tmp_path, capsys):
    for person in "abcd":
        for number in range(4):
            put(tmp_path / "in" / person / f"{number}.png", 60 * number)
    run = ["folder", "--data-dir", str(tmp_path / "in"), "--seed", "3", "--output"]
    for name in ("1.bin", "2.bin"):
        assert main([*run, str(tmp_path / name), "--identities", "a,b,d"]) == 0
    assert (tmp_path / "1.bin").read_bytes() == (tmp_path / "2.bin").read_bytes()
    (tmp_path / "in/a/notes.txt").write_text("no image")
    assert main([*run, str(tmp_path / "3.bin"), "--strict"]) == 2
    assert "a/notes.txt" in capsys.readouterr().err
    pair_set = read_pair_set(tmp_path / "1.bin")
    assert pair_set.is_genuine.tolist().count(True) == 18
    assert len(pair_set) == 36
    assert set(pair_set.identities) == {"a", "b", "d"}


def test_every_kind_is_described():
    described = set(re.findall(r"^    (\w+)  ", pack_pairs.__doc__, re.M))
    assert described == set(PAIR_LISTS)


def test_a_new_kind_is_a_function_and_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(PAIR_LISTS, "_entries", dict(PAIR_LISTS._entries))

    @pair_list("every", "all.txt", images="in", flags={"every": {"type": int, "default": 1}})
    def read(list_path, root, *, every):
        return read_flagged(list_path, root)[::every]

    for name in "abc":
        put(tmp_path / "in" / f"{name}.png")
    (tmp_path / "all.txt").write_text("a.png b.png 1\nb.png c.png 0\nc.png a.png 0\n")
    run = ["every", "--data-dir", str(tmp_path), "--output", str(tmp_path / "x.bin")]
    for more, expected in (([], [1, 0, 0]), (["--every", "2"], [1, 0])):
        assert main([*run, *more]) == 0
        assert read_pair_set(tmp_path / "x.bin").is_genuine.tolist() == expected
    with pytest.raises(ValueError, match="'every' is registered twice"):
        pair_list("every")(read)


def test_missing_folder_and_list(tmp_path, capsys):
    assert main(["lfw", "--data-dir", str(tmp_path / "no"), "--output", "x.bin"]) == 2
    assert "no: no such folder" in capsys.readouterr().err
    assert main(["lfw", "--data-dir", str(tmp_path), "--output", "x.bin"]) == 2
    assert "pairs.txt: no such list; name it with --pairs" in capsys.readouterr().err


@pytest.mark.skipif(not MTCNN.is_dir(), reason="the detector is absent: arcface-fetch fetch mtcnn")
def test_photos_are_aligned_on_the_way(shared_data, tmp_path, capsys):
    """Real photos: the eyes of the crop lie where the template has them (y 51.7 of 112)."""
    from arcface_mxnet.align.mtcnn import MtcnnDetector
    from arcface_mxnet.align.template import template
    import mxnet as mx

    pairs = tmp_path / "pairs.txt"
    pairs.write_text("1\t1\nJames_Caan\t1\t2\n")
    run = ["lfw", "--data-dir", str(shared_data / "lfw/fold_1"), "--pairs", str(pairs)]
    out = str(tmp_path / "x.bin")
    assert main([*run, "--output", out, "--align", "mtcnn", "--detector", str(MTCNN)]) == 0
    assert "no face" not in capsys.readouterr().out
    detector = MtcnnDetector(mx.cpu(), model_dir=MTCNN, thresholds=(0.5, 0.6, 0.7))
    for crop in read_pair_set(out).decoded():
        landmarks = detector.detect_limited(crop[..., ::-1], judge=False)[0].landmarks
        assert np.abs(landmarks - template((112, 112)))[:2].max() < 4


def test_ten_of_the_rarer_class_are_enough_for_every_fold_to_have_one():
    sorted_pairs = np.repeat([True, False], [10, 90])
    assert lacks_a_class(sorted_pairs)  # the first fold has all genuine pairs
    assert not lacks_a_class(np.repeat([True, False], [9, 91]))  # no order gives ten folds one each
