"""Templates: the published aggregation in plain loops, pairs and open-set search by hand."""

from arcface_mxnet.eval.templates import (
    TemplateOptions,
    TemplateSums,
    mean_result,
    pair_cosines,
    rows_of,
    search,
)
import numpy as np
import pytest


def some_images(count=400, dimension=6):
    rng = np.random.default_rng(0)
    plain, flipped = rng.normal(size=(2, count, dimension)).astype(np.float32)
    templates = rng.integers(10, 40, count)
    media = rng.integers(0, 3, count) + 1000 * (templates % 7)
    return plain, flipped, templates, media, rng.random(count).astype(np.float32)


def plain_loop(plain, flipped, templates, media, scores, options):
    """The aggregation as it is told, template by template."""
    features = plain + flipped if options.flip else plain
    rows = []
    for template in np.unique(templates):
        total = 0
        for medium in np.unique(media[templates == template]):
            of_medium = []
            for image in np.flatnonzero((templates == template) & (media == medium)):
                feature = features[image]
                if options.norm == "unit":
                    feature = feature / np.linalg.norm(feature)
                if options.detector_score:
                    feature = feature * scores[image]
                of_medium.append(feature)
            total = total + np.mean(of_medium, axis=0)
        rows.append(total / np.linalg.norm(total))
    return np.unique(templates), np.array(rows)


@pytest.mark.parametrize("norm", ["keep", "unit"])
@pytest.mark.parametrize("detector_score", [True, False])
@pytest.mark.parametrize("flip", [True, False])
def test_the_plain_loop_gives_the_same_whatever_the_blocks(norm, detector_score, flip):
    options = TemplateOptions(norm, detector_score, flip)
    images = some_images()
    expected = plain_loop(*images, options)
    plain, flipped, templates, media, scores = images
    for block in (1, 37, 400):
        sums = TemplateSums(templates, media, scores, options)
        for start in range(0, 400, block):
            sums.add(start, plain[start : start + block], flipped[start : start + block])
        ids, features = sums.templates()
        np.testing.assert_array_equal(ids, expected[0])
        np.testing.assert_allclose(features, expected[1], atol=1e-5)


def test_the_switches_matter_and_have_words():
    images = some_images()
    results = []
    for options in (
        TemplateOptions(),
        TemplateOptions("unit"),
        TemplateOptions("keep", False),
        TemplateOptions("keep", True, False),
    ):
        results.append(plain_loop(*images, options)[1])
    for number, one in enumerate(results):
        assert not any(np.allclose(one, other) for other in results[number + 1 :])
    assert TemplateOptions().describe() == "keep norm, detector score, flip sum"
    with pytest.raises(ValueError, match="norm '0': known are keep, unit"):
        TemplateOptions("0")


def test_pairs_of_templates():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(5, 4)).astype(np.float32)
    ids = np.array([3, 5, 8, 9, 20])
    left, right = rng.choice(ids, (2, 20_000))
    cosines = pair_cosines(features, ids, left, right)
    row = {name: number for number, name in enumerate(ids)}
    for pair in (0, 1, 8191, 8192, 19_999):
        expected = features[row[left[pair]]] @ features[row[right[pair]]]
        assert cosines[pair] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="2 templates have no images, such as 4"):
        rows_of(np.array([3, 4, 21]), ids, "template")


def unit(degrees):
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def test_search_by_hand():
    gallery, subjects = unit([0, 30, 60]), np.array([7, 5, 9])
    # 5: first.  7: second after 5.  9: third.  The strangers' nearest are 3 and 20 degrees off.
    probes = unit([31, 17, 10, 63, 80])
    result = search(
        probes, np.array([5, 7, 9, 1, 2]), gallery, subjects, ranks=(1, 2, 3), fpirs=(0.5, 0.01)
    )
    assert result.rank_rates == pytest.approx({1: 1 / 3, 2: 2 / 3, 3: 1.0})
    assert result.tpir == {0.5: pytest.approx(1 / 3), 0.01: None}
    assert (result.num_mated, result.num_unmated) == (3, 2)


def test_a_true_mate_below_the_threshold_is_not_identified():
    gallery, subjects = unit([0, 90]), np.array([1, 2])
    probes, people = unit([5, 60, 100, 110]), np.array([1, 2, 3, 4])
    # Mates at 5 and 30 degrees, both first; strangers at 10 and 20.  Half of them may pass.
    result = search(probes, people, gallery, subjects, fpirs=(0.5, 1.0))
    assert result.rank_rates[1] == 1.0
    assert result.tpir == {0.5: 0.5, 1.0: 1.0}


def test_only_probes_of_nobody_set_the_threshold_and_a_tie_is_refused():
    gallery, subjects = np.eye(2), np.array([1, 2])
    strangers, people = np.array([[1, 0.1], [0.8, 0.6]]), np.array([1, 2, 3, 4])
    # One of the two may pass, so what is nearer than 0.8 is accepted.
    for second, rate in ((0.9, 1.0), (0.8, 0.5)):
        mates = np.array([[0.95, 0], [0, second]])
        result = search(np.concatenate([mates, strangers]), people, gallery, subjects, fpirs=(0.5,))
        assert result.tpir == {0.5: rate}


def test_galleries_are_averaged():
    gallery, subjects = unit([0, 90]), np.array([1, 2])
    one = search(unit([5, 60]), np.array([1, 3]), gallery, subjects, fpirs=(1.0, 0.1))
    two = search(unit([50, 60]), np.array([1, 3]), gallery, subjects, fpirs=(1.0, 0.1))
    assert mean_result([one, two]).rank_rates[1] == 0.5
    assert mean_result([one, two]).tpir == {1.0: 0.5, 0.1: None}


def test_who_is_as_near_as_the_mate_counts():
    """A network that gives everybody one vector finds nobody."""
    same = unit([10] * 4)
    result = search(same[:2], np.array([1, 2]), same, np.array([1, 2, 3, 4]), ranks=(1, 3, 4))
    assert result.rank_rates == {1: 0, 3: 0, 4: 1}


@pytest.mark.parametrize(
    "scores, vectors, message",
    [
        ([1, 0, 1], np.ones((3, 2)), "1 templates, such as 5, have no direction"),
        ([1, 1, -1], np.ones((3, 2)), "image 2 has the detector score -1: below 0"),
        ([1, 1, 1], np.full((3, 2), 3e38), "have no direction"),
    ],
)
def test_templates_that_have_no_direction_are_refused(scores, vectors, message):
    with pytest.raises(ValueError, match=message), np.errstate(all="ignore"):
        sums = TemplateSums([3, 5, 3], [1, 2, 1], scores, TemplateOptions(flip=False))
        sums.add(0, vectors.astype(np.float32))
        sums.templates()


def test_galleries_that_make_no_sense():
    with pytest.raises(ValueError, match="two templates in the gallery"):
        search(unit([0]), np.array([1]), unit([0, 1]), np.array([1, 1]))
    with pytest.raises(ValueError, match="no probe has its subject"):
        search(unit([0]), np.array([3]), unit([0, 1]), np.array([1, 2]))
