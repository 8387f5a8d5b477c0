"""Faults planted in synthetic people are found, sound images are left alone."""

from arcface_mxnet.clean.clusters import ALONE, NOBODY, PERSON, people_of
from arcface_mxnet.clean.duplicates import earlier_duplicates, leading_directions, projections
from arcface_mxnet.clean.faces import in_order
from arcface_mxnet.clean.inputs import Reference
from arcface_mxnet.clean.people import earlier_people, groups, nearest_others
from arcface_mxnet.clean.planning import CHECKS
from arcface_mxnet.clean.spread import centre_cosines, own_cosines, sums
from arcface_mxnet.clean.stages import Stages
import numpy as np
import pytest

from tests.clean.planting import finally_of, people, planned, plant, rates, reasons


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_faults_are_found_and_sound_images_are_left(tmp_path, seed):
    vectors, truth = people(60, 12, seed=seed)
    labels, kinds = plant(truth, seed)
    faces, found = planned(tmp_path, vectors, labels)
    got = rates(faces, found, truth, kinds)
    assert min(got["flips"], got["parted"], got["joined"]) >= 0.95 and got["false"] <= 0.01, got


def test_sound_people_are_left_as_they_are(tmp_path):
    vectors, truth = people(40, 6)
    faces, found = planned(tmp_path, vectors, truth)
    assert not (reasons(faces, found) != "").any()


def test_duplicates_of_one_identity_and_of_two(tmp_path):
    vectors, truth = people(30, 8)
    vectors = np.concatenate([vectors, vectors[[0, 8, 16]] * 1.5])  # of people 0, 1 and 2
    labels = np.append(truth, [0, 1, 9])
    faces, found = planned(tmp_path, vectors, labels, checks=("duplicates",))
    reason = reasons(faces, found)
    assert reason[[240, 241]].tolist() == ["duplicate"] * 2
    assert reason[242] == "duplicate-between" and reason[16] == ""  # the one that fits stays
    assert (reason != "").sum() == 3
    place = np.flatnonzero(faces.keys == 243)[0]
    assert found.decisions.other[place] == 17 and found.decisions.score[place] > 0.999


def test_duplicates_are_those_of_the_whole_matrix():
    rng = np.random.default_rng(5)
    wide = np.where(np.arange(96) < 14, 1, 0.01)  # so that 16 directions hold whole distances
    base = unit(rng.normal(size=(300, 96)) * wide)
    near = unit(base[:200] + 0.05 * rng.normal(size=(200, 96)) * wide)
    vectors = np.concatenate([base, near])
    labels = rng.integers(0, 20, len(vectors))
    faces = in_order(vectors, np.arange(500), np.arange(500), labels)
    cosines = faces.unit(np.arange(500)) @ faces.unit(np.arange(500)).T
    least = float(np.quantile(np.sort(cosines[np.tril_indices(500, -1)])[-200:], 0.4))
    found = earlier_duplicates(
        faces, projections(faces, leading_directions(faces, 16)), 0, 500, least
    )
    for column, is_same in enumerate((True, False)):
        allowed = np.tril(np.ones((500, 500), bool), -1) & (cosines >= least)
        allowed &= (faces.people[:, None] == faces.people) == is_same
        expected = np.where(allowed, cosines, -2).max(axis=1)
        np.testing.assert_allclose(found.cosines[:, column], expected, atol=1e-5)
        assert ((found.places[:, column] >= 0) == allowed.any(axis=1)).all()
    assert 80 < (found.places >= 0).any(axis=1).sum() < 200


def test_averages_are_those_of_a_plain_loop():
    rng = np.random.default_rng(1)
    rows, labels = unit(rng.normal(size=(9, 5))), np.array([0, 0, 0, 1, 1, 2, 2, 2, 3])
    faces = in_order(rows, np.arange(9), np.arange(9), labels)
    total = sums(faces)
    own, centre = own_cosines(faces, total), centre_cosines(faces, total)
    for row in range(9):
        mates = np.flatnonzero(labels == labels[row])
        mean = rows[mates].mean(axis=0)
        assert np.isclose(centre[row], rows[row] @ mean / np.linalg.norm(mean), atol=1e-6)
        others = mates[mates != row]
        if len(others):
            assert np.isclose(own[row], (rows[others] @ rows[row]).mean(), atol=1e-6)
        else:
            assert np.isnan(own[row])


def test_equal_images_alone_take_bounded_memory_and_leave_one(tmp_path):
    vectors, truth = people(3, 1000, noise=0.0)
    faces, found = planned(tmp_path, vectors, truth, checks=("duplicates",), link=0.5, own=0.4,
                           merge=0.6)  # fmt: skip
    ends = finally_of(faces, found)
    assert (ends >= 0).sum() == 3


def test_means_are_compared_as_a_plain_loop_compares_them():
    rng = np.random.default_rng(3)
    means = rng.normal(size=(50, 8)).astype(np.float32)
    product = means @ means.T
    earlier, cosines = earlier_people(means, 2.0)
    for person in range(50):
        row = product[person, :person]
        if len(row) and row.max() >= 2.0:
            assert earlier[person] == row.argmax() and np.isclose(cosines[person], row.max())
        else:
            assert earlier[person] == -1
    assert groups(np.array([-1, 0, -1, 1, 2])).tolist() == [0, 0, 2, 0, 2]
    nearest, score = nearest_others(means[:5], means, np.arange(5))
    without = product[:5].copy()
    without[np.arange(5), np.arange(5)] = -9
    assert nearest.tolist() == without.argmax(axis=1).tolist()
    np.testing.assert_allclose(score, without.max(axis=1), rtol=1e-5)


