"""Noise removal: the published rule by its arithmetic, and the two others."""

import json
from pathlib import Path

from arcface_mxnet.megaface import remove_noises, run_experiment, synthetic
from arcface_mxnet.megaface.features import read_feature
from arcface_mxnet.megaface.noise_matching import wrong_images
from arcface_mxnet.megaface.noise_rules import clean_distractors, clean_probes
from arcface_mxnet.megaface.packed import FeatureStore
import numpy as np
import pytest


def test_published_rule_for_probes():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((5, 8)).astype(np.float32)
    wrong = np.array([False, True, False, False, True])
    people = ["a", "a", "a", "b", "b"]
    cleaned = clean_probes(vectors, people, wrong, "published", np.random.default_rng(1))
    assert cleaned.shape == (5, 9) and cleaned.dtype == np.float32
    assert np.array_equal(cleaned[~wrong, :8], vectors[~wrong])
    assert not cleaned[:, 8].any()
    noise = np.random.default_rng(1).uniform(-0.001, 0.001, (2, 8))
    for row, total, extra in zip((1, 4), (vectors[0] + vectors[2], vectors[3]), noise, strict=True):
        expected = total + extra
        assert np.allclose(cleaned[row, :8], expected / np.linalg.norm(expected), atol=1e-7)
    again = clean_probes(vectors, people, wrong, "published", np.random.default_rng(1))
    assert np.array_equal(cleaned, again)


def test_published_rule_for_distractors():
    vectors = np.ones((3, 4), np.float32)
    cleaned = clean_distractors(vectors, np.array([False, True, False]), "published")
    assert cleaned.tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 100], [1, 1, 1, 1, 0]]
    assert cleaned.dtype == np.float32


def test_other_rules():
    vectors = np.arange(1, 7, dtype=np.float32).reshape(3, 2)
    wrong = np.array([False, True, False])
    assert clean_distractors(vectors, wrong, "drop").tolist() == [[1, 2], [5, 6]]
    assert clean_distractors(vectors, wrong, "zero").tolist() == [[1, 2], [0, 0], [5, 6]]
    assert clean_probes(vectors, "aaa", wrong, "drop", None).tolist() == [[1, 2], [5, 6]]
    centre = clean_probes(vectors, list("aaa"), wrong, "zero", None)
    assert np.allclose(centre, [[1, 2], [0.6, 0.8], [5, 6]])


def test_a_person_of_whom_every_image_is_wrong():
    with pytest.raises(ValueError, match="every image of 1 people is on the noise list: b"):
        clean_probes(np.ones((3, 2), np.float32), list("aab"), np.array([0, 0, 1], bool),
                     "published", np.random.default_rng(0))  # fmt: skip


@pytest.fixture(params=[False, True], ids=["files", "stores"])
def data(request, tmp_path):
    options = "--people 5 --images 40 --distractors 200 --dim 16 --noise 0.15"
    packed = ["--store", "float32"] if request.param else []
    assert synthetic.main([str(tmp_path), *options.split(), *packed]) == 0
    return tmp_path, ["--store"] if request.param else []


def command(folder, *more):
    lists = folder / "templatelists"
    return [
        "--algo", "synthetic", "--feature-dir-input", str(folder),
        "--feature-dir-out", str(folder / "clean"),
        "--facescrub-lst", str(lists / "facescrub_features_list.json"),
        "--megaface-lst", str(lists / "megaface_features_list.json_200_1"),
        "--facescrub-noises", str(folder / "facescrub_noises.txt"),
        "--megaface-noises", str(folder / "megaface_noises.txt"), *more,
    ]  # fmt: skip


def rank_1(folder, packed):
    kind = "_synthetic.npy" if packed else ""
    lists = folder.parent if folder.name == "clean" else folder
    lists = lists / "templatelists"
    out = folder / "results"
    assert run_experiment.main(
        [f"{folder}/megaface{kind}", f"{folder}/facescrub{kind}", "_synthetic.bin", str(out),
         "-p", str(lists / "facescrub_features_list.json"), "-dlp", str(lists), "-s", "200"]
    ) == 0  # fmt: skip
    results = json.loads((out / "results_facescrub_megaface_synthetic_200_1.json").read_text())
    return results["rank_rate"]["1"]["rate"]


