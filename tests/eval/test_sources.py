"""Every protocol takes every source: a network, its vectors, and scores give the same figures."""

# ruff: noqa: F811  (fixtures of the other tests)

from dataclasses import replace
import json
import re
import shutil

from arcface_mxnet.embedding import embed
from arcface_mxnet.embedding.sources import Images, open_sources
from arcface_mxnet.eval import ijb, verification, ytf
from arcface_mxnet.eval.pair_sets import read_pair_set, write_pair_set
import numpy as np
import pytest

from tests.end_to_end.foreign import FULLY_DECLARED, write_foreign
from tests.eval.test_ijb import benchmark  # noqa: F401
from tests.eval.test_verification import folder, save_pack  # noqa: F401
from tests.eval.test_ytf import videos  # noqa: F401

ON_CPU = ["--gpu", "-1"]


def verified(*words):
    assert verification.main([*words, "--target", "lfw", "--json", "out.json", *ON_CPU]) == 0
    with open("out.json") as file:  # noqa: PTH123
        return json.load(file)


def embedded(*words):
    assert embed.main([*words, "--image-size", "8,8", *ON_CPU]) == 0


def same(one, other, but=()):
    """Assert that two entries have the same figures, to rounding."""
    left, right = one["evaluations"], other["evaluations"]
    for name in left.keys() - set(but):
        for figure in ("accuracy", "std", "cosine"):
            assert left[name][figure] == pytest.approx(right[name][figure], abs=1e-9), name
    if not but:
        assert one["auc"] == pytest.approx(other["auc"]) and one["eer"] == other["eer"]


def test_what_arcface_embed_writes_verifies_as_the_network_does(folder):
    embedded("lfw.bin", "joined.npy", "--model", "net,1", "--flip", "joined", "--normalize", "0")
    embedded("lfw.bin", "sum.csv", "--model", "net,1")
    network, joined, summed = verified(
        "--model", "net,1", "--model", "j=joined.npy@joined", "--model", "s=sum.csv"
    )
    assert [entry["model"] for entry in (network, joined, summed)] == ["net,1", "j", "s"]
    same(network, joined)
    assert joined["xnorm"] == pytest.approx(network["xnorm"], rel=1e-6)
    same(network, summed, but=["UnFlipL2", "UnFlipCos"])
    assert [e["flip"] for e in (network, joined, summed)] == ["sum", "sum", "as given"]
    assert len({entry["model_sha256"] for entry in (network, joined, summed)}) == 3


def test_vectors_go_by_the_names_of_the_pair_set(folder):
    pairs = read_pair_set("lfw.bin")
    embedded("lfw.bin", "v.npy", "--model", "net,1")
    vectors = np.load("v.npy")
    order = np.random.default_rng(0).permutation(len(pairs.images))
    names = [f"img/{number}.png" for number in range(len(order))]
    save_pack("lfw.bin")
    lines = "".join(f"\t{name}\n" for name in names)
    with open("lfw.pairs.tsv", "w") as file:  # noqa: PTH123
        file.write(lines)
    np.savez("mixed.npz", vectors[order], np.array(names)[order])
    network, mixed = verified("--model", "net,1", "--model", "mixed.npz")
    same(network, mixed, but=["UnFlipL2", "UnFlipCos"])


def test_a_target_has_a_file_of_its_own(folder):
    save_pack("cfp_fp.bin", num_pairs=40)
    for name in ("lfw", "cfp_fp"):
        embedded(f"{name}.bin", f"v_{name}.npy", "--model", "net,1")
    words = ["--model", "v=v_{target}.npy", "--target", "lfw,cfp_fp", "--json", "out.json"]
    assert verification.main(words) == 0


def test_one_file_is_not_taken_for_two_targets(folder, capsys):
    shutil.copy("lfw.bin", "cfp_fp.bin")
    embedded("lfw.bin", "v.npy", "--model", "net,1")
    np.save("plain.npy", np.load("v.npy"))
    np.savetxt("s.txt", np.linspace(0, 1, 60))
    for words in (["--model", "v.npy"], ["--model", "plain.npy"], ["--scores", "s.txt@higher"]):
        assert verification.main([*words, "--target", "lfw"]) == 0
        capsys.readouterr()
        assert verification.main([*words, "--target", "lfw,cfp_fp"]) == 2
        told = capsys.readouterr().err
        assert "is of one pair set, and 2 are compared (lfw, cfp_fp); put {target} into" in told


