"""Ranks and false accepts against brute force in float64 and in whole numbers."""

from fractions import Fraction

from arcface_mxnet.megaface import inner_loops, search, tile
from arcface_mxnet.megaface.pairs import genuine_pairs
from arcface_mxnet.megaface.search import identify
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def coarse_early(monkeypatch):
    """Let the grid of thresholds begin where it would in a large set."""
    monkeypatch.setattr(search, "EXACT_ACCEPTS", 0)


@pytest.fixture(autouse=True, params=["compiled", "plain"])
def kernel(request, monkeypatch):
    """Let every test run both ways."""
    if request.param == "plain":
        monkeypatch.setattr(tile, "fastest", inner_loops.Plain)
    elif not isinstance(inner_loops.fastest(), inner_loops.Compiled):
        pytest.skip("no C++ compiler here")


def brute_force(probes, ids, distractors):
    """Return {(probe, mate): (closer, equal)} and all distances, from the definition."""
    probes, distractors = probes.astype(np.float64), distractors.astype(np.float64)
    away = np.array([[((p - x) ** 2).sum() for x in distractors] for p in probes])
    ranks = {}
    for p in range(len(probes)):
        for g in range(len(probes)):
            if p != g and ids[p] == ids[g]:
                d = ((probes[p] - probes[g]) ** 2).sum()
                ranks[p, g] = ((away[p] < d).sum(), (away[p] == d).sum())
    return ranks, away


def instance(rng):
    """Return a small random problem of one of many kinds: (probes, ids, distractors)."""
    people, dim = rng.integers(1, 5), rng.integers(2, 12)
    ids = np.repeat([f"person {k}" for k in range(people)], rng.integers(2, 5, people))
    centres = rng.standard_normal((people, dim))
    probes = centres[np.unique(ids, return_inverse=True)[1]]
    probes = probes + rng.choice([0.01, 0.3, 1.0, 3.0]) * rng.standard_normal(probes.shape)
    distractors = rng.standard_normal((rng.integers(1, 60), dim))
    kind = rng.integers(6)
    if kind == 0:  # equal scores everywhere
        probes, distractors = np.round(probes) + 0.5, np.round(distractors) + 0.5
    if kind == 1:  # duplicates of mates and of one another
        copies = rng.integers(0, len(probes), len(distractors) // 2)
        distractors[: len(copies)] = probes[copies]
        distractors = rng.permutation(np.concatenate([distractors, distractors[:5]]))
    if kind == 2:  # all nearly alike, so float32 products decide nothing
        distractors = probes[0] + 1e-6 * rng.standard_normal(distractors.shape)
    if kind == 3:  # a float16 store
        probes, distractors = probes.astype(np.float16), distractors.astype(np.float16)
    if kind != 0 and rng.random() < 0.7:
        probes = probes / np.linalg.norm(probes.astype(np.float64), axis=1, keepdims=True)
        distractors = distractors / np.linalg.norm(
            distractors.astype(np.float64), axis=1, keepdims=True
        )
    if kind == 4:  # the 513th value of noisy distractors
        probes = np.pad(probes, ((0, 0), (0, 1)))
        noisy = rng.random(len(distractors)) < 0.3
        distractors = np.column_stack([distractors, 100.0 * noisy])
    if kind == 5:
        probes, distractors = probes * 30, distractors * 30
    stored = np.float16 if kind == 3 else np.float32
    return probes.astype(np.float32), ids, distractors.astype(stored)


def check(result, ranks, away):
    """Assert that a result is what brute force found."""
    found = zip(result.pairs.probe, result.pairs.mate, result.closer, result.equal, strict=True)
    assert {(p, g): (closer, equal) for p, g, closer, equal in found} == ranks
    assert np.array_equal(result.best_distance, away.min(axis=1))
    assert np.array_equal(result.best_row, away.argmin(axis=1))
    accepts = [(away <= threshold).sum() for threshold in result.thresholds]
    assert result.false_accepts.tolist() == accepts
    allowed = max(search.EXACT_ACCEPTS, int(search.EXACT_FPR * away.size))
    found = set(result.thresholds[: result.num_exact])
    assert all((away <= d).sum() > allowed or d in found for d in result.pairs.distance)
    assert all(accept <= allowed for accept in accepts[: result.num_exact])


def test_hundreds_of_random_instances_agree_in_every_rank(monkeypatch):
    monkeypatch.setattr(search, "EXACT_FPR", 0.05)
    rng = np.random.default_rng(0)
    for _ in range(800):
        probes, ids, distractors = instance(rng)
        block = int(rng.integers(1, 80))
        (result,) = identify(probes, ids, distractors, block=block, threads=1)
        check(result, *brute_force(probes, ids, distractors))


def test_distances_in_whole_numbers_agree_with_fractions():
    rng = np.random.default_rng(1)
    ids = ["a"] * 4 + ["b"] * 4
    for _ in range(30):
        probes = rng.integers(-3, 4, (8, 3)).astype(np.float32) + np.float32(0.25)
        distractors = rng.integers(-3, 4, (40, 3)).astype(np.float32) + np.float32(0.25)
        (result,) = identify(probes, ids, distractors, threads=1)
        exact = lambda a, b: sum((Fraction(float(x)) - Fraction(float(y))) ** 2  # noqa: E731
                                 for x, y in zip(a, b, strict=True))  # fmt: skip
        for k, (p, g) in enumerate(zip(result.pairs.probe, result.pairs.mate, strict=True)):
            mate = exact(probes[p], probes[g])
            away = [exact(probes[p], x) for x in distractors]
            assert result.closer[k] == sum(d < mate for d in away)
            assert result.equal[k] == sum(d == mate for d in away)
        assert result.equal.any()


@pytest.fixture(scope="module")
def larger():
    """Return a problem with hard pairs, large enough for several tiles and chunks."""
    rng = np.random.default_rng(2)
    ids = np.repeat([f"person {k}" for k in range(10)], 6)
    probes = rng.standard_normal((10, 64)).repeat(6, axis=0) + 1.5 * rng.standard_normal((60, 64))
    distractors = rng.standard_normal((3000, 64))
    distractors[100:110] = probes[:10]
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (probes, distractors)]
    return unit[0].astype(np.float32), ids, unit[1].astype(np.float32)


