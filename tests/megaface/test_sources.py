"""MegaFace from ready vectors: features made of them, and the experiment on them."""

from arcface_mxnet.megaface import gen_megaface, run_experiment
from arcface_mxnet.megaface.feature_source import open_features
from arcface_mxnet.megaface.features import read_feature
from arcface_mxnet.megaface.lists import read_names
import numpy as np
import pytest

from tests.megaface.test_gen_megaface import command as gen_command
from tests.megaface.test_gen_megaface import data as images  # noqa: F401
from tests.megaface.test_run_experiment import ENDING, SIZES, data, made  # noqa: F401
from tests.megaface.test_run_experiment import command as run_command

# ruff: noqa: F811  (fixtures of the other tests)


def table(out):
    """The lines of the figures alone."""
    return [line for line in out.splitlines() if "report" not in line]


def test_features_in_a_file_with_names_give_the_same_figures(data, capsys):
    assert run_experiment.main(run_command(data)) == 0
    wanted = table(capsys.readouterr().out)
    lists = data / "templatelists"
    files = {}
    for kind, name in (("megaface", f"megaface_features_list.json_{SIZES[-1]}_1"),
                       ("facescrub", "facescrub_features_list.json")):  # fmt: skip
        names = read_names(lists / name)
        order = np.random.default_rng(0).permutation(len(names))
        vectors = np.array([read_feature(data / kind / (one + ENDING)) for one in names])
        files[kind] = data / f"{kind}.npz"
        np.savez(files[kind], vectors[order], np.array(names)[order])
    words = run_command(data, "again")
    words[:2] = [str(files["megaface"]), str(files["facescrub"])]
    assert run_experiment.main(words) == 0
    assert table(capsys.readouterr().out) == wanted


def test_both_halves_become_one_feature(tmp_path):
    both = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32)
    names = ["a.png", "b.png", "c.png"]
    np.savez(tmp_path / "v.npz", both, np.array(names))
    found = open_features(tmp_path / "v.npz", ["c.png", "x.png", "a.png"], "_x.bin")
    assert found.faults() == {1: "missing"} and found.dim == 4
    total = both[[2, 0]].sum(axis=1)
    wanted = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(found.read(np.array([0, 2])), wanted, rtol=1e-5)
    both[0, 1] = 0
    both[2, 0, 1] = np.nan
    np.savez(tmp_path / "v.npz", both, np.array(names))
    found = open_features(tmp_path / "v.npz", names, "_x.bin")
    assert sorted(found.useless(np.arange(3))) == [0, 2]
    with pytest.raises(ValueError, match=r"row 0 \('a.png'\): all zeros"):
        found.read(np.arange(3))


def test_vectors_without_names_match_no_list(tmp_path):
    np.save(tmp_path / "v.npy", np.ones((2, 4), np.float32))
    with pytest.raises(ValueError, match="vectors without names: give FILE@list=NAMES"):
        np.savez(tmp_path / "v.npz", np.ones((2, 4), np.float32))
        open_features(tmp_path / "v.npz", ["a", "b"], "_x.bin")
    (tmp_path / "names").write_text("a\nb\n")
    text = f"{tmp_path}/v.npy@list={tmp_path}/names"
    assert open_features(text, ["b"], "_x.bin").read(np.array([0])).shape == (1, 4)


@pytest.mark.parametrize("store", [[], ["--store", "float32"]])
def test_features_are_made_of_vectors_without_an_image(images, capsys, store):
    names = [*read_names(images / "facescrub_lst"), *read_names(images / "megaface_lst")]
    vectors = np.random.default_rng(0).normal(size=(len(names), 2, 4)).astype(np.float32)
    np.savez(images / "v.npz", vectors, np.array(names))
    for folder in ("facescrub_images", "megaface_images"):
        for path in (images / folder).rglob("*.png"):
            path.unlink()
    words = gen_command(images, *store, model=f"{images}/v.npz")
    assert gen_megaface.main(words) == 0
    place = images / "out" / ("megaface_x.npy" if store else "megaface")
    made = open_features(place, names[2:], "_x.bin").read(np.arange(len(names) - 2))
    total = vectors.sum(axis=1)
    unit = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(made, unit[2:], rtol=1e-5)
    np.savez(images / "v.npz", vectors[:-1], np.array(names[:-1]))
    assert gen_megaface.main(words) == 2
    assert "of another model or image size" in capsys.readouterr().err
    assert gen_megaface.main([*words, "--output", str(images / "new")]) == (2 if store else 1)
    said = capsys.readouterr()
    assert "no vector of it" in (said.err if store else
                                 (images / "new/megaface_x_failed.tsv").read_text())  # fmt: skip
    assert gen_megaface.main(gen_command(images, model=f"a,0|{images}/v.npz")) == 2
    assert "give networks, or ready vectors, not both" in capsys.readouterr().err
