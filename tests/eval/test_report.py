"""The report: one page without outside references, the same figures as JSON, safe names."""

from html.parser import HTMLParser
import json
import re

from arcface_mxnet.eval import report_figures
from arcface_mxnet.eval.bad_cases import wrong_pairs
from arcface_mxnet.eval.evaluation import evaluate
from arcface_mxnet.eval.pair_embeddings import PairEmbeddings
from arcface_mxnet.eval.pair_sets import PairSet
from arcface_mxnet.eval.report import Entry, write_json, write_report
import cv2
import numpy as np
import pytest

EMBEDDING = {"model": "1" * 64, "engine": "onnxruntime", "dtype": "float32", "flip": "sum"}
HOSTILE_NAME = "<script>alert(1)</script>,1"


class Page(HTMLParser):
    """Collects tags, what they refer to, and the text."""

    VOID = {"meta", "img", "br"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.open, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [v for k, v in attributes if k in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


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


def test_the_page_is_whole_and_refers_to_nothing_outside(entries, tmp_path):
    write_report(tmp_path / "out.html", entries)
    text = (tmp_path / "out.html").read_text()
    page = Page(text)
    assert page.open == []
    assert page.tags.count("svg") == 5  # ROC, DET, accuracy and two histograms
    assert all(link.startswith(("#", "data:image/jpeg;base64,")) for link in page.links)
    assert not re.search(r"url\((?!#)|@import", text)


def test_names_are_text_and_never_markup(entries, tmp_path):
    write_report(tmp_path / "out.html", entries)
    text = (tmp_path / "out.html").read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert HOSTILE_NAME in page.text
    assert re.search(r"pair \d+\d+&", page.text)
    assert "<b>/" not in text


def test_the_page_says_the_figures(entries, tmp_path):
    write_report(tmp_path / "out.html", entries)
    page = Page((tmp_path / "out.html").read_text())
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


def test_curves_are_told_apart_by_a_legend(entries):
    named = [(entry.model, entry.evaluation) for entry in entries]
    for figure in (report_figures.roc_figure, report_figures.det_figure):
        assert 'id="legend_1"' in figure(named)
