"""arcface-degrade: the same functions as in training, the same crop wherever it stands."""

from arcface_mxnet.batches import degrade
from arcface_mxnet.batches.augment import Augmentation
from arcface_mxnet.batches.augmentations.sharpness import coarse
from arcface_mxnet.batches.degraded import DegradeConfig
from arcface_mxnet.data.images import decode_rgb
from arcface_mxnet.eval.pair_sets import PairSet, read_pair_set, write_pair_set
import cv2
import numpy as np
import pytest


@pytest.fixture
def crops():
    """Return five encoded crops of 112x112, PNG."""
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (5, 112, 112, 3), np.uint8)
    return [cv2.imencode(".png", image)[1].tobytes() for image in images]


@pytest.fixture
def folder(tmp_path, crops):
    for number, crop in enumerate(crops):
        path = tmp_path / "crops" / f"s{number // 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(crop)
    return tmp_path / "crops"


@pytest.fixture
def pairs(tmp_path, crops):
    """Return a pair set in which crop 0 stands on both sides."""
    a, b, c, d, _ = crops
    write_pair_set(
        tmp_path / "mine.bin",
        PairSet([a, b, c, a, d, b], [True, False, True], list("aaabcc"), list("uvwuxv")),
    )
    return tmp_path / "mine.bin"


def run(*arguments):
    return degrade.main([str(argument) for argument in arguments])


def test_a_folder_becomes_a_folder_of_worse_crops(folder, tmp_path, crops):
    assert run(folder, tmp_path / "low", "--low-res", 1, "--low-res-size", 9) == 0
    for number, crop in enumerate(crops):
        new = (tmp_path / "low" / f"s{number // 2}" / f"{number}.png").read_bytes()
        assert np.array_equal(decode_rgb(new), coarse(decode_rgb(crop), 9))


def test_a_crop_comes_out_the_same_from_a_pair_set(folder, pairs, tmp_path, capsys):
    flags = ["--low-res", 1, "--blur", 0.5, "--erase", 0.5, "--seed", 4]
    assert run(folder, tmp_path / "low", *flags) == run(pairs, tmp_path / "low.bin", *flags) == 0
    assert "3 pairs; 4 different crops were changed" in capsys.readouterr().out
    before, after = read_pair_set(pairs), read_pair_set(tmp_path / "low.bin")
    files = [(tmp_path / "low" / f"s{n // 2}" / f"{n}.png").read_bytes() for n in range(4)]
    assert list(after.images) == [files[n] for n in (0, 1, 2, 0, 3, 1)]
    assert (after.is_genuine == before.is_genuine).all()
    assert (after.identities, after.paths) == (before.identities, before.paths)


def test_seeds_differ_and_nothing_is_mirrored_unless_asked_for(folder, tmp_path, crops):
    outs = []
    for name, flags in (("a", ["--seed", 1]), ("b", ["--seed", 1]), ("c", ["--seed", 2])):
        assert run(folder, tmp_path / name, "--erase", 1, *flags) == 0
        outs.append([path.read_bytes() for path in sorted((tmp_path / name).rglob("*.png"))])
    assert outs[0] == outs[1] and not set(outs[0]) & set(outs[2])
    image = decode_rgb(crops[0])
    plain = Augmentation(DegradeConfig())
    assert plain(image, np.random.default_rng(0)) is image and not plain.is_random
    assert "--rand-mirror {0,1}" in degrade.build_parser().format_help()
    assert degrade.build_parser().parse_args(["a", "b"]).rand_mirror == 0


@pytest.mark.parametrize(("side", "kept"), [("first", [1, 3, 5]), ("second", [0, 2, 4])])
def test_one_side_of_the_pairs_alone(pairs, tmp_path, side, kept):
    assert run(pairs, tmp_path / "low.bin", "--low-res", 1, "--side", side) == 0
    before, after = (read_pair_set(path).images for path in (pairs, tmp_path / "low.bin"))
    assert [n for n in range(6) if before[n] == after[n]] == kept


def test_what_is_written_as_jpeg(folder, tmp_path):
    flags = ["--color", 1, "--encoding", ".jpg", "--quality", 30]
    assert run(folder, tmp_path / "low", *flags) == 0
    paths = list((tmp_path / "low").rglob("*"))
    files = [path.read_bytes() for path in paths if path.is_file()]
    assert len(files) == 5 and all(file.startswith(b"\xff\xd8") for file in files)
    assert max(map(len, files)) < 16_000


def test_a_sheet_shows_crops_as_they_are_and_changed(folder, pairs, tmp_path, crops):
    for source, rows in ((folder, 5), (pairs, 4)):
        flags = ["--sheet", 3, "--rows", rows, "--low-res", 1]
        assert run(source, tmp_path / "sheet.png", *flags) == 0
        sheet = decode_rgb((tmp_path / "sheet.png").read_bytes())
        assert sheet.shape == (rows * 112, 4 * 112, 3)
        assert np.array_equal(sheet[:112, :112], decode_rgb(crops[0]))
        ways = {sheet[:112, at : at + 112].tobytes() for at in (112, 224, 336)}
        assert len(ways) > 1


@pytest.mark.parametrize(("flags", "message"), [
    ([], "no change is asked for: give one, such as --low-res 1"),
    (["--low-res", 1, "--low-res-size", "24,16"], "--low-res-size 24,16: give LOW,HIGH"),
    (["--low-res", 1, "--low-res-size", 300], "0.png: --low-res-size 300: the crops have a height"),
    (["--cutoff", 112], "0.png: --cutoff 112: the crops have 112 pixels"),
    (["--mask", 1, "--rand-shift", 500], "0.png: --rand-shift 500: the crops have 112 pixels"),
    (["--motion-blur", 1, "--motion-blur-length", "9,150"], "0.png: --motion-blur-length 9.0,150"),
    (["--erase-area", 0.1], "--erase-area 0.1: only --erase uses it"),
    (["--mask", 1, "--seed", -1], "--seed -1: must be at least 0"),
    (["--mask", 1, "--encoding", ".jpg", "--quality", 0], "--quality 0: give 1 to 100"),
    (["--mask", 1, "--quality", 50], "--quality: --encoding .png, which loses nothing, does not"),
    (["--mask", 1, "--side", "first"], "--side: a folder, which has no pairs, does not use it"),
    (["--mask", 1, "--rows", 3], "--rows: what makes no --sheet does not use it"),
    (["--mask", 1, "--sheet", 2, "--encoding", ".jpg"], "--encoding: --sheet does not use it"),
    (["--mask", 1, "--sheet", 2, "--rows", 0], "--rows 0: must be at least 1"),
])  # fmt: skip
def test_bad_settings_are_refused_in_one_line(folder, tmp_path, flags, message, capsys):
    assert run(folder, tmp_path / "new", *flags) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_what_is_there_is_not_written_over(folder, pairs, tmp_path, capsys):
    assert run(folder, folder, "--mask", 1) == run(pairs, pairs, "--mask", 1) == 2
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.txt").write_text("mine")
    assert run(folder, tmp_path / "new", "--mask", 1) == 2
    (folder / "s0" / "0.jpg").write_bytes((folder / "s0" / "0.png").read_bytes())
    assert run(folder, tmp_path / "other", "--mask", 1) == 2
    said = capsys.readouterr().err
    for words in ("is what is read", "is there already", "would both become"):
        assert words in said
