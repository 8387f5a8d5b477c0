"""What the commands are run on: small drawn photos of invented people, packed by the commands."""

from __future__ import annotations

from pathlib import Path

from arcface_mxnet.data import face2rec2
from arcface_mxnet.eval.pair_sets import PairSet, write_pair_set
import cv2
import numpy as np

from tests.end_to_end.commands import run

SIDE = 16  # pixels
IMAGES = (5, 5, 5, 5, 5, 5, 2, 4)  # of each identity that is trained on
PAIRS = 80  # of people that are not
TEACHER_SIZE = 10  # of the vectors in teacher.npy, which are drawn


def face(identity: int, number: int, noise: float = 60.0) -> bytes:
    """Return a PNG: a coarse pattern of the identity, with noise of the image."""
    pattern = np.random.default_rng(identity).integers(30, 226, (4, 4, 3))
    pattern = pattern.repeat(SIDE // 4, 0).repeat(SIDE // 4, 1)
    drawn = np.random.default_rng((identity, number)).normal(0, noise, pattern.shape)
    return cv2.imencode(".png", np.clip(pattern + drawn, 0, 255).astype(np.uint8))[1].tobytes()


def write_photos(folder: Path, counts: tuple[int, ...] = IMAGES, first: int = 0) -> Path:
    """Write FOLDER/IDENTITY/NUMBER.png."""
    for identity, count in enumerate(counts):
        for number in range(count):
            path = folder / f"p{identity}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(face(first + identity, number))
    return folder


def write_pairs(path: Path, first: int = 100, names: bool = False) -> None:
    """Write a pair set of invented people, half of the pairs genuine.

    names: also who they are, and that no face was found in the right images of pairs 4 and 5.
    """
    people = [(first + i, first + i + 1 - (i % 2)) for i in range(PAIRS)]
    images = [face(one, side, 90) for pair in people for side, one in enumerate(pair)]
    identities = [f"p{one % 7}" for pair in people for one in pair]
    flags = np.array([left == right for left, right in people])
    failed = ["right" if pair in (4, 5) else "" for pair in range(PAIRS)]
    more = {"identities": identities, "columns": {"failed": failed}} if names else {}
    write_pair_set(path, PairSet(images, flags, **more))


def write_dataset(folder: Path, counts: tuple[int, ...] = IMAGES, first: int = 0) -> Path:
    """Pack a dataset folder with arcface-face2rec, the pair sets held and other, and vectors of
    the images, teacher.npy."""
    photos = write_photos(folder / "photos", counts, first)
    size = ["--image-size", f"{SIDE},{SIDE}"]
    assert run(face2rec2.main, [folder, "--folder", photos, *size]).code == 0
    drawn = np.random.default_rng(first).normal(0, 3, (sum(counts), TEACHER_SIZE))
    np.save(folder / "teacher.npy", drawn.astype(np.float32))
    write_pairs(folder / "held.bin", 100 + first)
    write_pairs(folder / "other.bin", 300 + first, names=True)
    return folder
