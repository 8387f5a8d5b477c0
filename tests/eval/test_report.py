"""The report: one page without outside references, the same figures as JSON, safe names."""

from dataclasses import replace
import json
import re

from arcface_mxnet.eval.bad_cases import wrong_pairs
from arcface_mxnet.eval.evaluation import evaluate
from arcface_mxnet.eval.failures import Failures
from arcface_mxnet.eval.pair_embeddings import PairEmbeddings
from arcface_mxnet.eval.pair_sets import PairSet
from arcface_mxnet.eval.report import Entry, write_json, write_report
import cv2
import numpy as np
import pytest

EMBEDDING = {"model": "1" * 64, "engine": "onnxruntime", "dtype": "float32", "flip": "sum"}
HOSTILE_NAME = "<script>alert(1)</script>,1"


def noisy(noise, num_pairs=120, dimension=24):
    rng = np.random.default_rng(0)
    flags = np.arange(num_pairs) % 2 == 0
    left = rng.normal(size=(num_pairs, dimension))
    right = np.where(flags[:, None], left, rng.normal(size=left.shape))
    both = np.stack([left, right], axis=1).reshape(2 * num_pairs, dimension)
    plain, flipped = (both + rng.normal(scale=noise, size=both.shape) for _ in range(2))
    return PairEmbeddings(plain.astype(np.float32), flipped.astype(np.float32), flags)


@pytest.fixture
def entries():
    rng = np.random.default_rng(0)
    images = [
        cv2.imencode(".jpg", rng.integers(0, 256, (20, 20, 3), dtype=np.uint8))[1].tobytes()
        for _ in range(240)
    ]
    paths = [f"<b>/{number}&.jpg" for number in range(240)]
    result = []
    for name, noise in (("a,1", 0.5), (HOSTILE_NAME, 2.0)):
        embeddings = noisy(noise)
        pair_set = PairSet(images, embeddings.is_genuine, paths=paths)
        evaluation = evaluate("lfw", embeddings)
        result.append(Entry(name, EMBEDDING, "2" * 64, pair_set, evaluation))
    return result


def test_the_page_is_whole_and_refers_to_nothing_outside(entries, tmp_path, read_page):
    write_report(tmp_path / "out.html", entries)
    page = read_page(tmp_path / "out.html")  # whole, labelled, without ids that stand twice
    assert page.tags.count("svg") == 5  # ROC, DET, accuracy and two histograms


def test_names_are_text_and_never_markup(entries, tmp_path, read_page):
    entries[1] = replace(entries[1], alias=HOSTILE_NAME)
    write_report(tmp_path / "out.html", entries)
    page = read_page(tmp_path / "out.html")
    assert "script" not in page.tags
    assert page.text.count(HOSTILE_NAME) >= 6  # in tables, legend, labels, mistakes, fingerprints
    assert re.search(r"[<≥] −?\d\.\d{3} \d+& \d+&", page.text)
    assert "<b>/" not in page.source


def test_the_page_says_the_figures(entries, tmp_path, read_page):
    write_report(tmp_path / "out.html", entries)
    page = read_page(tmp_path / "out.html")
    for entry in entries:
        assert f"{100 * entry.evaluation.published.accuracy:.2f}" in page.text
        accepts, rejects = wrong_pairs(entry.evaluation)
        assert f"False accepts: {len(accepts)}" in page.text
        assert f"False rejects: {len(rejects)}" in page.text
        wrong = round(120 * (1 - entry.evaluation.published.accuracy))
        assert len(accepts) + len(rejects) == wrong
    assert page.tags.count("img") == sum(
        min(len(pairs), 12) for entry in entries for pairs in wrong_pairs(entry.evaluation)
    )
    assert "needs 100 impostor pairs, there are 60" in page.text
    assert "1" * 64 in page.text
    assert "2" * 64 in page.text


