"""The kit's command line on a synthetic set: files, figures, and what it must refuse."""

import json
from pathlib import Path
import shutil

from arcface_mxnet.megaface import convert, run_experiment, synthetic
from arcface_mxnet.megaface.features import read_feature, write_feature
from arcface_mxnet.megaface.measures import person_interval
from arcface_mxnet.megaface.pairs import genuine_pairs
import cv2
import numpy as np
import pytest

ENDING = "_synthetic.bin"
SIZES = ["10", "100", "300"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    options = "--people 6 --images 40 --distractors 300 --dim 16 --noise 0.1"
    assert synthetic.main([str(folder), *options.split()]) == 0
    return folder


@pytest.fixture
def data(made, tmp_path):
    shutil.copytree(made, tmp_path / "data")
    return tmp_path / "data"


def command(data, out="out", *more, sizes=SIZES):
    lists = data / "templatelists"
    return [
        str(data / "megaface"), str(data / "facescrub"), ENDING, str(data / out),
        "-p", str(lists / "facescrub_features_list.json"), "-dlp", str(lists), *more,
        "-s", *sizes,
    ]  # fmt: skip


def by_definition(data, size):
    """Return ({(probe, mate): rank}, false accepts at each genuine distance) in float64."""
    lists = data / "templatelists"
    probes = json.loads((lists / "facescrub_features_list.json").read_text())
    names = json.loads((lists / f"megaface_features_list.json_{size}_1").read_text())["path"]
    load = lambda root, paths: np.array(  # noqa: E731
        [read_feature(data / root / (path + ENDING)) for path in paths], np.float64)  # fmt: skip
    p, x = load("facescrub", probes["path"]), load("megaface", names)
    away = ((p[:, None] - x) ** 2).sum(axis=2)
    mates = ((p[:, None] - p) ** 2).sum(axis=2)
    ids = np.array(probes["id"])
    pairs = np.argwhere((ids[:, None] == ids) & ~np.eye(len(ids), dtype=bool))
    return {(i, j): int((away[i] < mates[i, j]).sum()) for i, j in pairs}, away


def test_kit_files_and_their_figures(data):
    assert run_experiment.main(command(data)) == 0
    out = data / "out"
    for size in map(int, SIZES):
        tail = f"facescrub_megaface_synthetic_{size}_1"
        ranks, away = by_definition(data, size)
        curves = json.loads((out / f"cmc_{tail}.json").read_text())
        assert set(curves) == {"cmc", "roc", "traditional_cmc"}
        rank, recall = curves["cmc"]
        assert (rank[0], rank[-1], recall[-1]) == (0, size, 1)
        for r, share in zip(rank, recall, strict=True):
            assert share == np.mean([one <= r for one in ranks.values()])
        fpr, tpr = curves["roc"]
        assert (fpr[0], fpr[-1], tpr[-1]) == (0, 1, 1)
        assert curves["traditional_cmc"][0][-1] == size + 6 - 1
        matches = json.loads((out / f"matches_{tail}.json").read_text())
        assert len(matches) == 40
        found = {}
        for mate, item in enumerate(matches):
            probes = item["probes"]
            found |= {(p, mate): r for p, r in zip(probes["idx"], probes["rank"], strict=True)}
        assert found == ranks
        arrays = np.load(out / f"curves_{tail}.npz")
        for threshold, rate in zip(arrays["distance"], arrays["fpr"], strict=True):
            assert rate == (away <= threshold).sum() / away.size
        results = json.loads((out / f"results_{tail}.json").read_text())
        assert results["ordered_pairs"] == len(ranks)
        assert results["rank_rate"]["1"]["rate"] == np.mean([r == 0 for r in ranks.values()])
        low, high = results["rank_rate"]["1"]["interval_95"]
        assert low <= results["rank_rate"]["1"]["rate"] <= high
    absolute = json.loads((out / "otherFiles" / "megaface_features_synthetic_10_1").read_text())
    assert len(absolute["path"]) == 10 and all(Path(one).is_file() for one in absolute["path"])
    probes = json.loads((out / "otherFiles" / "facescrub_features_synthetic").read_text())
    assert len(probes["path"]) == len(probes["id"]) == 40
    page = (out / "report_synthetic.html").read_text()
    assert page.count("<svg") == 3 and "Person_" in page and "Left out" not in page


def test_stores_give_the_same_files(data):
    assert run_experiment.main(command(data)) == 0
    for name in ("facescrub", "megaface"):
        options = ["import", str(data / name), ENDING, str(data / f"{name}.npy")]
        assert convert.main(options) == 0
    options = command(data, "packed", "--block", "7", "--threads", "1")
    options[:2] = [str(data / "megaface.npy"), str(data / "facescrub.npy")]
    assert run_experiment.main(options) == 0
    for path in (data / "out").glob("*_synthetic_*.json"):
        assert path.read_bytes() == (data / "packed" / path.name).read_bytes(), path.name


def test_sizes_from_one_given_list(data):
    options = command(data, "nested", sizes=["5", "300"])
    options[options.index("-dlp") + 1] += "/megaface_features_list.json_300_1"
    assert run_experiment.main(options) == 0
    assert (data / "nested" / "cmc_facescrub_megaface_synthetic_5_1.json").is_file()


def test_several_sets(data):
    lists = data / "templatelists"
    names = json.loads((lists / "megaface_features_list.json_300_1").read_text())["path"]
    second = lists / "megaface_features_list.json_10_2"
    second.write_text(json.dumps({"path": names[100:110]}))
    assert run_experiment.main(command(data, "out", "-ns", "2", "-d", sizes=["10"])) == 0
    one, two = (json.loads((data / "out" / f"results_facescrub_megaface_synthetic_10_{i}.json")
                           .read_text()) for i in (1, 2))  # fmt: skip
    assert one["rank_rate"] != two["rank_rate"]


def break_some(data):
    """Spoil one probe and three distractors; return their names."""
    lists = data / "templatelists"
    probe = json.loads((lists / "facescrub_features_list.json").read_text())["path"][0]
    names = json.loads((lists / "megaface_features_list.json_300_1").read_text())["path"]
    (data / "facescrub" / (probe + ENDING)).unlink()
    (data / "megaface" / (names[1] + ENDING)).write_bytes(b"short")
    write_feature(data / "megaface" / (names[2] + ENDING), np.ones(17, np.float32))
    nan = data / "megaface" / (names[20] + ENDING)
    nan.write_bytes(nan.read_bytes()[:16] + np.full(16, np.nan, "<f4").tobytes())
    return probe, names[1], names[2], names[20]


def test_missing_features_are_listed_and_refused(data, capsys):
    probe, short, long, _ = break_some(data)
    assert run_experiment.main(command(data)) == 2
    message = capsys.readouterr().err
    assert "3 features are missing or useless" in message and "--allow-missing" in message
    listed = (data / "out" / "missing_synthetic.txt").read_text()
    assert f"{probe}\tmissing" in listed
    assert f"{short}\ttruncated: 5 bytes" in listed
    assert f"{long}\t17 values, the others have 16" in listed
    assert not list((data / "out").glob("cmc_*"))


def test_nan_is_refused_by_name(data, capsys):
    lists = data / "templatelists"
    name = json.loads((lists / "megaface_features_list.json_300_1").read_text())["path"][20]
    write_feature(data / "megaface" / (name + ENDING), np.zeros(16, np.float32), allow_zeros=True)
    assert run_experiment.main(command(data)) == 2
    message = capsys.readouterr().err
    assert f"{name}{ENDING}: all zeros" in message and "with --allow-missing" in message


def test_what_was_left_out_is_said_in_every_output(data, capsys):
    broken = break_some(data)
    assert run_experiment.main(command(data)) == 2
    capsys.readouterr()
    assert run_experiment.main(command(data, "out", "--allow-missing")) == 0
    assert "left out: 1 probes, 3 distractors" in capsys.readouterr().out
    assert not (data / "out" / "missing_synthetic.txt").exists()
    out = data / "out"
    for path in [*out.glob("cmc_*.json"), *out.glob("results_*.json")]:
        left_out = json.loads(path.read_text())["left_out"]
        assert {*left_out["probes"], *left_out["distractors"]} == set(broken)
    for path in out.glob("matches_*.json"):
        assert json.loads(path.read_text())[0]["left_out"] == {"probes": 1, "distractors": 3}
    compared = json.loads((out / "otherFiles" / "megaface_features_synthetic_300_1").read_text())
    assert len(compared["path"]) == 297
    assert not any(one.endswith(name + ENDING) for one in compared["path"] for name in broken)
    results = json.loads((out / "results_facescrub_megaface_synthetic_300_1.json").read_text())
    assert (results["probes"], results["distractors"]) == (39, 297)
    page = (out / "report_synthetic.html").read_text()
    assert "Left out: 1 probes, 3 distractors" in page and broken[0] in page


@pytest.mark.parametrize(
    "change, message",
    [
        ({"-s": "11"}, "json_11_1: no such list"),
        ({"-s": "0"}, "at least 1"),
        ({"--threads": "-1"}, "--threads -1: must be at least 1"),
        ({"-m": "other.bin"}, "only jb_identity"),
        ({"-p": "nowhere.json"}, "nowhere.json"),
        ({"ending": "_other.bin"}, "is the file ending '_other.bin' right"),
        ({"root": "nowhere"}, "no such feature folder"),
    ],
)
def test_wrong_command_lines(data, capsys, change, message):
    options = command(data, sizes=["10"])
    for flag, value in change.items():
        if flag == "ending":
            options[2] = value
        elif flag == "root":
            options[0] = str(data / value)
        elif flag in options:
            options[options.index(flag) + 1] = value
        else:
            options[4:4] = [flag, value]
    assert run_experiment.main(options) == 2
    assert message in capsys.readouterr().err


def test_a_person_left_with_one_image_is_left_out_and_named(data):
    content = json.loads((data / "templatelists" / "facescrub_features_list.json").read_text())
    of_first = [path for path in content["path"] if path.startswith("Person_0/")]
    for path in of_first[1:]:
        (data / "facescrub" / (path + ENDING)).unlink()
    assert run_experiment.main(command(data, "out", "--allow-missing", sizes=["10"])) == 0
    results = json.loads(
        (data / "out" / "results_facescrub_megaface_synthetic_10_1.json").read_text()
    )
    assert results["left_out"]["people"] == ["Person_0"]
    assert (results["people"], results["probes"]) == (5, 40 - len(of_first))


def test_a_distractor_just_as_far_as_the_mate_is_counted_apart(data):
    lists = data / "templatelists"
    probes = json.loads((lists / "facescrub_features_list.json").read_text())["path"]
    (first,) = json.loads((lists / "megaface_features_list.json_10_1").read_text())["path"][:1]
    vector = read_feature(data / "facescrub" / (probes[0] + ENDING))
    mate = vector + np.float32(0.001)
    write_feature(data / "facescrub" / (probes[1] + ENDING), mate)
    write_feature(data / "megaface" / (first + ENDING), mate)
    assert run_experiment.main(command(data, sizes=["10"])) == 0
    results = json.loads(
        (data / "out" / "results_facescrub_megaface_synthetic_10_1.json").read_text()
    )
    ties = results["ties"]
    # Every probe is as far from the distractor as from the mate it copies; the first finds it.
    tied = ties["pairs_with_a_distractor_just_as_far"]
    assert tied == sum(path.startswith("Person_0/") for path in probes) - 1
    assert ties["rank_1_if_ties_count_against"] < results["rank_rate"]["1"]["rate"]


def test_intervals_are_of_the_pairs_accepted(data):
    assert run_experiment.main(command(data, sizes=["300"])) == 0
    content = json.loads((data / "templatelists" / "facescrub_features_list.json").read_text())
    probes = np.stack([read_feature(data / "facescrub" / (p + ENDING)) for p in content["path"]])
    pairs = genuine_pairs(probes, content["id"])
    results = json.loads(
        (data / "out" / "results_facescrub_megaface_synthetic_300_1.json").read_text()
    )
    negatives = results["probes"] * results["distractors"]
    supported = [p for p in results["tpr_at_fpr"] if p["allowed"] * negatives >= 1]
    assert 1 <= len(supported) < len(results["tpr_at_fpr"])
    for point in supported:
        accepted = pairs.distance <= point["distance"]
        assert point["tpr"] == accepted.mean()
        assert tuple(point["interval_95"]) == person_interval(pairs, accepted)


def test_rates_that_the_negatives_cannot_support_are_refused(data, capsys):
    assert run_experiment.main(command(data, sizes=["10"])) == 0
    results = json.loads(
        (data / "out" / "results_facescrub_megaface_synthetic_10_1.json").read_text()
    )
    negatives = results["probes"] * 10
    for point in results["tpr_at_fpr"]:
        needed = round(1 / point["allowed"])
        assert (point["tpr"] is None) == (negatives < needed) == ("negatives_needed" in point)
        assert point["tpr"] is not None or point["negatives_needed"] == needed
    for one in results["open_set"]:
        assert (one["fnir"] is None) == (results["probes"] * one["fpir"] < 1)
    out = capsys.readouterr().out
    said = f"VR@1e-6 needs 1,000,000 negatives; {results['probes']} probes x 10 distractors are"
    assert said in out
    page = (data / "out" / "report_synthetic.html").read_text()
    assert "1,000,000" in page


def test_results_of_another_algorithm_are_not_mixed_in(data, capsys):
    (data / "out").mkdir()
    (data / "out" / "cmc_facescrub_megaface_r100_ii_10_1.json").write_text("{}")
    assert run_experiment.main(command(data)) == 2
    assert "holds results of 'r100_ii'" in capsys.readouterr().err


def test_features_of_two_dimensions(data, capsys):
    for path in (data / "facescrub").rglob("*.bin"):
        write_feature(path, np.append(read_feature(path), np.float32(0)))
    assert run_experiment.main(command(data)) == 2
    assert "probes have 17 values" in capsys.readouterr().err


def test_a_person_with_one_image(data, capsys):
    path = data / "templatelists" / "facescrub_features_list.json"
    content = json.loads(path.read_text())
    content["id"][0] = "Somebody"
    path.write_text(json.dumps(content))
    assert run_experiment.main(command(data)) == 2
    assert "1 people have a single image, so no mate: Somebody" in capsys.readouterr().err


def test_the_report_shows_the_faces_that_can_be_read(data):
    probes = json.loads((data / "templatelists/facescrub_features_list.json").read_text())["path"]
    for name in probes:
        path = data / "faces" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes())
    more = ["--probe-images", str(data / "faces"), "--distractor-images", str(data / "nowhere")]
    pages = []
    for broken in ((), probes):
        for name in broken:
            (data / "faces" / name).write_bytes(b"no image")
        assert run_experiment.main(command(data, "out", *more, sizes=["300"])) == 0
        pages.append((data / "out/report_synthetic.html").read_text())
    errors = pages[0].count('<div class="error">')  # probe, mate and distractor in each
    assert errors and pages[0].count("<img ") == errors * 2
    assert pages[1].count('<div class="error">') == errors and "<img " not in pages[1]


@pytest.mark.parametrize("packed", [False, True], ids=["files", "stores"])
def test_features_of_another_list_are_refused_even_where_some_may_be_missing(data, capsys, packed):
    """A list that matches almost nothing shows two names of each side."""
    lists = data / "templatelists"
    path = lists / "megaface_features_list.json_10_1"
    names = json.loads(path.read_text())["path"]
    path.write_text(json.dumps({"path": [f"x/{name}" for name in names]}))
    options = command(data, "out", "--allow-missing", sizes=["10"])
    if packed:
        assert convert.main(["import", str(data / "megaface"), ENDING, str(data / "m.npy")]) == 0
        options[0] = str(data / "m.npy")
    assert run_experiment.main(options) == 2
    told = capsys.readouterr().err
    assert f"the list: 'x/{names[0]}' and 'x/{names[1]}'" in told
    assert told.count(".jpg'") + told.count(".png'") >= 4