def test_from_features_to_a_better_result(data, capsys):
    folder, packed = data
    noises = (folder / "megaface_noises.txt").read_text().splitlines()[1:]
    assert noises
    assert remove_noises.main(command(folder, *packed)) == 0
    told = capsys.readouterr().out
    assert f"megaface: {len(noises)} of 200 images are wrong ({len(noises)} names on" in told
    assert "--allow-missing" not in told
    if packed:
        store = FeatureStore(folder / "clean" / "megaface_synthetic.npy")
        vector = store.read(store.find(noises[:1]))[0]
    else:
        vector = read_feature(folder / "clean" / "megaface" / f"{noises[0]}_synthetic.bin")
    assert vector.shape == (17,) and vector[-1] == 100
    assert rank_1(folder / "clean", packed) > rank_1(folder, packed)


def test_names_of_both_noise_lists_find_their_images(data, capsys, monkeypatch):
    """FaceScrub's have bare file names, MegaFace's whole paths; whatever the blocks read."""
    folder, packed = data
    monkeypatch.setattr("arcface_mxnet.megaface.packed.BATCH", 64)
    lists = folder / "templatelists"
    probes = json.loads((lists / "facescrub_features_list.json").read_text())["path"]
    others = json.loads((lists / "megaface_features_list.json_200_1").read_text())["path"]
    wrong = [others[3], others[150]]
    (folder / "facescrub_noises.txt").write_text(f"# none\n{Path(probes[2]).name}\n")
    (folder / "megaface_noises.txt").write_text("\n".join([*wrong, Path(others[7]).name]))
    options = command(folder, "--suffix", "synthetic", *packed)
    options[options.index("--algo") + 1] = "clean"
    if packed:  # of other noise lists, cut short
        (folder / "clean").mkdir()
        (folder / "clean" / "megaface_clean.npy.partial").write_bytes(b"x" * 5000)
    assert remove_noises.main(options) == 0
    told = capsys.readouterr().out
    assert "facescrub: 1 of 40 images are wrong" in told
    assert "megaface: 2 of 200 images are wrong (3 names on the noise list)" in told

    def features(name, names, root, algorithm):
        if packed:
            return FeatureStore(root / f"{name}_{algorithm}.npy").vectors
        return np.stack([read_feature(root / name / f"{one}_{algorithm}.bin") for one in names])

    before, after = (features("facescrub", probes, *place)
                     for place in ((folder, "synthetic"), (folder / "clean", "clean")))  # fmt: skip
    assert np.flatnonzero((before != after[:, :-1]).any(axis=1)).tolist() == [2]
    after = features("megaface", others, folder / "clean", "clean")
    assert [others[row] for row in np.flatnonzero(after[:, -1] == 100)] == wrong


def test_drop_leaves_files_out_and_writes_the_lists(data):
    folder, packed = data
    assert remove_noises.main(command(folder, "--rule", "drop", *packed)) == 0
    noises = (folder / "megaface_noises.txt").read_text().splitlines()[1:]
    kept = (folder / "clean" / "megaface_lst").read_text().splitlines()
    assert len(kept) == 200 - len(noises) and not set(kept) & set(noises)


def test_drop_takes_away_what_an_earlier_start_left(data):
    folder, packed = data
    if packed:
        return  # a store is written anew
    noises = folder / "megaface_noises.txt"
    told = noises.read_text()
    noises.write_text("")
    assert remove_noises.main(command(folder, "--rule", "drop")) == 0
    noises.write_text(told)
    assert remove_noises.main(command(folder, "--rule", "drop")) == 0
    left = {path.name for path in (folder / "clean" / "megaface").rglob("*.bin")}
    wrong = {Path(one).name for one in told.splitlines()[1:]}
    assert wrong and not left & {f"{one}_synthetic.bin" for one in wrong}
    assert len(left) == 200 - len(wrong)


