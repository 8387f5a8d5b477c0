"""YouTube Faces end to end on a few synthetic videos, and distances between sets."""

import re

from arcface_mxnet.eval.frame_distances import DISTANCES, set_distances
from arcface_mxnet.eval.ytf import list_frames, main, read_splits, unit_features, unit_rows_of
import cv2
import numpy as np
import pytest


@pytest.fixture
def videos(tmp_path, save_network):
    """6 people with 2 videos of 4 to 5 frames, and 30 pairs."""
    rng = np.random.default_rng(0)
    for person in range(6):
        face = rng.integers(0, 256, (8, 8, 3))
        for video in range(2):
            folder = tmp_path / f"images/p{person}/{video}"
            folder.mkdir(parents=True)
            for frame in range(4 + video):
                image = np.clip(face + rng.normal(0, 40, face.shape), 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / f"{frame}.jpg"), image)
    lines = ["split number, pair number, first name, second name, is same"]
    for number in range(30):
        left = number % 6
        right = left if number % 2 else (left + 1 + number // 6) % 6
        lines.append(f"{number // 3 + 1}, {number}, p{left}/0, p{right}/1, {int(left == right)}")
    (tmp_path / "splits2.txt").write_text("\n".join(lines))
    save_network(tmp_path / "net", 1)
    return tmp_path


def arguments(folder, *more):
    model = ["--model", f"{folder / 'net'},1", "--gpu", "-1", "--nfolds", "5"]
    return ["--data-dir", str(folder), *model, "--features", str(folder / "f.npy"), *more]


@pytest.mark.parametrize("distance", DISTANCES)
def test_pairs_of_videos(videos, capsys, distance):
    assert main(arguments(videos, "--distance", distance)) == 0
    out = capsys.readouterr().out
    assert "[ytf]30 pairs of 12 videos, 54 frames" in out
    assert float(re.search(r"Accuracy-Flip: ([\d.]+)\+-", out)[1]) > 0.8


def test_the_report_names_the_videos(videos, tmp_path, read_page):
    given = ["--report", str(tmp_path / "out.html"), "--alias", "tiny"]
    assert main(arguments(videos, *given)) == 0
    page = read_page(tmp_path / "out.html")
    assert "YouTube Faces" in page.text and "On ytf, tiny has an accuracy of" in page.text
    assert "15 genuine and 15 impostor pairs" in page.text
    wrong = sum(map(int, re.findall(r"False (?:accepts|rejects): (\d+)", page.text)))
    assert len(re.findall(r"[<≥] −?[\d.]+ p\d/0 p\d/1 pair \d+", page.text)) == min(wrong, 24)


def test_features_of_frames_are_unit_sums_of_both_passes(videos):
    main(arguments(videos))
    stored = np.load(videos / "f.npy")
    both = stored[:, 0] + stored[:, 1]
    expected = both / np.linalg.norm(both, axis=1, keepdims=True)
    np.testing.assert_allclose(unit_features(videos / "f.npy", 54), expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(stored[:, 0], stored[:, 1])


def test_a_frame_without_direction_is_refused():
    ones = np.ones((3, 4), np.float32)
    with pytest.raises(ValueError, match="the frames from 3 on, frame 0 holds nothing but zeros"):
        unit_rows_of([(0, ones, ones), (3, ones, -ones * [[1], [1], [0]] + [[0], [0], [1]])], 6)


def test_fewer_frames(videos, capsys):
    assert main(arguments(videos, "--frames", "2")) == 0
    assert "12 videos, 24 frames" in capsys.readouterr().out
    names = [path.name for path in list_frames(videos / "images", "p0/1", 3)]
    assert names == ["0.jpg", "2.jpg", "4.jpg"]


def test_distances_by_plain_loops():
    rng = np.random.default_rng(0)
    units = rng.normal(size=(12, 4))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    starts, pairs = np.array([0, 3, 4, 12]), np.array([[0, 1], [0, 2], [2, 1]])
    sets = [units[:3], units[3:4], units[4:]]
    for row, (a, b) in enumerate(pairs):
        all_pairs = [np.sum((x - y) ** 2) for x in sets[a] for y in sets[b]]
        means = [x.mean(axis=0) / np.linalg.norm(x.mean(axis=0)) for x in (sets[a], sets[b])]
        expected = {
            "mean-feature": np.sum((means[0] - means[1]) ** 2),
            "least": min(all_pairs),
            "mean": np.mean(all_pairs),
            "greatest": max(all_pairs),
        }
        for distance in DISTANCES:
            got = set_distances(units, starts, pairs, distance)[row]
            assert got == pytest.approx(expected[distance])
    with pytest.raises(ValueError, match="distance 'median': known are"):
        set_distances(units, starts, pairs, "median")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1, 1, a/0, b/0, 2", "line 1: expected split, number"),
        ("1, 1, a/0, ../../b, 1", "is not name/video"),
        ("1, 1, a, b/0, 1", "'a' is not name/video"),
        ("1,1,a/0,b/0,0\n1,2,b/0,a/0,1", "line 2: b/0 and a/0 are one person, against line 1"),
        ("1,1,a/0,a/1,1\n1,2,a/0,a/0,0", "line 2: a/0 and a/0 are two people"),
        ("1,1,a/0,b/1,1\n1,2,a/0,c/0,1", "names two identities for 2 of 2 genuine pairs; is it"),
    ],
)
def test_faulty_splits(tmp_path, line, message):
    (tmp_path / "splits2.txt").write_text(line)
    with pytest.raises(ValueError, match=message):
        read_splits(tmp_path / "splits2.txt")