def test_clusters_of_one_identity():
    a, b, c, d = np.eye(4, dtype=np.float32)
    rng = np.random.default_rng(0)
    labels, average, mean = people_of(unit(np.stack([b, a, a, a, b, c])), 0.8, 0.5, rng)
    assert labels.tolist() == [1, PERSON, PERSON, PERSON, 1, ALONE]
    np.testing.assert_allclose(average, [0, 1, 1, 1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(mean, a)
    assert people_of(np.stack([a, b]), 0.8, 0.5, rng)[0].tolist() == [NOBODY] * 2
    assert people_of(np.stack([a, b, c, d]), 0.8, 0.5, rng)[0].tolist() == [NOBODY] * 4
    alone = people_of(a[None], 0.8, 0.5, rng)
    assert alone[0].tolist() == [PERSON] and np.isnan(alone[1]).all()


@pytest.mark.parametrize(
    ("mode", "threshold", "gone"), [("centre", 0.6, [3]), ("dbscan", 0.6, [3]), ("dbscan", 1.5, [])]
)
def test_published_modes(tmp_path, mode, threshold, gone):
    """Mode 1: the cosine to the centre.  Mode 2: DBSCAN in Euclidean distance, so that 0.6 is a
    cosine of 0.82 and 1.5 joins all."""
    first, second = np.eye(8, dtype=np.float32)[:2]
    tilted = unit((first + 0.3 * second)[None])[0]
    rows = np.stack([first, tilted, first, second, second, second])
    labels = np.array([0, 0, 0, 0, 1, 1])
    faces, found = planned(
        tmp_path, rows, labels, mode=mode, threshold=threshold, checks=("images",), link=0.8,
        own=0.5, merge=0.6,
    )  # fmt: skip
    assert np.flatnonzero(reasons(faces, found) == "far").tolist() == gone


def test_identities_of_a_reference_go(tmp_path):
    vectors, truth = people(20, 6)
    reference = Reference("lfw.bin", unit(vectors[[12, 60]]), ["Ann", "Bob"])
    faces, found = planned(tmp_path, vectors, truth, [reference])
    reason = reasons(faces, found)
    assert set(truth[reason == "overlap"]) == {2, 10} and (reason == "overlap").sum() == 12
    similar, cosines = found.overlaps["lfw.bin"]
    assert similar[[2, 10]].tolist() == [0, 1] and cosines[2] > 0.6


def test_balance(tmp_path):
    vectors, truth = people(10, 6)
    labels = truth.copy()
    keep = np.ones(60, bool)
    keep[1:6] = False  # person 0 has one image
    faces, found = planned(tmp_path, vectors[keep], labels[keep], least=2, most=4)
    reason = reasons(faces, found)
    assert (reason == "few").sum() == 1 and (reason == "many").sum() == 9 * 2


def test_flips_can_move(tmp_path):
    vectors, truth = people(20, 8)
    labels = truth.copy()
    labels[5] = 7
    faces, found = planned(tmp_path, vectors, labels, moves_flips=True)
    assert finally_of(faces, found)[5] == 0 and reasons(faces, found)[5] == "flip"


def test_vectors_that_tell_nobody_apart_are_refused(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)
    with pytest.raises(ValueError, match="do not tell people apart"):
        planned(tmp_path, vectors, np.repeat(np.arange(10), 6))
    with pytest.raises(ValueError, match="too few"):
        planned(tmp_path, vectors[:6], np.zeros(6, int))


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_is_named(tmp_path, bad):
    vectors, truth = people(5, 4)
    vectors[7] = bad
    with pytest.raises(ValueError, match="record 8 is zero, NaN or infinite"):
        planned(tmp_path, vectors, truth)


def test_a_killed_run_goes_on(tmp_path, monkeypatch):
    from arcface_mxnet.clean import planning

    vectors, truth = people(40, 6)
    labels, _ = plant(truth, 0)
    monkeypatch.setattr(planning, "IMAGES_A_PART", 64)
    expected = planned(tmp_path / "whole", vectors, labels)[1].decisions
    calls, real = [], planning.earlier_duplicates

    def killed(*arguments, **options):
        calls.append(arguments[2])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(planning, "earlier_duplicates", killed)
    faces = in_order(
        vectors, np.arange(240), np.arange(1, 241), np.unique(labels, return_inverse=True)[1]
    )
    facts = {"of": "these"}
    with pytest.raises(KeyboardInterrupt):
        planning.plan(faces, planning.Options(), Stages(tmp_path / "k", facts), 99)
    again = planning.plan(faces, planning.Options(), Stages(tmp_path / "k", facts), 99).decisions
    assert calls == [0, 64, 128, 128, 192]  # the third again, and what follows
    np.testing.assert_array_equal(again.action, expected.action)
    with pytest.raises(ValueError, match="another plan .*of"):
        Stages(tmp_path / "k", {"of": "others"})
    assert planning.Options().checks == CHECKS