def cosine_rank_1(folder):
    """Return the rank-1 rate as tools that compare cosines find it, zeros among the distractors."""
    lists = folder / "templatelists"
    probes = json.loads((lists / "facescrub_features_list.json").read_text())
    names = json.loads((lists / "megaface_features_list.json_200_1").read_text())["path"]
    load = lambda root, paths: np.array(  # noqa: E731
        [np.fromfile(folder / "clean" / root / f"{path}_synthetic.bin", "<f4", offset=16)
         for path in paths], np.float64)  # fmt: skip
    p, x = load("facescrub", probes["path"]), load("megaface", names)
    ids = np.array(probes["id"])
    pairs = np.argwhere((ids[:, None] == ids) & ~np.eye(len(ids), dtype=bool))
    return np.mean([(x @ p[i]).max() <= p[i] @ p[j] for i, j in pairs])


def test_zero_gives_what_tools_of_cosines_find(data, capsys):
    folder, packed = data
    if packed:
        return  # refused, see below
    assert remove_noises.main(command(folder, "--rule", "zero")) == 0
    assert "evaluate them with arcface-megaface --allow-missing" in capsys.readouterr().out
    lists = folder / "templatelists"
    evaluate = [f"{folder}/clean/megaface", f"{folder}/clean/facescrub", "_synthetic.bin",
                f"{folder}/clean/results", "-p", str(lists / "facescrub_features_list.json"),
                "-dlp", str(lists), "-s", "200"]  # fmt: skip
    assert run_experiment.main(evaluate) == 2
    told = capsys.readouterr().err
    assert "all zeros" in told and "with --allow-missing" in told
    assert run_experiment.main([*evaluate, "--allow-missing"]) == 0
    name = "results_facescrub_megaface_synthetic_200_1.json"
    results = json.loads((folder / "clean" / "results" / name).read_text())
    noises = (folder / "megaface_noises.txt").read_text().splitlines()[1:]
    assert set(results["left_out"]["distractors"]) == set(noises)
    assert not results["left_out"]["probes"]
    assert results["rank_rate"]["1"]["rate"] == cosine_rank_1(folder)


def test_zero_goes_into_files_alone(data, capsys):
    folder, packed = data
    code = remove_noises.main(command(folder, "--rule", "zero", *packed))
    if packed:
        assert code == 2 and "a packed store holds no zeros" in capsys.readouterr().err
    else:
        assert code == 0
        name = (folder / "megaface_noises.txt").read_text().splitlines()[1]
        data = (folder / "clean" / "megaface" / f"{name}_synthetic.bin").read_bytes()
        assert data[16:] == bytes(64)


def test_the_input_is_never_overwritten(data, capsys):
    folder, packed = data
    options = command(folder, *packed)
    (folder / "link").symlink_to(".")
    for same in (folder, folder / "megaface" / "..", folder / "link"):
        options[options.index("--feature-dir-out") + 1] = str(same)
        assert remove_noises.main(options) == 2
        assert "would be written over its input" in capsys.readouterr().err


def test_wrong_command_lines(data, capsys, monkeypatch):
    folder, packed = data
    monkeypatch.chdir(folder)
    assert remove_noises.main([]) == 2
    assert "give --algo" in capsys.readouterr().err
    options = command(folder, *packed)
    at = options.index("--facescrub-noises")
    assert remove_noises.main(options[:at] + options[at + 2 :]) == 2
    said = capsys.readouterr().err
    assert "no list " in said and "data/facescrub_noises.txt" in said


def test_missing_features_are_listed(data, capsys):
    folder, packed = data
    if packed:
        return  # a store has all its rows
    next((folder / "megaface").rglob("*.bin")).unlink()
    assert remove_noises.main(command(folder)) == 2
    assert "1 features cannot be read" in capsys.readouterr().err


