"""arcface-compare: files in, tables out, and what it refuses."""

import csv
import io
import re

from arcface_mxnet.eval.compare import main
from arcface_mxnet.eval.scored_pairs import ScoredPairs, read_scored_pairs, write_scored_pairs
import numpy as np
import pytest

PAIRS = 400


def entry(model="a", target="lfw", noise=0.3, seed=0, columns=None, **facts):
    rng = np.random.default_rng(7)
    flags = np.arange(PAIRS) % 2 == 0
    cosines = np.where(flags, 0.6, 0.0) + rng.normal(scale=0.1, size=PAIRS)
    cosines = np.clip(cosines + np.random.default_rng(seed).normal(scale=noise, size=PAIRS), -1, 1)
    names = np.array([f"p{pair // 8}" for pair in range(PAIRS)])
    others = np.array([f"p{(pair // 8 + (pair % 2)) % 50}" for pair in range(PAIRS)])
    facts = {
        "model": model, "alias": model, "model_sha256": "1", "engine": "e", "dtype": "float32",
        "flip": "sum", "target": target, "pack_sha256": "2", "failures": "crop",
    } | facts  # fmt: skip
    right = (cosines >= 0.3) == flags
    return ScoredPairs(facts, cosines, flags, right, names, others, columns or {})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ages = np.array(["old" if pair % 3 else "" for pair in range(PAIRS)], "U9")
    ages[:4] = ["young", "young", "odd_one", "young"]
    columns = {"age": ages}
    write_scored_pairs("a.scores.npz", [entry("a", columns=columns), entry("a", "cfp_fp")])
    write_scored_pairs("b.scores.npz", [entry("b|2", noise=0.2, seed=1, columns=columns)])
    return tmp_path


def compare(capsys, *words):
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_scores_come_back_as_they_were_written(folder):
    (one, other), given = read_scored_pairs("a.scores.npz"), entry("a")
    np.testing.assert_array_equal(one.cosines, given.cosines)
    np.testing.assert_array_equal(one.is_right, given.is_right)
    assert one.left.tolist() == given.left.tolist()
    assert one.facts == given.facts | {"folds": ""}  # as older versions wrote them
    assert (other.facts["target"], other.columns) == ("cfp_fp", {})
    assert set(one.columns["age"]) == {"old", "young", "odd_one", ""}


def test_one_table_over_all_targets_and_models(folder, capsys):
    out = compare(capsys, "a.json", "new=b.json", "--far", "0.1,0.01,0.001")
    rows = [line for line in out.splitlines() if line.startswith("| ")]
    assert (
        rows[0]
        == "| target | model | accuracy | TAR at FAR 0.1 | TAR at FAR 0.01 | TAR at FAR 0.001 |"
    )
    assert [row.split(" | ")[:2] for row in rows[2:5]] == [
        ["| lfw", "a"], ["| lfw", "new"], ["| cfp_fp", "a"],
    ]  # fmt: skip
    assert "needs 1,000" in rows[2]
    assert "**Model minus a, in percentage points**" in out
    assert rows[-1].startswith("| lfw | new | +")
    assert "people drawn again, the same for both models" in out


@pytest.mark.parametrize(
    ("models", "aliases", "words", "names"),
    [
        (("runs/r50/softmax,3", "runs/r100/softmax,3"), ("r50", "big"), "{} {}", ["r50", "big"]),
        (("runs/r50/softmax,3", "runs/r100/softmax,3"), ("softmax", "softmax"), "{} {}",
         ["r50", "r100"]),
        (("runs/r50/softmax,3", "runs/r100/softmax,3"), ("x", "y"), "new={} {}", ["new", "y"]),
        (("a", "b"), ("b", "b"), "b={} {}", None),
    ],
    ids=["alias", "shortest", "given", "taken"],
)  # fmt: skip
def test_models_go_by_short_names(folder, capsys, models, aliases, words, names):
    for file, model, alias in zip("xy", models, aliases, strict=True):
        write_scored_pairs(f"{file}.scores.npz", [entry(model, alias=alias)])
    given = words.format("x.json", "y.json").split()
    if names is None:
        assert main(given) == 2
        assert "b on lfw stands in" in capsys.readouterr().err
        return
    out = compare(capsys, *given)
    rows = [line.split(" | ") for line in out.splitlines() if line.startswith("| lfw")]
    assert [row[1] for row in rows] == [*names, names[1]]


def test_the_same_seed_gives_the_same_text(folder, capsys):
    first, again, other = (
        compare(capsys, "a.json", "b.json", "--replicates", "200", "--seed", seed)
        for seed in ("1", "1", "2")
    )
    assert first == again != other