def test_missing_videos(videos, capsys):
    for frame in (videos / "images/p3/1").iterdir():
        frame.unlink()
    assert main(arguments(videos)) == 2
    assert "p3/1: no frames of this video" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="^no list of video pairs /"):
        read_splits(videos / "nothing.txt")


def test_skip_missing_leaves_pairs_and_frames_out_and_says_so(videos, capsys):
    for video in ("p3/1", "p4/1"):
        for frame in (videos / "images" / video).iterdir():
            frame.unlink()
    (videos / "images/p0/0/1.jpg").write_bytes(b"")
    (videos / "images/p0/0/2.jpg").write_text("no image")
    assert main(arguments(videos)) == 2
    said = capsys.readouterr().err
    assert "2 of 12 videos have no frames" in said and "--skip-missing" in said
    assert "p3/1: no frames of this video" in said and "p4/1: no frames of this video" in said
    assert not (videos / "f.npy").exists()
    assert main(arguments(videos, "--skip-missing")) == 0
    out = capsys.readouterr().out
    kept = [line for line in (videos / "splits2.txt").read_text().splitlines()[1:]
            if "p3/1" not in line and "p4/1" not in line]  # fmt: skip
    assert f"[ytf]{len(kept)} pairs of 10 videos, 42 frames" in out
    assert f"left out: {30 - len(kept)} of 30 pairs" in out and "and 2 frames that are no" in out
    assert main(arguments(videos)) == 2, "never without being asked"


def test_bad_frames_are_told_at_once(videos, capsys):
    for frame in (1, 2):
        (videos / f"images/p0/0/{frame}.jpg").write_bytes(b"")
    assert main(arguments(videos)) == 2
    said = capsys.readouterr().err
    assert "2 of 54 frames are no images" in said
    assert "p0/0/1.jpg: empty" in said and "p0/0/2.jpg: empty" in said


def test_a_folder_of_other_videos_shows_two_names_of_each_side(videos, capsys):
    for person in list((videos / "images").iterdir()):
        person.rename(person.with_name(f"x{person.name}"))
    for more in ([], ["--skip-missing"]):
        assert main(arguments(videos, *more)) == 2
        said = capsys.readouterr().err
        assert "12 of 12 videos have no frames" in said
        assert "the list: 'p0/0' and 'p0/1'; there: 'xp0/0/0.jpg' and 'xp0/0/1.jpg'" in said


def test_all_bad_lines_are_told_at_once(tmp_path):
    (tmp_path / "splits2.txt").write_text("1, 1, a/0, b/0, 2\n1, 2, a/0, b/0, 1\n1, 3, a, b/0, 1\n")
    with pytest.raises(ValueError, match="2 bad lines") as told:
        read_splits(tmp_path / "splits2.txt")
    assert "line 1: expected" in str(told.value) and "line 3: 'a' is not" in str(told.value)


def test_what_systems_leave_among_frames_is_none(videos):
    for name in ("._0.jpg", "Thumbs.db", ".DS_Store"):
        (videos / "images/p0/0" / name).write_bytes(b"x")
    assert len(list_frames(videos / "images", "p0/0", 0)) == 4
