"""Faults planted into labels of known people, and how many of them a plan finds."""

from arcface_mxnet.clean.decisions import NAMES
from arcface_mxnet.clean.faces import in_order
from arcface_mxnet.clean.planning import Options, plan
from arcface_mxnet.clean.stages import Stages
import numpy as np

WRONG = ("flip", "far")


def people(num_people, num_images, *, dim=128, noise=0.9, seed=0):
    """Return vectors float32 (N, dim) of synthetic people, and whose they are."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(num_people, dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    truth = np.repeat(np.arange(num_people), num_images)
    spread = rng.normal(size=(len(truth), dim)) * noise / np.sqrt(dim)
    return (centres[truth] + spread).astype(np.float32), truth


def planned(folder, vectors, labels, references=(), **options):
    """Return faces and plan of vectors under labels; key = row + 1."""
    _, dense = np.unique(labels, return_inverse=True)
    keys = np.arange(1, len(labels) + 1)
    faces = in_order(vectors, keys - 1, keys, dense)
    first_new = int(dense.max()) + 1
    stages = Stages(folder, {}, anew=True)
    return faces, plan(faces, Options(**options), stages, first_new, references)


def reasons(faces, found):
    """Return the reason of each row of the vectors, "" for none."""
    out = np.full(len(faces), "", object)
    names = np.array(["", *NAMES], object)
    out[faces.keys - 1] = names[found.decisions.reason + 1]
    return out


def finally_of(faces, found):
    """Return the identity that each row of the vectors ends in, -1 for one that goes."""
    out = np.empty(len(faces), np.int64)
    out[faces.keys - 1] = found.decisions.identities(faces)
    return out


def plant(truth, seed, least=4):
    """Return labels with faults, and the kind of fault of each row: "" for none, "flip", "merged",
    "split".

    A tenth of the people with `least` images and more are put under another's label, a tenth get
    two labels, and of half of the others one image is given to another.
    """
    rng = np.random.default_rng(seed)
    labels, kinds = truth.copy(), np.full(len(truth), "", object)
    many = rng.permutation(np.flatnonzero(np.bincount(truth) >= least))
    tenth = max(len(many) // 10, 1)
    for stays, goes in zip(many[:tenth], many[tenth : 2 * tenth], strict=True):
        kinds[np.isin(truth, [stays, goes])] = "merged"
        labels[truth == goes] = stays
    for number, person in enumerate(many[2 * tenth : 3 * tenth], start=int(truth.max()) + 1):
        rows = rng.permutation(np.flatnonzero(truth == person))
        kinds[rows] = "split"
        labels[rows[: len(rows) // 2]] = number
    rest = rng.permutation(many[3 * tenth :])
    for person, other in list(zip(rest, np.roll(rest, 1), strict=True))[: len(rest) // 2]:
        row = rng.choice(np.flatnonzero(truth == person))
        labels[row], kinds[row] = other, "flip"
    return labels, kinds


def rates(faces, found, truth, kinds):
    """Return the found share of each kind, and the share of images without a fault that are
    dropped or moved."""
    reason, ends = reasons(faces, found), finally_of(faces, found)
    labels = np.empty(len(faces), np.int64)
    labels[faces.keys - 1] = faces.identities
    flips = kinds == "flip"
    parted = []
    for label in np.unique(labels[kinds == "merged"]):
        rows = (labels == label) & (kinds == "merged")
        sides = [set(ends[rows & (truth == one)]) - {-1} for one in np.unique(truth[rows])]
        parted.append(all(sides) and not set.intersection(*sides))
    joined = [len(set(ends[(truth == one) & (kinds == "split")])) == 1
              for one in np.unique(truth[kinds == "split"])]  # fmt: skip
    sound = kinds == ""
    touched = ~np.isin(reason[sound], ["", "nobody"])
    return {
        "flips": np.isin(reason[flips], WRONG).mean(),
        "parted": np.mean(parted),
        "joined": np.mean(joined),
        "false": touched.mean(),
    }