def test_csv_holds_every_figure(folder, capsys):
    words = "--format csv --group age --far 0.1,0.001 --reference b|2"
    out = compare(capsys, "a.json", "b.json", *words.split())
    records = list(csv.DictReader(io.StringIO(out)))
    assert {record["table"] for record in records} == {"models", "differences", "groups"}
    accuracy = next(r for r in records if r["table"] == "models" and r["model"] == "a")
    assert float(accuracy["value"]) == entry("a").is_right.mean()
    needed = next(r for r in records if r["needed"])
    assert (needed["far"], needed["needed"], needed["value"]) == ("0.001", "1000", "")
    gain = next(r for r in records if r["table"] == "differences")
    assert (gain["model"], gain["reference"], gain["measure"]) == ("a", "b|2", "accuracy")
    assert float(gain["low"]) < float(gain["value"]) < float(gain["high"]) < 0
    assert {r["group"] for r in records} >= {"age: (none)", "age: old", "age: young"}


def test_groups_tell_what_they_lack(folder, capsys):
    out = compare(capsys, "a.scores.npz", "--group", "age", "--far", "0.1")
    assert "* lfw, column age: 132 pairs have no value, they are the group (none)" in out
    assert "* lfw, column age: group odd_one has no impostor pair" in out


def test_latex_is_escaped(folder, capsys):
    out = compare(capsys, "a_b%=a.json", "b.json", "--format", "latex")
    assert r"lfw & a\_b\% & " in out and r"cfp\_fp" in out
    assert out.count(r"\begin{tabular}") == out.count(r"\end{tabular}") == 2
    bar = compare(capsys, "a.json", "b.json")
    assert r"b\|2" in bar


def test_a_file_is_written(folder, capsys):
    assert compare(capsys, "a.json", "b.json", "--output", "out.md") == ""
    assert (folder / "out.md").read_text() == compare(capsys, "a.json", "b.json")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.json", "a.json"], "a on lfw stands in .* give each model a name of its own"),
        (["x=a.json", "x=b.json"], "x on lfw stands in"),
        (["a.json", "b.json", "--reference", "c"], r"--reference c: known are a, b\|2"),
        (["a.json", "--far", "0.1,2"], "--far 0.1,2: fractions above 0 and below 1"),
        (["a.json", "--far", "x"], "--far x: 'x' is no number"),
        (["a.json", "--group", "sex"], "--group sex: .*a.scores.npz has no such column"),
        (["b.json", "--group", "age", "--far", "1e-5"], "support none of --far 1e-05; ask for"),
        (["c.json"], "no scores .*c.scores.npz, beside c.json; arcface-verify --json"),
        (["a.json", "b.json", "--output", "a.json"], "a.json: is what is read, and would be lost"),
        (["a.json", "--output", "a.scores.npz"], "a.scores.npz: is what is read"),
        (["a.json", "--replicates", "5"], "--replicates 5: at least 100 draws"),
    ],
)
def test_mistakes_end_in_one_line(folder, capsys, words, message):
    assert main(words) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert len(err) == 1
    assert re.search(message, err[0])


def test_other_pairs_are_refused(folder, capsys):
    write_scored_pairs("c.scores.npz", [entry("c", pack_sha256="9")])
    assert main(["a.json", "c.json"]) == 2
    assert "are of different pair sets: 2 and 9; verify both on the same" in capsys.readouterr().err


def test_damaged_files_are_refused(folder, capsys):
    data = (folder / "a.scores.npz").read_bytes()
    (folder / "cut.scores.npz").write_bytes(data[: len(data) // 2])
    np.savez("pickled.scores.npz", facts=np.array([{}], dtype=object))
    np.savez("wrong.scores.npz", facts=np.array("[{}]"))
    (folder / "text.scores.npz").write_text("no")
    short = entry("a")
    write_scored_pairs("short.scores.npz", [short])
    arrays = dict(np.load("short.scores.npz"))
    np.savez("short.scores.npz", **arrays | {"0.is_right": arrays["0.is_right"][:5]})
    for name in ("cut", "pickled", "wrong", "text", "short"):
        assert main([f"{name}.scores.npz"]) == 2
        assert f"{name}.scores.npz: not a file of scores" in capsys.readouterr().err


def test_accuracies_over_other_numbers_of_folds_are_refused(folder, capsys):
    write_scored_pairs("a.scores.npz", [entry("a", folds="10")])
    write_scored_pairs("b.scores.npz", [entry("b", folds="5")])
    write_scored_pairs("old.scores.npz", [entry("old")])
    assert main(["a.json", "b.json"]) == 2
    assert "accuracies over 5 and 10 folds; verify both with the same --nfolds" in (
        capsys.readouterr().err
    )
    assert main(["a.json", "old.json"]) == 0