def test_vectors_of_another_pair_set_of_as_many_images_are_refused(folder, capsys):
    embedded("lfw.bin", "v.npy", "--model", "net,1")
    assert verification.main(["--model", "v.npy", "--target", "lfw"]) == 0
    pairs = read_pair_set("lfw.bin")
    write_pair_set("lfw.bin", replace(pairs, images=pairs.images[2:] + pairs.images[:2]))
    assert verification.main(["--model", "v.npy", "--target", "lfw"]) == 2
    assert (
        "v.json beside it says that it is of other images than lfw.bin" in capsys.readouterr().err
    )
    with open("v.json", "w") as file:  # noqa: PTH123
        file.write("[]")  # of something else
    assert verification.main(["--model", "v.npy", "--target", "lfw"]) == 0


def test_vectors_of_another_number_or_useless_are_refused(folder, capsys):
    vectors = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
    np.save("few.npy", vectors[:119])
    vectors[7, 1] = np.nan
    np.save("nan.npy", vectors)
    for file, message in (
        ("few.npy", "few.npy: 119 vectors for 120 images of lfw"),
        ("nan.npy", "nan.npy: row 7: holds NaN or infinity"),
    ):
        assert verification.main(["--model", file, "--target", "lfw"]) == 2
        assert message in capsys.readouterr().err


def test_scores_give_what_the_embeddings_give(folder, capsys):
    embedded("lfw.bin", "v.npy", "--model", "net,1")
    units = np.load("v.npy").astype(np.float64)
    cosines = (units[0::2] * units[1::2]).sum(axis=1)
    np.savetxt("cosines.txt", cosines)
    np.savetxt("distances.txt", 2 - 2 * cosines)
    network, high, low = verified(
        "--model", "net,1", "--scores", "c=cosines.txt@higher", "--scores", "distances.txt@lower"
    )
    assert high["auc"] == low["auc"] == pytest.approx(network["auc"])
    assert high["eer"] == low["eer"] == pytest.approx(network["eer"])
    assert abs(high["evaluations"]["Scores"]["accuracy"] - network["evaluations"]["FlipL2"][
        "accuracy"]) < 0.06  # fmt: skip
    out = capsys.readouterr().out
    at = [float(found) for found in re.findall(r"Scores: .* at score (\S+)$", out, re.M)]
    assert at[1] == pytest.approx(2 - 2 * at[0], rel=1e-4)  # a distance, as it was given
    assert "nan" not in out.lower()


def test_a_network_that_is_kept_nowhere_gives_what_is_kept(folder):
    arguments = verification.build_parser().parse_args(ON_CPU)
    pixels = list(read_pair_set("lfw.bin").decoded())
    images = Images("lfw", 50, lambda start: pixels[start:50])
    (kept,) = open_sources(["net,1"], arguments, "kept.npy")
    (loose,) = open_sources(["net,1"], arguments, are_kept=False)
    assert (kept.num_ready(images), loose.num_ready(images)) == (0, 0)
    ((_, *once),), ((_, *again),) = list(kept.blocks(images)), list(loose.blocks(images))
    np.testing.assert_array_equal(once, again)
    assert (kept.num_ready(images), loose.num_ready(images)) == (50, 0)


def test_equal_aliases_are_refused(folder, capsys):
    for words in (
        ["--model", "a=net,1", "--model", "a=net,2"],
        ["--model", "a=net,1", "--scores", "a=s.txt@lower"],
    ):
        assert verification.main([*words, "--target", "lfw"]) == 2
        assert "two models are called 'a'" in capsys.readouterr().err
    assert verification.main(["--model", "a=net", "--target", "lfw"]) == 2
    assert "--model a=net: 3 checkpoints, and one alias" in capsys.readouterr().err
    assert verification.main(["--target", "lfw"]) == 2
    assert "give --model, or --scores" in capsys.readouterr().err


def test_a_network_of_others_beside_ours(folder):
    theirs = write_foreign(folder / "theirs.onnx", size=(8, 8))
    words = "color=bgr;mean=127.5;scale=128"
    ours, flags, text = verified(
        "--model", "net,1", "--model", str(theirs), *FULLY_DECLARED,
        "--model", f"b={theirs}@{words}",
    )  # fmt: skip
    assert ours["model_sha256"] != flags["model_sha256"] == text["model_sha256"]
    assert flags["xnorm"] != text["xnorm"]
    assert "input" not in ours and ours["alignment"] == "arcface"
    assert flags["input"].startswith("8,8, rgb, nchw, mean 127.5, scale 128")
    assert text["input"].startswith("8,8, bgr")


