"""Mining against the published rule written as plain loops."""

from arcface_mxnet.batches import mining
from arcface_mxnet.batches.mining import identity_pairs, mine, select_semi_hard
import mxnet as mx
import numpy as np
import pytest


def loop_reference(embeddings, identities, alpha, max_ap, mode="semi-hard"):
    """Return {(anchor, positive): candidates} by the rule, in float64."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    found = {}
    for a in range(len(unit)):
        for p in range(a + 1, len(unit)):
            if identities[a] != identities[p]:
                continue
            d_ap = np.sum((unit[a] - unit[p]) ** 2)
            if max_ap > 0 and d_ap > max_ap:
                continue
            candidates = {}
            for n in range(len(unit)):
                d_an = np.sum((unit[a] - unit[n]) ** 2)
                if identities[n] == identities[a] or d_an - d_ap >= alpha:
                    continue
                if mode != "semi-hard" or d_ap < d_an:
                    candidates[n] = d_an
            if mode == "hardest" and candidates:
                candidates = {min(candidates, key=candidates.get): None}
            if candidates:
                found[a, p] = set(candidates)
    return found


def bag(counts, spread, seed=0, dim=8, shuffled=False):
    rng = np.random.default_rng(seed)
    identities = np.repeat(np.arange(len(counts)), counts) * 7 + 3
    if shuffled:
        rng.shuffle(identities)
    centres = rng.normal(size=(identities.max() + 1, dim))
    return (centres[identities] + spread * rng.normal(size=(len(identities), dim))), identities


BAGS = [
    ([4] * 6, 0.6, False),
    ([1, 5, 2, 1, 9, 3, 1], 0.9, False),
    ([3] * 30, 1.0, True),  # 90 columns: more than one group, and images not side by side
    ([2, 2], 2.0, True),
]


@pytest.mark.parametrize(("counts", "spread", "shuffled"), BAGS)
@pytest.mark.parametrize("max_ap", [0.0, 0.9])
@pytest.mark.parametrize("mode", mining.MODES)
def test_as_the_loop_says(monkeypatch, counts, spread, shuffled, max_ap, mode):
    embeddings, identities = bag(counts, spread, shuffled=shuffled)
    expected = loop_reference(embeddings, identities, 0.3, max_ap, mode)
    for block in (len(identities), 7 * len(identities), 10**6):  # blocks of 1, 7 and all pairs
        monkeypatch.setattr(mining, "BLOCK", block)
        mined = mine(embeddings, identities, 0.3, max_ap, np.random.default_rng(1), mode)
        found = {(a, p): n for a, p, n in mined.triplets.tolist()}
        assert len(found) == len(mined.triplets)
        assert found.keys() == expected.keys()
        assert all(n in expected[pair] for pair, n in found.items())
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    a, p, n = mined.triplets.T
    np.testing.assert_allclose(mined.d_ap, ((unit[a] - unit[p]) ** 2).sum(1), atol=2e-6)
    np.testing.assert_allclose(mined.d_an, ((unit[a] - unit[n]) ** 2).sum(1), atol=2e-6)
    assert mined.num_pairs == sum(count * (count - 1) // 2 for count in counts)


def test_the_bags_have_pairs_with_and_without_candidates():
    """Otherwise the comparison above could not fail."""
    for counts, spread, shuffled in BAGS[:2]:
        embeddings, identities = bag(counts, spread, shuffled=shuffled)
        found = loop_reference(embeddings, identities, 0.3, 0)
        pairs = sum(count * (count - 1) // 2 for count in counts)
        assert 0 < len(found) < pairs
        assert any(len(candidates) > 1 for candidates in found.values())
        assert len(loop_reference(embeddings, identities, 0.3, 0.9)) < len(found)


def on_a_line(*distances):
    """Unit vectors in the plane: the first at angle 0, others at these squared distances.

    Chosen so that float32 holds their products exactly.
    """
    cosines = 1 - np.array([0, *distances]) / 2
    return np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1)


def test_both_bounds_are_strict():
    """With dots of 1 on the axes, distances 0, 2 and 4 are exact in float32."""
    embeddings = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]], np.float32)
    identities = [0, 0, 1, 2]  # d_ap = 2, the negatives lie at 2 and 4
    none = select_semi_hard(embeddings, identities, 2.0, 0, np.random.default_rng(0))
    assert none.tolist() == [], "2 is not farther than 2, and 4 - 2 is not less than alpha 2"
    one = select_semi_hard(embeddings, identities, 2.5, 0, np.random.default_rng(0))
    assert one.tolist() == [[0, 1, 3]]
    at_limit = mine(embeddings, identities, 2.5, 2.0, np.random.default_rng(0))
    assert len(at_limit.triplets) == 1, "only what is larger than max_ap is left out"
    assert len(mine(embeddings, identities, 2.5, 1.99, np.random.default_rng(0)).triplets) == 0


@pytest.mark.parametrize("mode", ["semi-hard", "random"])
def test_every_candidate_is_equally_likely(mode):
    """40 images in one place and 40 in another make 1,600 pairs with the same candidates."""
    here, there, *others = on_a_line(0.4, *np.linspace(0.41, 0.69, 79))
    embeddings = np.array([here] * 40 + [there] * 40 + others)
    identities = np.array([0] * 80 + list(range(1, 80)))
    triplets = mine(embeddings, identities, 0.3, 0, np.random.default_rng(0), mode).triplets
    picked = [n for a, p, n in triplets if a < 40 <= p]
    assert len(picked) == 1600
    counts = np.bincount(picked, minlength=159)[80:]
    assert counts.min() > 0, "first and last column included"
    chi_squared = ((counts - 1600 / 79) ** 2 / (1600 / 79)).sum()
    assert chi_squared < 120, "78 degrees of freedom: 120 is exceeded once in 600 times"


def test_the_same_random_state_gives_the_same_triplets():
    embeddings, identities = bag([5] * 10, 0.9)
    first, again, other = (
        mine(embeddings, identities, 0.3, 0, np.random.default_rng(seed)).triplets
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_it_works_where_the_embeddings_are():
    embeddings, identities = bag([5] * 4, 0.9)
    there = mx.nd.array(embeddings, ctx=mx.cpu(1))
    assert mining.bag_of(there, identities).unit.context == mx.cpu(1)
    from_device = mine(there, identities, 0.3, 0, np.random.default_rng(0)).triplets
    from_numpy = mine(embeddings, identities, 0.3, 0, np.random.default_rng(0)).triplets
    assert np.array_equal(from_device, from_numpy) and len(from_numpy)


@pytest.mark.parametrize("mode", mining.MODES)
@pytest.mark.parametrize("max_ap", [0, 0.9])
def test_a_tensor_is_mined_by_torch(mode, max_ap, monkeypatch):
    torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")
    monkeypatch.setattr(mining, "BLOCK", 700)  # several blocks
    embeddings, identities = bag([5] * 12 + [1, 2, 3], 0.9, shuffled=True)
    rng = np.random.default_rng
    found = mine(torch.tensor(embeddings), identities, 0.3, max_ap, rng(1), mode)
    wanted = mine(embeddings, identities, 0.3, max_ap, rng(1), mode)
    assert type(mining.bag_of(torch.tensor(embeddings), identities)).__name__ == "TensorBag"
    assert np.array_equal(found.triplets, wanted.triplets) and len(wanted.triplets)
    np.testing.assert_allclose(found.d_ap, wanted.d_ap, atol=1e-5)
    np.testing.assert_allclose(found.d_an, wanted.d_an, atol=1e-5)
    with pytest.raises(ValueError, match="not finite"):
        mine(torch.full((2, 3), torch.nan), np.array([0, 0]), 0.3, 0, rng(0))


def test_pairs_of_images_that_are_not_side_by_side():
    assert identity_pairs(np.array([5, 9, 5, 5, 9, 1])).tolist() == [[0, 2], [0, 3], [1, 4], [2, 3]]
    assert identity_pairs(np.array([3, 1, 2])).shape == (0, 2)


def test_no_pairs_and_no_negatives():
    rng = np.random.default_rng(0)
    for identities in ([0, 1, 2], [4, 4, 4]):
        mined = mine(np.eye(3), np.array(identities), 0.3, 0, rng)
        assert mined.triplets.shape == (0, 3) and mined.triplets.dtype == np.int64
        assert mined.d_ap.shape == mined.d_an.shape == (0,)


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"embeddings \(3, 3\) and identities \(2,\) do not fit"):
        mine(np.eye(3), np.array([0, 0]), 0.3, 0, rng)
    with pytest.raises(ValueError, match="not finite: the network has diverged"):
        mine(np.full((2, 3), np.nan), np.array([0, 0]), 0.3, 0, rng)
    with pytest.raises(ValueError, match="'easy': known are semi-hard, hardest, random"):
        mine(np.eye(2), np.array([0, 0]), 0.3, 0, rng, "easy")
