"""Photos turned by quarters: what is set upright, what is refused, what strangers become.

    python -m benchmarks.turned

Needs the pretrained networks (arcface-fetch fetch sface mtcnn) and the LFW photos of
../shared/data.  The detectors' scores were chosen on people whose names begin with A to K, so
figures are for L to Z and for all; the threshold of the pairs is that which is right most often for
the crops of fold 2, other people.
"""

from __future__ import annotations

from pathlib import Path

from arcface_mxnet.align.detectors import Detector, open_detector
from arcface_mxnet.align.face import main_face
from arcface_mxnet.align.trust import TURNS, find_faces
from arcface_mxnet.data.images import read_image
from arcface_mxnet.embedding.embedder import Embedder
from arcface_mxnet.embedding.face_model import FaceModel
from arcface_mxnet.eval.pair_sets import read_pair_set
import numpy as np

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models"
LFW = ROOT.parent / "shared/data/lfw"
CHOSEN_ON = "ABCDEFGHIJK"  # first letters of people

Pairs = list[tuple[str, str, bool]]


def main() -> None:
    for needed in (LFW, MODELS / "sface-m1-0000.params", MODELS / "mtcnn", MODELS / "yunet.onnx"):
        if not needed.exists():
            print(f"skipped: no {needed.relative_to(ROOT.parent)}")
            return
    paths = sorted((LFW / "fold_1").rglob("*.jpg"))
    pairs = read_pairs(LFW / "pairs_fold_1.txt")
    embedder = Embedder(f"{MODELS}/sface-m1,0", batch_size=64, flip=False)
    best = threshold(embedder)
    for name, folder in (("mtcnn", MODELS / "mtcnn"), ("yunet", MODELS)):
        detector = open_detector(folder)
        model = FaceModel(detector, embedder)
        found = {turn: embed_turned(model, paths, turn) for turn in TURNS}
        report(name, found, pairs, len(paths), best)
        bare = {turn: embed_bare(model, detector, paths, turn) for turn in TURNS}
        own = max(accuracy(bare[0], pairs, cut) for cut in np.arange(0.2, 0.5, 0.001))
        print(
            f"  every face believed: {len(bare[0])} of {len(paths)} photos have one, photo to "
            f"pair decision {accuracy(bare[0], pairs, best):.4f}, at best {own:.4f}"
        )
        accepted = [strangers(bare[turn], pairs, best) for turn in TURNS]
        print(
            f"  the detector alone, strangers taken for one at {', '.join(map(str, TURNS))}: "
            + ", ".join(f"{share:.1%}" for share in accepted)
        )


def embed_turned(model: FaceModel, paths: list[Path], turn: int) -> dict[str, tuple]:
    """Return {name: (embedding, whether it was set upright)} of the photos that are not refused."""
    crops, facts = [], []
    for path in paths:
        photo = np.ascontiguousarray(np.rot90(read_image(path), turn // 90))
        faces = model.find_all(photo)
        face = main_face(faces, photo.shape) if faces else None
        if face is not None and not face.is_uncertain:
            crops.append(model.crop(photo, face))
            facts.append((path.stem, (turn + face.turn) % 360 == 0))
    rows = model.embed_crops(np.stack(crops))
    return {name: (row, is_upright) for (name, is_upright), row in zip(facts, rows, strict=True)}


def embed_bare(model: FaceModel, detector: Detector, paths: list[Path], turn: int) -> dict:
    """Return the same from a detector that is believed."""
    crops, names = [], []
    for path in paths:
        photo = np.ascontiguousarray(np.rot90(read_image(path), turn // 90))
        faces = find_faces(detector.detect, photo, None)
        if faces:
            crops.append(model.crop(photo, main_face(faces, photo.shape)))
            names.append(path.stem)
    rows = model.embed_crops(np.stack(crops))
    return {name: (row, turn == 0) for name, row in zip(names, rows, strict=True)}


def report(name: str, found: dict[int, dict], pairs: Pairs, num_photos: int, best: float) -> None:
    upright = found[0]
    right = accuracy(upright, pairs, best)
    print(
        f"{name}: {len(upright)} of {num_photos} photos have a face that is sure; photo to pair "
        f"decision {right:.4f} of {len(pairs)} pairs (cosine {best:.3f}, chosen on fold 2), "
        f"{accuracy(upright, reported(pairs), best):.4f} on L to Z"
    )
    for turn in TURNS[1:]:
        rows = found[turn]
        wrong = sum(not is_upright for _, is_upright in rows.values())
        refused = num_photos - len(rows)
        for words, some in (("all", pairs), ("L to Z", reported(pairs))):
            print(
                f"  turned by {turn:3}, {words:6}: {len(rows) - wrong} set upright, {refused} "
                f"refused, {wrong} wrong; strangers accepted {strangers(rows, some, best):.2%}, "
                f"genuine pairs {genuine(rows, some, best):.2%}"
            )


def read_pairs(path: Path) -> Pairs:
    pairs = []
    for line in path.read_text().splitlines():
        fields = line.split()
        if len(fields) == 3:
            pairs.append((name_of(fields[0], fields[1]), name_of(fields[0], fields[2]), True))
        elif len(fields) == 4:
            pairs.append((name_of(fields[0], fields[1]), name_of(fields[2], fields[3]), False))
    return pairs


def reported(pairs: Pairs) -> Pairs:
    return [pair for pair in pairs if not {pair[0][0], pair[1][0]} & set(CHOSEN_ON)]


def threshold(embedder: Embedder) -> float:
    """Return the cosine that is right most often for the pairs of fold 2, the middle of several."""
    pairs = read_pair_set(LFW / "lfw_folds_1_2.bin")
    half = len(pairs.is_genuine) // 2
    images = pairs.decoded(numbers=range(2 * half, len(pairs.images)))
    rows = embedder.plain_and_flipped(images, flip=False)[0]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines, is_genuine = (rows[::2] * rows[1::2]).sum(1), np.asarray(pairs.is_genuine[half:])
    grid = np.arange(0, 1, 0.001)
    right = ((cosines >= grid[:, None]) == is_genuine).mean(1)
    return float(grid[right == right.max()].mean())


def cosines_of(found: dict, pairs: Pairs) -> np.ndarray:
    """Return the cosines (P,), NaN where a photo was refused."""
    return np.array(
        [
            found[left][0] @ found[right][0] if left in found and right in found else np.nan
            for left, right, _ in pairs
        ]
    )


def accuracy(found: dict, pairs: Pairs, cut: float) -> float:
    """Return the share of pairs decided rightly; one that was refused is wrong."""
    cosines = cosines_of(found, pairs)
    is_genuine = np.array([pair[2] for pair in pairs])
    return float((np.isfinite(cosines) & ((cosines >= cut) == is_genuine)).mean())


def strangers(found: dict, pairs: Pairs, cut: float) -> float:
    """Return the share accepted of the impostor pairs whose photos were both taken."""
    cosines = cosines_of(found, [pair for pair in pairs if not pair[2]])
    return float((cosines[np.isfinite(cosines)] >= cut).mean())


def genuine(found: dict, pairs: Pairs, cut: float) -> float:
    """Return the share accepted of the genuine pairs whose photos were both taken."""
    cosines = cosines_of(found, [pair for pair in pairs if pair[2]])
    cosines = cosines[np.isfinite(cosines)]
    return float((cosines >= cut).mean())


def name_of(person: str, number: str) -> str:
    return f"{person}_{int(number):04d}"


if __name__ == "__main__":
    main()
