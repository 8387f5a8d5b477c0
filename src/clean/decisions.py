"""What is to become of each image: nothing, or one action with its reason and score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .clusters import ALONE, NOBODY, PERSON
from .faces import Faces

KEEP, DROP, MOVE, LOOK = range(4)
ACTIONS = ("keep", "drop", "move", "look")
# In the order in which they are asked: an image has the first that holds.
REASONS = {
    "overlap": "the identity is in a pair set or dataset that it must not be in",
    "flip": "the image is nearer to another identity, and not near its own",
    "split": "two and more images of one identity are another person",
    "far": "the image is not near the others of its identity",
    "nobody": "no two images of the identity are near each other; nobody says which is right",
    "merge": "two identities are one person",
    "duplicate": "an earlier image of the same identity is nearly equal",
    "duplicate-between": "an image of another identity is nearly equal",
    "few": "the identity has fewer images than --least",
    "many": "the identity has more images than --most; the farthest from its centre go",
}
NAMES = tuple(REASONS)
NONE = -1


@dataclass
class Decisions:
    """By place: action uint8, reason int8 (of NAMES; -1), target and other int64, score float32.

    target: the identity that an image moves to.  other: the key of the image, or the identity, that
    the reason is about; -1 for none.  score: a cosine, or a number of images.
    """

    action: np.ndarray
    reason: np.ndarray
    target: np.ndarray
    other: np.ndarray
    score: np.ndarray

    def free(self) -> np.ndarray:
        """Return which images have no action yet."""
        return self.reason == NONE

    def decide(
        self, places: np.ndarray, action: int, reason: str, *, score: object,
        target: object = NONE, other: object = NONE,
    ) -> None:  # fmt: skip
        self.action[places] = action
        self.reason[places] = NAMES.index(reason)
        self.target[places], self.other[places] = target, other
        self.score[places] = score

    def identities(self, faces: Faces) -> np.ndarray:
        """Return the identity of each image as it will be, -1 for one that goes, int64 (N,)."""
        kept = np.where(self.action == MOVE, self.target, faces.identities)
        return np.where(self.action == DROP, NONE, kept)


def undecided(count: int) -> Decisions:
    """Return decisions of which none is made."""
    return Decisions(
        np.full(count, KEEP, np.uint8), np.full(count, NONE, np.int8), np.full(count, NONE),
        np.full(count, NONE), np.full(count, np.nan, np.float32),
    )  # fmt: skip


def decide_overlap(
    found: Decisions, faces: Faces, similar: np.ndarray, cosines: np.ndarray, least: float
) -> None:  # fmt: skip
    """Drop identities whose centre is at least that similar to anything of a reference.

    similar, cosines: (K,), the number in the reference and the cosine, as people.most_similar().
    """
    places = np.flatnonzero((cosines >= least)[faces.people] & found.free())
    people = faces.people[places]
    found.decide(places, DROP, "overlap", score=cosines[people], other=similar[people])


def decide_images(
    found: Decisions, faces: Faces, labels: np.ndarray, average: np.ndarray,
    nearest: np.ndarray, cosines: np.ndarray, merge: float, first_new: int, *, moves_flips: bool,
) -> None:  # fmt: skip
    """Decide about images that are not their identity's person.

    labels, average: of clusters.people_of().  nearest, cosines: (N,), the nearest other person and
    its average cosine, where they were sought.  first_new: number of the first new identity.
    """
    free = found.free()
    own = np.nan_to_num(average, nan=-1.0)
    is_flip = free & (labels != PERSON) & (nearest >= 0) & (cosines >= merge) & (cosines > own)
    places = np.flatnonzero(is_flip)
    target = faces.numbers[nearest[places]]
    found.decide(
        places, MOVE if moves_flips else DROP, "flip", score=average[places], other=target,
        target=target if moves_flips else NONE,
    )  # fmt: skip
    places = np.flatnonzero(free & ~is_flip & (labels > PERSON))
    pairs = np.stack([faces.people[places], labels[places]])
    _, number, count = np.unique(pairs, axis=1, return_inverse=True, return_counts=True)
    number = number.reshape(-1)
    alone = count[number] < 2  # the others of its cluster were flips
    found.decide(places[alone], DROP, "far", score=average[places[alone]])
    _, number = np.unique(number[~alone], return_inverse=True)
    places = places[~alone]
    found.decide(places, MOVE, "split", score=average[places], target=first_new + number)
    places = np.flatnonzero(free & ~is_flip & (labels == ALONE))
    found.decide(places, DROP, "far", score=average[places])
    # Where a part of those who do not agree are flips the rest is not in doubt.
    doubtful = free & ~is_flip & (labels == NOBODY)
    rest = np.bincount(faces.people[doubtful], minlength=len(faces.counts))
    places = np.flatnonzero(doubtful & (rest[faces.people] > 1))
    found.decide(places, LOOK, "nobody", score=average[places])


def decide_merges(
    found: Decisions, faces: Faces, roots: np.ndarray, earlier: np.ndarray, cosines: np.ndarray
) -> None:
    """Move identities that are one person to the one of them with the most images.

    roots: (K,), the group of each person.  earlier, cosines: of people.earlier_people().
    """
    size = np.bincount(roots, minlength=len(roots))
    grouped = np.flatnonzero(size[roots] > 1)
    order = grouped[np.lexsort((grouped, -faces.counts[grouped], roots[grouped]))]
    first = np.diff(roots[order], prepend=-1) != 0
    target = np.full(len(roots), NONE)
    target[order] = faces.numbers[np.repeat(order[first], np.diff(np.append(
        np.flatnonzero(first), len(order))))]  # fmt: skip
    score = cosines.copy()
    linked = np.flatnonzero(earlier >= 0)
    # The first of a group has no earlier one: what is said of it is the link that reaches it.
    np.maximum.at(score, earlier[linked], cosines[linked])
    moves = (target >= 0) & (target != faces.numbers)
    places = np.flatnonzero(moves[faces.people] & found.free())
    people = faces.people[places]
    found.decide(places, MOVE, "merge", score=score[people], target=target[people],
                 other=target[people])  # fmt: skip
    gone = np.isin(found.target, faces.numbers[moves]) & (found.action == MOVE)
    gone = np.flatnonzero(gone)  # flips to an identity that goes on under another number
    person = np.searchsorted(faces.numbers, found.target[gone])
    found.target[gone] = target[person]


def decide_duplicates(
    found: Decisions, faces: Faces, places: np.ndarray, cosines: np.ndarray, average: np.ndarray,
    least: float,
) -> None:  # fmt: skip
    """Drop one of two nearly equal images: the later of one identity, of two identities the one
    that is farther from its own.

    places, cosines: (N, 2), of duplicates.Earlier.  average: (N,), with the others of its identity.
    """
    identities = found.identities(faces)
    stands_for = np.arange(len(faces))  # the image that is kept for a dropped one
    own = np.nan_to_num(average, nan=-1.0)
    for later in np.flatnonzero((places >= 0).any(axis=1)).tolist():
        for column in (0, 1):
            earlier = int(places[later, column])
            if earlier < 0 or identities[later] < 0:
                continue
            score = float(cosines[later, column])
            if stands_for[earlier] != earlier:
                earlier = int(stands_for[earlier])
                both = faces.unit(np.array([earlier, later]))
                score = float(both[0] @ both[1])
            if identities[earlier] < 0 or score < least:
                continue
            is_same = identities[earlier] == identities[later]
            gone, kept = later, earlier
            if not is_same and own[later] > own[earlier]:
                gone, kept = earlier, later
            reason = "duplicate" if is_same else "duplicate-between"
            found.decide(np.array([gone]), DROP, reason, score=score, other=faces.keys[kept])
            identities[gone], stands_for[gone] = NONE, kept


def decide_balance(
    found: Decisions, faces: Faces, average: np.ndarray, least: int, most: int
) -> None:  # fmt: skip
    """Drop what identities have above `most` images, and those with fewer than `least`; 0: any."""
    identities = found.identities(faces)
    if most:
        own = np.nan_to_num(average, nan=-1.0)
        order = np.lexsort((-own, identities))
        order = order[identities[order] >= 0]
        begins = np.flatnonzero(np.diff(identities[order], prepend=-1))
        rank = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
        places = order[rank >= most]
        found.decide(places, DROP, "many", score=average[places])
        identities[places] = NONE
    if least:
        there = identities >= 0
        counts = np.bincount(identities[there], minlength=1)
        places = np.flatnonzero(there)[counts[identities[there]] < least]
        found.decide(places, DROP, "few", score=counts[identities[places]])