def test_json_has_the_same_figures(entries, tmp_path):
    write_json(tmp_path / "out.json", entries)
    first, second = json.loads((tmp_path / "out.json").read_text())
    assert second["model"] == HOSTILE_NAME
    assert first["evaluations"]["FlipL2"]["accuracy"] == entries[0].evaluation.published.accuracy
    assert len(first["evaluations"]["FlipL2"]["folds"]) == 10
    assert first["tar_at_far"][0]["tar"] == entries[0].evaluation.rates[0].point.tar
    assert first["tar_at_far"][-1] == {"far": 1e-6, "impostors_needed": 1_000_000}


def test_worst_mistakes_come_first(entries):
    evaluation = entries[1].evaluation
    accepts, rejects = wrong_pairs(evaluation)
    assert not evaluation.is_genuine[accepts].any()
    assert evaluation.is_genuine[rejects].all()
    assert (np.diff(evaluation.cosines[accepts]) <= 0).all()
    assert (np.diff(evaluation.cosines[rejects]) >= 0).all()


def test_every_mistake_is_one_and_says_names_score_and_threshold(entries, tmp_path, read_page):
    write_report(tmp_path / "out.html", entries[1:])
    page = read_page(tmp_path / "out.html")
    shown = re.findall(r"cosine (−?[\d.]+) ([<≥]) (−?[\d.]+) (\d+)& (\d+)& pair (\d+)", page.text)
    evaluation = entries[1].evaluation
    accepts, rejects = wrong_pairs(evaluation)
    assert len(shown) == min(12, len(accepts)) + min(12, len(rejects)) > 4
    for cosine, sign, threshold, left, right, pair in shown:
        score, limit = (float(words.replace("−", "-")) for words in (cosine, threshold))
        assert score == pytest.approx(evaluation.cosines[int(pair)], abs=6e-4)
        assert (sign == "≥") == (not evaluation.is_genuine[int(pair)])
        assert score >= limit if sign == "≥" else score <= limit
        assert [int(left), int(right)] == [2 * int(pair), 2 * int(pair) + 1]


def test_the_best_model_stands_first_and_is_bold(entries, tmp_path, read_page):
    write_report(tmp_path / "out.html", entries)
    page = read_page(tmp_path / "out.html")
    best = 100 * entries[0].evaluation.published.accuracy
    assert best > 100 * entries[1].evaluation.published.accuracy
    assert f"On lfw, a is the best of 2: accuracy {best:.2f} %, 95 % interval" in page.text
    assert f'<td class="best">{best:.2f} ± ' in page.source
    write_report(tmp_path / "out.html", [entries[0], replace(entries[0], model="b,1")])
    page = read_page(tmp_path / "out.html")
    assert "On lfw, a and b are equally good, and the best of 2" in page.text
    assert 'class="best"' not in page.source


def test_models_go_by_what_tells_them_apart(entries, tmp_path, read_page):
    paths = ["runs/r50/softmax,3", "runs/r100/softmax,3"]
    some = [replace(one, model=path) for one, path in zip(entries, paths, strict=True)]
    write_report(tmp_path / "out.html", some)
    page = read_page(tmp_path / "out.html")
    assert page.text.count("r100") > 5 and page.text.count(paths[1]) == 1
    with pytest.raises(ValueError, match="'a,1' is given twice"):
        write_report(tmp_path / "out.html", [entries[0], entries[0]])


def test_scores_in_their_own_unit_have_their_own_axis(entries, tmp_path, read_page):
    """As another system gives them: distances, negated, and no embedding."""
    evaluation = entries[0].evaluation
    scaled = evaluation.cosines * 1000 - 2000
    published = evaluation.published
    folds = [replace(one, threshold=one.threshold * 1000 - 2000) for one in published.per_fold]
    result = replace(published, threshold=-1700.0, per_fold=tuple(folds))
    theirs = replace(evaluation, protocol={"Scores": result}, xnorm=None, cosines=scaled)
    facts = EMBEDDING | {"dtype": "lower is nearer"}
    given = replace(entries[0], model="vendor.txt", embedding=facts, evaluation=theirs)
    write_report(tmp_path / "out.html", [entries[0], given])
    page = read_page(tmp_path / "out.html")
    assert "≤ 1700" in page.text and "FlipL2 or Scores" in page.text
    assert page.tags.count("svg") == 5 and "−score" in page.text
    mistakes = re.findall(r"score ([\d.]+) ([≤>]) ([\d.]+)", page.text)
    assert mistakes  # each beyond its threshold: a wrong one is on the wrong side
    assert all((float(a) <= float(b)) == (sign == "≤") for a, sign, b in mistakes)