IMAGES = [f"{person}/{number}.jpg" for person in "ab" for number in range(5)]


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name.replace("/", "_"),
        lambda name: name.replace(".jpg", ".png"),
        lambda name: name.replace(".jpg", ".jpg.bin"),
        lambda name: f"megaface/{name}",
        lambda name: name.upper(),
        lambda name: f"/data/{name}",
    ],
    ids=["separators", "endings", "two endings", "prefixes", "capitals", "absolute"],
)
def test_a_noise_list_that_matches_nothing_shows_two_names_of_each_side(change):
    noises = {change(name) for name in IMAGES[2:4]}
    with pytest.raises(ValueError, match="2 of its 2 names are of no image on the list of 10") as e:
        wrong_images(IMAGES, noises, "noises.txt", bare=False)
    shown = sorted(noises)
    assert f"the noise list: {shown[0]!r} and {shown[1]!r}" in str(e.value)
    assert "the images: 'a/0.jpg' and 'a/1.jpg'" in str(e.value)
    assert "--skip-missing" in str(e.value)
    wrong, unknown = wrong_images(IMAGES, noises, "noises.txt", bare=False, skip=True)
    assert not wrong.any() and unknown == 2


def test_almost_nothing_is_refused_and_a_few_unknown_are_told(caplog):
    others = {f"x/{number}.jpg" for number in range(19)}
    with pytest.raises(ValueError, match="19 of its 20 names are of no image"):
        wrong_images(IMAGES, {*others, "a/3.jpg"}, "noises.txt", bare=False)
    wrong, unknown = wrong_images(IMAGES, {"a/3.jpg", "x/1.jpg"}, "noises.txt", bare=False)
    assert np.flatnonzero(wrong).tolist() == [3] and unknown == 1
    assert "1 of its 2 names are of no image" in caplog.text and "'x/1.jpg'" in caplog.text


@pytest.mark.parametrize("name", ["b\\2.jpg", "./b/2.jpg", ".\\b\\2.jpg", "b/2.jpg"])
def test_separators_of_windows_and_the_dot_of_find_are_understood(name):
    wrong, unknown = wrong_images(IMAGES, {name}, "noises.txt", bare=False)
    assert np.flatnonzero(wrong).tolist() == [7] and unknown == 0


def test_a_bare_name_never_matches_in_every_folder():
    with pytest.raises(ValueError, match="'2.jpg' is the name of 2 images, such as 'a/2.jpg'"):
        wrong_images(IMAGES, {"2.jpg", "a/1.jpg"}, "noises.txt", bare=True)
    wrong, _ = wrong_images([*IMAGES, "b/9.jpg"], {"9.jpg"}, "noises.txt", bare=True)
    assert np.flatnonzero(wrong).tolist() == [10]
    with pytest.raises(ValueError, match="1 of its 1 names"):
        wrong_images([*IMAGES, "b/9.jpg"], {"9.jpg"}, "noises.txt", bare=False)
    wrong, _ = wrong_images([*IMAGES, "2.jpg"], {"2.jpg"}, "noises.txt", bare=True)
    assert np.flatnonzero(wrong).tolist() == [10], "an image of just that name is meant"


def test_an_empty_noise_list_is_said(caplog):
    wrong, unknown = wrong_images(IMAGES, set(), "noises.txt", bare=True)
    assert not wrong.any() and not unknown and "noises.txt: names no image" in caplog.text


def test_unknown_names_are_said_with_the_result(data, capsys):
    folder, packed = data
    noises = folder / "megaface_noises.txt"
    noises.write_text(noises.read_text() + "nobody/1.jpg\n")
    assert remove_noises.main(command(folder, *packed)) == 0
    assert (
        "names on the noise list); 1 of the names are of no image here" in capsys.readouterr().out
    )
    noises.write_text("nobody/1.jpg\n")
    assert remove_noises.main(command(folder, *packed)) == 2
    assert "1 of its 1 names are of no image" in capsys.readouterr().err
