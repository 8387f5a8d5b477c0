"""The quickstart's scores are cosines, and its sentences say what the intervals allow."""

from arcface_mxnet.embedder import ImageEmbedder
from arcface_mxnet.eval.comparison import Estimate
from arcface_mxnet.eval.pair_sets import PairSet
from arcface_mxnet.eval.scored_pairs import ScoredPairs
import cv2
from marked import markdown, rewrite
import numpy as np
import pytest
from quickstart_figures import claim, embedding_cosines, figures, pixel_cosines
from quickstart_page import Run, curves_part, sentence
from run_recipes import Measured, gain_cell


class Colours(ImageEmbedder):
    """Embeds an image as its mean colour, whatever its length."""

    def forward(self, batch):
        return batch.mean(axis=(2, 3))


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (8, 6, 3), dtype=np.uint8) // (1 + i) for i in range(8)]
    encoded = [cv2.imencode(".png", image)[1].tobytes() for image in images]
    return PairSet(encoded, np.array([True, False, True, False])), images


def cosine(left, right):
    return left @ right / np.linalg.norm(left) / np.linalg.norm(right)


def test_scores_are_cosines_of_vectors_of_any_length(pairs):
    pair_set, images = pairs
    grey = [image.mean(axis=2).ravel() for image in images]
    expected = [cosine(*grey[i : i + 2]) for i in range(0, 8, 2)]
    assert pixel_cosines(pair_set) == pytest.approx(expected, abs=1e-5)
    means = [image[:, :, ::-1].mean(axis=(0, 1)) for image in images]
    expected = [cosine(*means[i : i + 2]) for i in range(0, 8, 2)]
    embedder = Colours(batch_size=4, flip=True, normalize=False)
    assert embedding_cosines(embedder, pair_set) == pytest.approx(expected, abs=1e-5)


def scored(right):
    """Return scores of 8 people, two genuine pairs each, with 112 impostor pairs, all rejected.

    right: whether the genuine pairs of each person are found.
    """
    people = [(one, one) for one in range(8) for _ in range(2)]
    people += [(one, two) for one in range(8) for two in range(8) if one != two] * 2
    left, other = np.array(people).T
    flags = left == other
    is_right = ~flags | np.array(right)[left]
    cosines = np.where(flags, np.where(is_right, 0.9, 0.1), 0.3) - np.arange(128) / 1e4
    facts = {"pack_sha256": "a", "failures": "crop", "target": "t", "model": "m"}
    return ScoredPairs(facts, cosines, flags, is_right, left.astype(str), other.astype(str))


def test_sentences_say_what_the_interval_allows():
    all_found, none = scored([True] * 8), scored([False] * 8)
    most = scored([False] + [True] * 7)
    better = claim(all_found, none)
    assert better.accuracy.value == 16 / 128 and better.verdict == "better"
    assert claim(none, all_found).verdict == "worse"
    assert claim(all_found, most).verdict == "undecided"  # one person, whom a draw may miss
    assert "+12.5" in sentence("taught", better) and "0]" in sentence("same", claim(most, most))
    one = figures(most)
    assert one.accuracy.value == 126 / 128 and one.accuracy.low < 126 / 128 <= one.accuracy.high
    assert one.tar.value == 14 / 16
    assert claim(all_found, most).auc.value == pytest.approx(figures(all_found).auc - one.auc)


def test_curves_are_drawn_with_where_they_begin_and_end():
    run = Run("y1", {"loss": ([10, 20], [3.0, 1.0])}, {"clean": ([0, 20], [0.5, 0.75])})
    drawn = curves_part([run])
    assert drawn.count("<svg") == 2 and "from 3.000 to 1.000" in drawn
    assert "from 0.500 to 0.750" in drawn


def test_the_part_between_marks_is_rewritten(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- t: command -->\nold\n<!-- end of t -->\nb\n")
    for _ in range(2):
        rewrite(page, "t", markdown(("x", "y"), [("1", "2")]))
    assert page.read_text() == (
        "a\n<!-- t: command -->\n| x | y |\n| --- | --: |\n| 1 | 2 |\n<!-- end of t -->\nb\n"
    )
    with pytest.raises(ValueError, match=r"0 parts between <!-- u: \.\.\. -->"):
        rewrite(page, "u", "")


def test_a_gain_over_the_first_stage_is_told_with_its_interval():
    facts = Measured(2, 1.0, gain=Estimate(0.012, -0.03, 0.05)).facts()
    assert gain_cell(facts, 2) == "+1.2 [-3.0, +5.0]"
    assert gain_cell(facts, 1) == ""
