"""Ready scores: read, ordered, evaluated in their own unit, refused where they do not fit."""

from arcface_mxnet.eval.score_files import (
    evaluate_scores,
    parse_score_file,
    read_scores,
)
import numpy as np
import pytest

FLAGS = np.array([True, False] * 4)
SCORES = np.array([0.9, 0.1, 0.8, 0.2, 0.7, 0.75, 0.6, 0.3])


def score_file(tmp_path, text, name="s.txt", order="higher"):
    (tmp_path / name).write_text(text)
    return parse_score_file(str(tmp_path / name), order)


@pytest.mark.parametrize(
    "line", ["{s}", "a.png b.png {s}", "a.png,b.png,{s}", "a\tb\t{s}", "{n}\t{s}"]
)
@pytest.mark.parametrize("head", ["", "left right score\n", "score\n"])
def test_the_last_field_is_the_score(tmp_path, line, head):
    lines = [line.format(s=score, n=number) for number, score in enumerate(SCORES)]
    one = score_file(tmp_path, head + "\n".join(lines) + "\n")
    np.testing.assert_array_equal(read_scores(one, "lfw", 8), SCORES)


def test_an_array_of_scores(tmp_path):
    np.save(tmp_path / "s.npy", SCORES)
    one = parse_score_file(f"v={tmp_path}/s.npy@lower", None)
    assert (one.name, one.order) == ("v", "lower")
    np.testing.assert_array_equal(read_scores(one, "lfw", 8), -SCORES)
    np.save(tmp_path / "s.npy", np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="score 1 is nan; all must be finite"):
        read_scores(one, "lfw", 2)


def test_the_order_is_declared():
    with pytest.raises(
        ValueError, match=r"are higher or lower scores nearer\?  Give --score-order"
    ):
        parse_score_file("s.txt", None)
    assert parse_score_file("s.txt@lower", "higher").order == "lower"
    assert parse_score_file("s@home.txt", "higher").path == "s@home.txt"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.1\n0.2\n", "2 scores for 3 pairs of lfw"),
        ("0.1\n0.2\n0.3\n0.4\n", "4 scores for 3 pairs of lfw"),
        ("0.1\nx\n0.3\n", "1 bad lines:\n  line 2: 'x' is no number"),
        ("0.1\nnan\ninf\n", "2 bad lines:\n  line 2: 'nan' is no number\n  line 3: 'inf'"),
        ("nan\n0.1\n0.2\n", "line 1: 'nan' is no number"),
        ("", "0 scores for 3 pairs"),
        ("0,1\n0,2\n0,3\n", "'0,3'; if that is a number with a decimal comma"),
        ("0,1\n1\n0,3\n", "2 of 3 lines end in digits, a comma and digits, such as '0,3'"),
        ("a;b;0,1\na;b;0,2\na;b;0,3\n", "decimal comma"),
        ("l r s\na b 0,1\na b 0,2\na b 0,3\n", "decimal comma"),
    ],
)
def test_scores_that_do_not_fit(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_scores(score_file(tmp_path, text), "lfw", 3)


@pytest.mark.parametrize("line", ["1,{s}", "{n}, {s}", "a,b,{s}", "{n}\t{s}"])
def test_whole_numbers_are_scores_too(tmp_path, line):
    wanted = [5, 17, 3]
    lines = [line.format(s=score, n=number) for number, score in enumerate(wanted)]
    lines[1] += ".0"
    one = score_file(tmp_path, "\n".join(lines))
    np.testing.assert_array_equal(read_scores(one, "lfw", 3), wanted)


def test_pairs_that_are_named_are_those_of_the_list(tmp_path):
    paths = ["a", "b", "c", "d"]
    good = score_file(tmp_path, "a b 0.5\nc d 0.7\n")
    assert read_scores(good, "lfw", 2, paths).tolist() == [0.5, 0.7]
    wrong = score_file(tmp_path, "a b 0.5\na d 0.7\n")
    with pytest.raises(ValueError, match="line 2: is of 'a' and 'd'; pair 1 is 'c' and 'd'"):
        read_scores(wrong, "lfw", 2, paths)


def by_hand(similarities, flags, folds):
    """k folds with every threshold between two scores, by loops; the highest best is taken."""
    parts = np.array_split(np.arange(len(flags)), folds)
    accuracies = []
    for test in parts:
        train = np.setdiff1d(np.arange(len(flags)), test)
        every = np.unique(similarities)[::-1]
        candidates = [every[0] + 1, *((every[1:] + every[:-1]) / 2), every[-1] - 1]
        right = [np.sum((similarities[train] > t) == flags[train]) for t in candidates]
        best = candidates[int(np.argmax(right))]
        accuracies.append(np.mean((similarities[test] > best) == flags[test]))
    return np.mean(accuracies)


@pytest.mark.parametrize("unit", [1.0, 1000.0, 1e-3])
def test_accuracy_does_not_depend_on_the_unit(unit):
    rng = np.random.default_rng(3)
    flags = np.arange(60) % 2 == 0
    similarities = (flags + rng.normal(0, 0.6, 60)) * unit
    found = evaluate_scores("x", similarities, flags, folds=5)
    assert found.published.accuracy == pytest.approx(by_hand(similarities, flags, 5))
    same = evaluate_scores("x", similarities / unit, flags, folds=5)
    assert (found.auc, found.eer) == (same.auc, same.eer)
    assert found.published.threshold == pytest.approx(unit * same.published.threshold)
    assert similarities.min() < found.published.threshold < similarities.max()
    assert found.xnorm is None


@pytest.mark.parametrize("unit", [1e-25, 1e300])
def test_the_smallest_and_the_largest_scores_are_told_apart(unit):
    flags = np.arange(40) % 2 == 0
    similarities = np.where(flags, 3.0, 1.0) + np.arange(40) / 40
    wanted = evaluate_scores("lfw", similarities, flags)
    found = evaluate_scores("lfw", similarities * unit, flags)
    assert found.published.accuracy == wanted.published.accuracy > 0.9
    np.testing.assert_allclose(found.published.threshold, wanted.published.threshold * unit)
    np.testing.assert_array_equal(found.is_right, wanted.is_right)


def test_scores_next_to_each_other_are_told_apart():
    flags = np.arange(20) % 2 == 0
    low = 0.7
    found = evaluate_scores("lfw", np.where(flags, np.nextafter(low, 1), low), flags)
    assert found.published.accuracy == 1 and found.is_right.all()


def test_figures_by_hand():
    found = evaluate_scores("x", SCORES, FLAGS, folds=1)
    assert found.published.accuracy == 7 / 8
    assert found.auc == 14 / 16  # two genuine scores lie below one impostor score
    assert found.published.threshold == pytest.approx((0.3 + 0.6) / 2)