def test_the_best_model_is_set_beside_the_others_pair_by_pair(entries, tmp_path, read_page):
    best, other = (entry.evaluation.is_right for entry in entries)
    names = [f"person {number % 100}" for number in range(240)]
    some = [replace(one, pair_set=replace(one.pair_set, identities=names)) for one in entries]
    write_report(tmp_path / "out.html", some)
    page = read_page(tmp_path / "out.html")
    gain = 100 * (best.mean() - other.mean())
    cells = f"<td>{(best & ~other).sum()}</td><td>{(other & ~best).sum()}</td><td>&lt; 0.001</td>"
    assert re.search(
        rf"<td>\+{gain:.2f} <small>\+[\d.]+ to \+[\d.]+</small></td>{cells}", page.source
    )
    assert "when people are drawn again" in page.text
    low, high = map(float, re.search(r"<small>\+([\d.]+) to \+([\d.]+)<", page.source).groups())
    assert low < gain < high
    first = page.source
    write_report(tmp_path / "out.html", some)
    assert (tmp_path / "out.html").read_text() == first  # drawn alike every time
    write_report(tmp_path / "out.html", entries)  # nobody is known by name
    assert "when pairs are drawn again" in read_page(tmp_path / "out.html").text
    write_report(tmp_path / "out.html", some[:1])
    assert "pair by pair" not in read_page(tmp_path / "out.html").text


@pytest.mark.parametrize("mode", ["skip", "count"])
def test_faces_that_were_not_found(entries, tmp_path, read_page, mode):
    embeddings = noisy(0.5)
    flags = embeddings.is_genuine
    left, right = (np.arange(120) == 0, np.isin(np.arange(120), [1, 2, 4]))
    failures = Failures(mode, left, right, flags)
    evaluation = evaluate("lfw", embeddings, failures=failures, folds=5)
    compared = entries[0].pair_set if mode == "count" else entries[0].pair_set.part(~left & ~right)
    one = replace(entries[0], evaluation=evaluation, pair_set=compared)
    write_report(tmp_path / "out.html", [one])
    page = read_page(tmp_path / "out.html")
    done = {"skip": "left out of the rates", "count": "rejected in the rates"}[mode]
    told = f"Failure to enrol 0.83 %, to acquire 2.50 %: 4 of 120 pairs lack a face and are {done}"
    assert told in page.text
    rates = evaluation.error_rates[-1]
    for rate in (rates.fmr, rates.fnmr, rates.far, rates.frr, rates.gfar, rates.gfrr):
        assert f"<td>{100 * rate:.2f}</td>" in page.source
    counted = 3 if mode == "count" else 0  # genuine pairs: 0, 2 and 4
    assert page.text.count("not compared: no face was found") == counted
    scores = page.source.split("Scores</h3>")[1].split("Threshold card")[0]
    assert "−0.2" in scores and not re.search(r"−[1-9]", scores)


def test_without_a_pair_set_the_names_are_those_given(entries, tmp_path, read_page):
    names = [(f"p{pair}/0", f"q{pair}/1") for pair in range(120)]
    one = replace(entries[1], pair_set=None, pair_names=names)
    write_report(tmp_path / "out.html", [one])
    page = read_page(tmp_path / "out.html")
    assert "img" not in page.tags
    assert re.search(r"p(\d+)/0 q\1/1 pair \1", page.text)