def same(one, other):
    for name in ("closer", "equal", "best_distance", "best_row", "thresholds", "false_accepts"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_larger_problem_agrees_and_uses_the_grid(larger):
    (result,) = identify(*larger)
    check(result, *brute_force(*larger))
    assert 0 < result.num_exact < len(result.thresholds)
    assert result.thresholds[-1] == result.pairs.distance.max()


def test_result_does_not_depend_on_block_chunk_or_threads(larger, monkeypatch):
    (reference,) = identify(*larger)
    for block, threads, chunk in [(7, 1, 50), (256, 3, 1000), (100000, 2, 1 << 20)]:
        monkeypatch.setattr(tile, "CHUNK", chunk)
        same(identify(*larger, block=block, threads=threads)[0], reference)


def test_result_does_not_depend_on_the_order_of_probes_and_distractors(larger):
    probes, ids, distractors = larger
    rng = np.random.default_rng(3)
    (reference,) = identify(probes, ids, distractors)
    p, x = rng.permutation(len(probes)), rng.permutation(len(distractors))
    (shuffled,) = identify(probes[p], ids[p], distractors[x])
    rank = lambda r, at: dict(zip(zip(at[r.pairs.probe], at[r.pairs.mate], strict=True),  # noqa: E731
                                  zip(r.closer, r.equal, strict=True), strict=True))  # fmt: skip
    assert rank(shuffled, p) == rank(reference, np.arange(len(probes)))
    assert np.array_equal(shuffled.best_distance, reference.best_distance[p])
    assert np.array_equal(shuffled.thresholds, reference.thresholds)
    assert np.array_equal(shuffled.false_accepts, reference.false_accepts)


def test_small_sets_are_exact_at_every_genuine_distance(larger, monkeypatch):
    monkeypatch.setattr(search, "EXACT_ACCEPTS", 10**6)
    (result,) = identify(*larger)
    check(result, *brute_force(*larger))
    assert set(result.pairs.distance) <= set(result.thresholds)
    assert result.num_exact == len(result.thresholds)


def test_lists_nested_and_overlapping_come_from_one_pass(larger):
    probes, ids, distractors = larger
    reads = []

    def read(rows):
        reads.extend(rows.tolist())
        return distractors[rows]

    rng = np.random.default_rng(4)
    lists = [np.arange(10), np.arange(100), np.arange(1000), rng.permutation(3000)[:500]]
    results = identify(probes, ids, read, lists, block=300)
    streamed = [row for row in set(reads) if reads.count(row) == 1]
    assert len(set(reads)) == len(np.unique(np.concatenate(lists)))
    assert len(streamed) < len(set(reads))  # small groups are their own pilot
    for rows, result in zip(lists, results, strict=True):
        ranks, away = brute_force(probes, ids, distractors[rows])
        result.best_row[:] = [np.flatnonzero(rows == row)[0] for row in result.best_row]
        check(result, ranks, away)


def test_a_pilot_that_misjudges_is_found_out(larger, monkeypatch):
    (reference,) = identify(*larger)
    real, calls = search._pilot, []

    def misled(counter, read, groups, lists, margin):
        calls.append(margin)
        return [0] if len(calls) == 1 else real(counter, read, groups, lists, margin)

    monkeypatch.setattr(search, "_pilot", misled)
    same(identify(*larger)[0], reference)
    assert len(calls) == 2 and calls[1] > calls[0]


def test_published_image_counts_give_the_published_denominators():
    # 80 people, at most 50 images each, 3,530 in all: images each -> people.
    people = {35: 1, 36: 2, 37: 5, 38: 1, 39: 4, 40: 4, 41: 6, 42: 3, 43: 10, 44: 4, 45: 7}
    people |= {46: 8, 47: 4, 48: 4, 49: 7, 50: 10}
    ids = np.repeat(np.arange(80), np.repeat(list(people), list(people.values()))).astype(str)
    assert len(ids) == 3530
    pairs = genuine_pairs(np.random.default_rng(5).random((3530, 2), np.float32) + 1, ids)
    assert len(pairs) == 153634
    assert np.float32(151442 / len(pairs)) == np.float32(0.98573231697)  # a published rank 1


@pytest.mark.parametrize("value, message", [(0, "all zeros"), (np.nan, "NaN"), (np.inf, "NaN")])
def test_useless_vectors_are_refused(larger, value, message):
    probes, ids, distractors = larger
    broken = distractors.copy()
    broken[17] = value
    with pytest.raises(ValueError, match=f"distractor 17 .*{message}"):
        identify(probes, ids, broken)
    broken = probes.copy()
    broken[3] = value
    with pytest.raises(ValueError, match=f"probe 3 .*{message}"):
        identify(broken, ids, distractors)


def test_vectors_too_long_for_float32_are_refused(larger):
    probes, ids, distractors = larger
    with pytest.raises(ValueError, match="too long for float32"):
        identify(probes, ids, np.concatenate([distractors, distractors[:1] * np.float32(1e25)]))


def test_a_person_with_one_image_is_named(larger):
    probes, ids, distractors = larger
    with pytest.raises(ValueError, match="1 people have a single image.*person 9"):
        identify(probes[:-5], ids[:-5], distractors)
