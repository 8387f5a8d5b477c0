"""A report of twelve models: small, every name told, every curve in steps, no two alike."""

import re

from arcface_mxnet.eval.evaluation import evaluate
from arcface_mxnet.eval.pair_embeddings import PairEmbeddings
from arcface_mxnet.eval.pair_sets import PairSet
from arcface_mxnet.eval.report import Entry, write_report
from arcface_mxnet.eval.report_figures import accuracy_steps, roc_steps
from arcface_mxnet.eval.report_mistakes import pictures_of_each
from arcface_mxnet.eval.scores import roc, tar_at_far
import cv2
import numpy as np
import pytest

PAIRS = 6000
LARGEST = 3_000_000  # bytes of a report of twelve models
FACTS = {"model": "1" * 64, "engine": "onnxruntime", "dtype": "float32", "flip": "sum"}


@pytest.fixture(scope="module")
def pair_set():
    """Crops as noisy as photographs are: JPEGs of about the size of LFW's."""
    rng = np.random.default_rng(0)
    crops = []
    for _ in range(40):
        coarse = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
        crop = cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC)
        crops.append(cv2.imencode(".jpg", crop)[1].tobytes())
    paths = [f"Somebody_With_A_Name_{number:05d}.jpg" for number in range(2 * PAIRS)]
    flags = np.arange(PAIRS) // 300 % 2 == 0
    return PairSet([crops[n % 40] for n in range(2 * PAIRS)], flags, paths=paths)


@pytest.fixture(scope="module")
def entries(pair_set):
    rng = np.random.default_rng(1)
    flags = pair_set.is_genuine
    left = rng.normal(size=(PAIRS, 32))
    right = np.where(flags[:, None], left, rng.normal(size=left.shape))
    both = np.stack([left, right], axis=1).reshape(2 * PAIRS, 32)
    made = []
    for number in range(12):
        noise = rng.normal(scale=0.8 + 0.04 * number, size=both.shape)
        vectors = (both + noise).astype(np.float32)
        evaluation = evaluate("lfw", PairEmbeddings(vectors, vectors, flags))
        name = f"models/r{number}-ms1m-arcface/model,1"
        made.append(Entry(name, FACTS, "2" * 64, pair_set, evaluation))
    return made


def test_twelve_models_stay_below_three_megabytes(entries, tmp_path, read_page):
    write_report(tmp_path / "out.html", entries)
    assert 200_000 < (tmp_path / "out.html").stat().st_size < LARGEST
    page = read_page(tmp_path / "out.html")
    assert page.tags.count("svg") == 3 + 12
    for number in range(12):
        assert page.text.count(f"r{number}-ms1m-arcface") >= 6
    curves = re.findall(r'<path d="([^"]*)" class="curve (s\d)"( stroke-dasharray="[^"]*")?',
                        page.source)  # fmt: skip
    assert len(curves) == 3 * 12
    assert len({(colour, dashes) for _, colour, dashes in curves}) == 12
    for path, *_ in curves:
        assert re.fullmatch(r"M[\d.]+ [\d.]+([hv]-?[\d.]+)+", path)  # steps: nothing slopes
    assert 'class="label s' not in page.source.split("Scores</h3>")[0]  # many: a legend
    assert page.source.count('<ul class="legend">') == 1


@pytest.mark.parametrize("count, labels", [(1, 0), (3, 6), (5, 10), (6, 0)])
def test_few_curves_have_their_names_beside_them(entries, tmp_path, read_page, count, labels):
    write_report(tmp_path / "out.html", entries[:count])
    page = read_page(tmp_path / "out.html")
    figures = page.source.split("Scores</h3>")[0]
    assert figures.count('class="label s') == labels  # of ROC and DET
    places = [float(y) for y in re.findall(r'y="([\d.]+)" text-anchor="end" class="label', figures)]
    for of_figure in (places[: labels // 2], places[labels // 2 :]):
        assert (np.diff(sorted(of_figure)) >= 13.9).all()
    assert ('<ul class="legend">' in page.source) == (count > 1)
    assert figures.count('class="band') == (2 * count if count <= 3 else 0)


def test_the_more_models_the_fewer_pictures():
    assert [pictures_of_each(count) for count in (1, 3, 12, 48)] == [12, 12, 6, 2]


def test_the_roc_is_the_largest_tar_at_every_far(entries):
    evaluation = entries[5].evaluation
    genuine = evaluation.cosines[evaluation.is_genuine]
    impostor = evaluation.cosines[~evaluation.is_genuine]
    steps = roc_steps(genuine, impostor)
    assert steps.far[0] == 1 / 3000 and steps.tar[-1] == 1
    assert (np.diff(steps.far) > 0).all() and (np.diff(steps.tar) >= 0).all()
    for far in (1 / 3000, 0.001, 0.0123, 0.1, 0.5, 1):
        there = np.searchsorted(steps.far, far * (1 + 1e-9), side="right") - 1
        assert steps.tar[there] == pytest.approx(tar_at_far(genuine, impostor, far).tar, abs=1e-12)


@pytest.mark.parametrize(
    "genuine, impostor, far, tar",
    [
        ([0.9, 0.8], [0.1, 0.2], [0.5], [1.0]),
        ([0.5, 0.3], [0.9, 0.4], [0.5, 1.0], [0.5, 1.0]),
        ([0.5], [0.5, 0.5], [0.5, 1.0], [0.0, 1.0]),  # a tie: accepted together
    ],
)
def test_steps_by_hand(genuine, impostor, far, tar):
    steps = roc_steps(np.array(genuine), np.array(impostor))
    assert steps.far.tolist() == far and steps.tar.tolist() == tar


def test_the_fewest_and_the_flattest_scores_can_be_drawn(tmp_path, read_page):
    """Two pairs, all vectors alike: one score, one impostor, names that are no UTF-8."""
    vectors = np.ones((4, 2), np.float32)
    crop = cv2.imencode(".jpg", np.zeros((9, 9, 3), np.uint8))[1].tobytes()
    few = PairSet([crop] * 4, np.array([True, False]), paths=["a\udcff.jpg"] * 4)
    evaluation = evaluate("few", PairEmbeddings(vectors, vectors, few.is_genuine), folds=1)
    write_report(tmp_path / "out.html", [Entry("m,1", FACTS, "2" * 64, few, evaluation)])
    page = read_page(tmp_path / "out.html")
    assert page.tags.count("svg") == 4 and "nan" not in page.source
    assert "10⁻¹ needs 10 impostor pairs, there are 1" in page.text


def test_the_accuracy_between_scores_is_that_of_every_threshold(entries):
    evaluation = entries[3].evaluation
    thresholds, accuracy = accuracy_steps(evaluation, -1.0)
    curve = roc(
        evaluation.cosines[evaluation.is_genuine], evaluation.cosines[~evaluation.is_genuine]
    )
    assert accuracy[0] == 0.5 and accuracy[-1] == 0.5  # all accepted, all refused
    # Just above a score is where the next higher one is accepted.
    expected = (curve.tar + 1 - curve.far) / 2
    assert accuracy == pytest.approx(expected[::-1], abs=1e-12)
    assert (np.diff(thresholds) > 0).all()
