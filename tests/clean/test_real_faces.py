"""Faults planted in real faces: ORL, on which thresholds were chosen, and LFW, on which not."""

from pathlib import Path

from arcface_mxnet.align.crop import align_face
from arcface_mxnet.align.face import main_face
from arcface_mxnet.align.yunet import YunetDetector
from arcface_mxnet.embedding.embedder import Embedder
from arcface_mxnet.eval.pair_sets import read_pair_set
import cv2
import numpy as np
import pytest

from tests.clean.planting import planned, plant, rates, reasons

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def embedder(models):
    return Embedder(str(models / "sface-m1,0"), batch_size=32)


def orl_crops(models):
    folder = ROOT / "datasets" / "orl"
    if not folder.is_dir():
        pytest.skip("the ORL faces are absent: arcface-fetch fetch orl")
    paths = sorted(folder.glob("s[12]?/*.pgm"))  # 20 people
    detector = YunetDetector(model_dir=models)
    images = []
    for path in paths:
        bgr = cv2.imread(str(path))
        face = main_face(detector.detect(bgr), bgr.shape)
        images.append(align_face(bgr, face.landmarks, (112, 112)))
    _, truth = np.unique([path.parent.name for path in paths], return_inverse=True)
    return images, truth


def lfw_crops(shared_data, least=4):
    """Return the crops of fold 1 of people with at least so many images, and who they are."""
    pairs = read_pair_set(shared_data / "lfw" / "lfw_folds_1_2.bin")
    names = {}
    lines = (shared_data / "lfw" / "pairs_fold_1.txt").read_text().splitlines()
    for number, line in enumerate([line for line in lines if len(line.split()) > 2]):
        fields = line.split()
        sides = (
            [fields[:2], [fields[0], fields[2]]] if len(fields) == 3 else [fields[:2], fields[2:]]
        )
        for side, (name, _) in enumerate(sides):
            names.setdefault(pairs.images[2 * number + side], name)
    who, truth, counts = np.unique(list(names.values()), return_inverse=True, return_counts=True)
    chosen = counts[truth] >= least
    images = [cv2.imdecode(np.frombuffer(data, np.uint8), 1) for data in names]
    return [image for image, flag in zip(images, chosen, strict=True) if flag], truth[chosen]


def embedded(embedder, images):
    return embedder(np.stack(images)[..., ::-1])


def check(tmp_path, vectors, truth):
    got = []
    for seed in range(5):
        labels, kinds = plant(truth, seed)
        faces, found = planned(tmp_path / str(seed), vectors, labels, checks=("images", "merge"))
        got.append(rates(faces, found, truth, kinds))
    mean = {name: float(np.mean([one[name] for one in got])) for name in got[0]}
    assert min(mean["flips"], mean["parted"], mean["joined"]) >= 0.95, mean
    assert mean["false"] <= 0.01, mean


def test_faults_planted_in_orl_faces(tmp_path, embedder, models):
    images, truth = orl_crops(models)
    check(tmp_path, embedded(embedder, images), truth)


def test_faults_planted_in_lfw_faces(tmp_path, embedder, shared_data):
    images, truth = lfw_crops(shared_data)
    assert len(np.unique(truth)) == 48
    vectors = embedded(embedder, images)
    check(tmp_path, vectors, truth)
    _duplicates(tmp_path, embedder, images, vectors, truth)


def _duplicates(tmp_path, embedder, images, vectors, truth):
    """Copies encoded anew, made darker, and smaller, under labels of others."""
    rng = np.random.default_rng(0)
    rows = rng.choice(len(images), 60, replace=False)
    copies = [_changed(images[row], number % 3) for number, row in enumerate(rows)]
    people = np.unique(truth)
    labels = np.where(np.arange(60) % 2, truth[rows], rng.permutation(people)[np.arange(60) % 48])
    faces, found = planned(
        tmp_path / "d", np.concatenate([vectors, embedded(embedder, copies)]),
        np.append(truth, labels), checks=("duplicates",),
    )  # fmt: skip
    gone = reasons(faces, found) != ""
    is_found = gone[len(truth) :] | gone[rows]
    assert is_found.mean() >= 0.95, is_found.mean()
    others = np.setdiff1d(np.arange(len(truth)), rows)
    assert gone[others].mean() <= 0.01, gone[others].mean()


def _changed(bgr, kind):
    if kind == 0:
        return cv2.imdecode(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], 1)
    if kind == 1:
        return cv2.convertScaleAbs(bgr, alpha=0.9, beta=12)
    small = cv2.resize(bgr, (80, 80), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (112, 112))