def test_flags_that_declare_nothing_are_refused(folder, capsys):
    theirs = write_foreign(folder / "theirs.onnx", size=(8, 8))
    for words in (["net,1"], [f"{theirs}@sface"], ["v.npy"]):
        assert verification.main(["--model", *words, "--target", "lfw", "--mean", "127.5"]) == 2
        assert (
            "--mean declares the input of ONNX files of others, and no" in capsys.readouterr().err
        )
    assert embed.main(["lfw.bin", "v.npy", "--model", "net,1", "--input-color", "bgr"]) == 2
    assert "--input-color declares the input of ONNX files" in capsys.readouterr().err


def tables(text):
    return [line for line in text.splitlines() if line.startswith("  ") or "IJBC," in line]


def ijb_words(benchmark, *more):
    return ["--data-dir", str(benchmark[0]), *ON_CPU, *more]


def test_ijb_takes_vectors_and_no_image(benchmark, capsys):
    root, model, features = benchmark
    assert ijb.main(ijb_words(benchmark, "--model", model, "--features", str(features))) == 0
    network = tables(capsys.readouterr().out)
    kept = np.load(features)
    np.save(root / "joined.npy", kept.reshape(len(kept), -1))
    names = [f"{number}.jpg" for number in range(len(kept))]
    np.savez(root / "named.npz", kept[::-1], np.array(names[::-1]))
    for path in (root / "loose_crop").iterdir():
        path.unlink()
    sources = ["--model", f"{root}/joined.npy@joined", "--model", f"n={root}/named.npz"]
    assert ijb.main(ijb_words(benchmark, *sources)) == 0
    joined, named = np.array_split(tables(capsys.readouterr().out), 2)
    assert joined[0] == f"{root}/joined.npy: {network[0]}" and named[0] == f"n: {network[0]}"
    assert list(joined[1:]) == list(named[1:]) == network[1:]
    np.save(root / "few.npy", kept[1:])
    assert ijb.main(ijb_words(benchmark, "--model", f"{root}/few.npy")) == 2
    assert "few.npy: 71 vectors for 72 images of IJBC" in capsys.readouterr().err


def test_ijb_takes_scores_for_pairs_alone(benchmark, capsys):
    scores = benchmark[0] / "scores.npy"
    lines = (benchmark[0] / "meta/ijbc_template_pair_label.txt").read_text().splitlines()
    flags = np.array([line.endswith(" 1") for line in lines])
    np.save(scores, np.where(flags, 0.25, 0.75))
    words = ["--scores", f"{scores}@lower"]
    assert ijb.main(ijb_words(benchmark, *words)) == 2
    assert "give --protocol 1:1, which they can answer" in capsys.readouterr().err
    assert ijb.main(ijb_words(benchmark, *words, "--protocol", "1:1")) == 0
    assert "TAR@FAR=1e-01: 100.00 % (75.75 to 100.00) at score 0.25" in capsys.readouterr().out


def test_several_networks_on_ijb(benchmark, capsys, save_network):
    root, model, _ = benchmark
    other = save_network(root / "other", 1, seed=5, size=(112, 112))
    words = ["--model", model, "--model", f"o={other}", "--features", str(root / "f_{model}.npy")]
    assert ijb.main(ijb_words(benchmark, *words)) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if "IJBC" in line]
    assert heads[0].startswith(f"{model}: IJBC") and heads[1].startswith("o: IJBC")
    assert len(list(root.glob("f_*.npy"))) == 2


def test_ytf_takes_every_source(videos, capsys):
    fixed = ["--data-dir", str(videos), "--nfolds", "5", *ON_CPU]
    kept = videos / "f.npy"
    assert ytf.main([*fixed, "--model", f"{videos}/net,1", "--features", str(kept)]) == 0
    network = capsys.readouterr().out
    (videos / "scores.txt").write_text("".join(f"{number % 2}\n" for number in range(30)))
    sources = ["--model", f"v={kept}", "--scores", f"s={videos}/scores.txt@higher"]
    assert ytf.main([*fixed, *sources]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"(v)\n{network}(s)\n[ytf]30 pairs, ready scores\n")
    assert "Accuracy: 1.00000" in out
    np.save(kept, np.load(kept)[:-1])
    assert ytf.main([*fixed, "--model", str(kept)]) == 2
    assert "53 vectors for 54 images of ytf" in capsys.readouterr().err
