"""Pairs drawn from a folder of identities."""

from arcface_mxnet.data.folders import folder_images
from arcface_mxnet.eval.folder_pairs import folder_pairs
import numpy as np
import pytest


@pytest.fixture
def faces(tmp_path):
    """Ten people with ten (empty) images each, one with none, and a file that is no image."""
    for person in range(10):
        (tmp_path / f"s{person}").mkdir()
        for number in range(10):
            (tmp_path / f"s{person}" / f"{number}.pgm").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "s0" / "notes.txt").touch()
    return tmp_path


def rng(seed=0):
    return np.random.default_rng(seed)


def keys(pairs):
    return [(pair.left, pair.right) for pair in pairs]


def test_all_genuine_pairs_and_as_many_impostors(faces):
    pairs = folder_pairs(faces, rng())
    genuine = [pair for pair in pairs if pair.is_genuine]
    impostor = [pair for pair in pairs if not pair.is_genuine]
    assert (len(genuine), len(impostor)) == (450, 450)
    assert len({frozenset(key) for key in keys(pairs)}) == 900
    for pair in pairs:
        assert pair.left != pair.right
        assert pair.is_genuine == (pair.left.parent == pair.right.parent)
        assert (pair.left_identity, pair.right_identity) == (
            pair.left.parent.name,
            pair.right.parent.name,
        )


def test_every_contiguous_fold_is_balanced(faces):
    flags = np.array([pair.is_genuine for pair in folder_pairs(faces, rng())])
    assert all(part.sum() == 45 for part in np.array_split(flags, 10))


def test_the_seed_decides(faces):
    assert keys(folder_pairs(faces, rng(1))) == keys(folder_pairs(faces, rng(1)))
    assert keys(folder_pairs(faces, rng(1))) != keys(folder_pairs(faces, rng(2)))


def test_only_the_identities_asked_for(faces):
    pairs = folder_pairs(faces, rng(), identities=["s3", "s7", "s3"])
    assert len(pairs) == 180
    assert {pair.left_identity for pair in pairs} == {"s3", "s7"}


def test_numbers_asked_for(faces):
    pairs = folder_pairs(faces, rng(), num_genuine=20, num_impostor=100)
    assert sum(pair.is_genuine for pair in pairs) == 20
    assert len(pairs) == 120


def test_every_impostor_pair_can_be_drawn(faces):
    pairs = folder_pairs(faces, rng(), identities=["s1", "s2"], num_impostor=100)
    assert len({frozenset(key) for key in keys(pairs) if key[0].parent != key[1].parent}) == 100


def test_disjoint_folds_share_no_identity(faces):
    pairs = folder_pairs(faces, rng(), disjoint_folds=3)
    folds = [pairs[start : start + len(pairs) // 3] for start in range(0, len(pairs), 270)]
    people = [{p.left_identity for p in fold} | {p.right_identity for p in fold} for fold in folds]
    assert len(pairs) == 3 * 270  # three groups of 3 or 4 people: 135 genuine pairs of the smallest
    assert not (people[0] & people[1] or people[0] & people[2] or people[1] & people[2])
    assert all(sum(pair.is_genuine for pair in fold) == 135 for fold in folds)


def test_images_are_sorted_and_others_left_out(faces):
    images = folder_images(faces, ["s0"])
    assert [path.name for _, path in images] == [f"{number}.pgm" for number in range(10)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_genuine": 451}, "451 genuine pairs asked for; 450 exist"),
        ({"num_impostor": 4501}, "4501 impostor pairs asked for; 4500 exist"),
        ({"disjoint_folds": 6}, "10 identities cannot form 6 identity-disjoint folds"),
        ({"identities": ["empty"]}, "no images in folder/IDENTITY/"),
    ],
)
def test_what_cannot_be_drawn_is_said(faces, options, message):
    with pytest.raises(ValueError, match=message):
        folder_pairs(faces, rng(), **options)


def test_missing_folders(faces):
    with pytest.raises(FileNotFoundError, match="no folder for identity s10"):
        folder_pairs(faces, rng(), identities=["s1", "s10"])
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        folder_pairs(faces / "nowhere", rng())
