"""Losses that compare the embeddings of a batch, against loops over pairs and triplets."""

import math

import numpy as np
import pytest


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture
def x():
    return np.random.default_rng(5).normal(size=(12, 4))


LABEL = np.repeat([4, 0, 7, 2], 3)


def coco(x, each=3, classes=50):
    scale = 0.5 * math.log(classes - 1) + 3
    groups = [x[i : i + each] for i in range(0, len(x), each)]
    centroids = unit(np.array([group.mean(axis=0) for group in groups]))
    total = 0.0
    for i, row in enumerate(unit(x)):
        logits = [scale * (row @ centroid) for centroid in centroids]
        total += math.log(sum(math.exp(z) for z in logits)) - logits[i // each]
    return total / len(x)


def marginal(x):
    total, unit_x = 0.0, unit(x)
    for i in range(len(x)):
        for j in range(len(x)):
            if i != j:
                y = 1 if LABEL[i] == LABEL[j] else -1
                distance = ((unit_x[i] - unit_x[j]) ** 2).sum()
                total += max(0.0, 0.3 - y * (1.2 - distance))
    return total / (len(x) * (len(x) - 1))


def npair(x):
    unit_x, total = unit(x), 0.0
    for i in range(0, len(x), 2):
        own = unit_x[i] @ unit_x[i + 1]
        total += math.log(
            sum(math.exp(unit_x[i] @ unit_x[j + 1] - own) for j in range(0, len(x), 2))
        )
    return total / (len(x) // 2)


def triplet(x, alpha=0.3):
    a, p, n = np.split(unit(x), 3)
    gaps = ((a - p) ** 2).sum(axis=1) - ((a - n) ** 2).sum(axis=1) + alpha
    return np.mean([max(0.0, gap) for gap in gaps])


def angular_triplet(x, m=0.5):
    a, p, n = np.split(unit(x), 3)
    gaps = [
        math.acos(anchor @ near) - math.acos(anchor @ far) + m
        for anchor, near, far in zip(a, p, n, strict=True)
    ]
    return np.mean([max(0.0, gap) for gap in gaps])


@pytest.mark.parametrize(
    ("loss_type", "options", "objective"),
    [
        (9, {"images_per_identity": 3}, coco),
        (10, {"images_per_identity": 3}, marginal),
        (11, {}, npair),
        (12, {}, triplet),
        (12, {"triplet_alpha": 0.9}, lambda x: triplet(x, 0.9)),
        (13, {}, angular_triplet),
        (13, {"margin_m": 0.2}, lambda x: angular_triplet(x, 0.2)),
    ],
)
def test_formula_and_slopes(loss_type, options, objective, x, build, run, assert_slopes):
    loss = build(loss_type, 50, per_batch_size=12, **options)
    result = run(loss, x, LABEL)
    np.testing.assert_allclose(result.outputs["loss"], [objective(x)], rtol=1e-5)
    np.testing.assert_allclose(result.outputs["embedding"], x, rtol=1e-6)
    np.testing.assert_array_equal(result.outputs["label"], LABEL)
    assert_slopes(objective, x, result.gradients["x"])


def test_triplets_have_both_branches(x):
    gaps = [triplet(x[[i, i + 4, i + 8]]) for i in range(4)]
    assert min(gaps) == 0 < max(gaps)
    gaps = [angular_triplet(x[[i, i + 4, i + 8]], 0.2) for i in range(4)]
    assert min(gaps) == 0 < max(gaps)


def test_npair_of_the_paper(x):
    """log(1 + sum over j != i of exp(cos_ij - cos_ii)), the form of the paper."""
    unit_x = unit(x)
    first, second = unit_x[::2], unit_x[1::2]
    total = 0.0
    for i in range(6):
        others = [first[i] @ second[j] - first[i] @ second[i] for j in range(6) if j != i]
        total += math.log(1 + sum(map(math.exp, others)))
    assert npair(x) == pytest.approx(total / 6)


def test_npair_is_not_as_published(x, build, run):
    """cos_ij - cos_ii of the paper, where the original subtracts cos_jj."""
    cosines = unit(x)[::2] @ unit(x)[1::2].T  # (6, 6)
    own = np.diag(cosines)
    paper, published = (
        np.log(np.exp(cosines - subtracted).sum(axis=1)).mean()
        for subtracted in (own[:, None], own[None, :])
    )
    assert abs(paper - published) > 0.1
    found = run(build(11, 50, per_batch_size=12), x, LABEL).outputs["loss"]
    np.testing.assert_allclose(found, [paper], rtol=1e-5)


def test_batch_plans(build):
    plans = {
        key: build(key, 50, per_batch_size=96).batch_plan for key in ("9", "10", "11", "12", "13")
    }
    assert plans == {
        "9": "identities", "10": "identities", "11": "pairs", "12": "triplets", "13": "triplets"
    }  # fmt: skip
    assert build(4, 50).batch_plan == "shuffled"
