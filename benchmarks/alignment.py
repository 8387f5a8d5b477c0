"""Detection, alignment, and the way from a photo to an embedding.

    python -m benchmarks.alignment

Needs the pretrained networks (arcface-fetch fetch sface mtcnn) and the LFW photos of
../shared/data.  Times alternate within one run, medians; figures are over all photos of fold 1.
"""

from __future__ import annotations

from pathlib import Path
import runpy

from arcface_mxnet.align.crop import align_face
from arcface_mxnet.align.detectors import open_detector
from arcface_mxnet.align.face import main_face
from arcface_mxnet.align.mtcnn import MtcnnDetector
from arcface_mxnet.data.images import read_image
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.face_model import FaceModel
from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
from arcface_mxnet.training.initial import initial_params
import cv2
import mxnet as mx
import numpy as np

from .plain_mtcnn import PlainDetector
from .timing import alternate

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models"
LFW = ROOT.parent / "shared/data/lfw"
TIMED_PHOTOS = 30
YUNET_PHOTOS = 100
SWAPPED = [1, 0, 2, 4, 3]  # landmarks in a mirror
EYES_APART, VIEW_SIZE = 100, 512  # pixels, of the views that YuNet gets
VIEWS = (
    (0, 0, 1),
    (5, 3, 1.05),
    (-4, 6, 0.95),
    (7, -5, 1.1),
    (-6, -3, 0.9),
    (3, -9, 1),
)  # x, y, zoom


def main() -> None:
    for needed in (LFW, MODELS / "sface-m1-0000.params", MODELS / "mtcnn"):
        if not needed.exists():
            print(f"skipped: no {needed.relative_to(ROOT.parent)}")
            return
    paths = sorted((LFW / "fold_1").rglob("*.jpg"))
    detector = MtcnnDetector(mx.cpu(), model_dir=MODELS / "mtcnn")
    detection_speed(detector, paths[:TIMED_PHOTOS])
    stage_times(detector, paths[:TIMED_PHOTOS])
    detectors_by_faces(paths[:TIMED_PHOTOS])
    found = find_all(detector, paths)
    landmark_distance(found)
    verification(found)


def detection_speed(detector: MtcnnDetector, paths: list[Path]) -> None:
    plain = PlainDetector(MODELS / "mtcnn")
    photos = [read_image(path) for path in paths]
    seconds = alternate(
        {
            "plain port": lambda: [plain.detect(photo) for photo in photos],
            "ours": lambda: [detector.detect(photo) for photo in photos],
        },
        rounds=5,
    )
    ms = {name: 1000 * value / len(photos) for name, value in seconds.items()}
    print(
        f"detection, 250x250: plain port {ms['plain port']:.1f} ms, ours {ms['ours']:.1f} ms, "
        f"{ms['plain port'] / ms['ours']:.2f} times as fast"
    )


def stage_times(detector: MtcnnDetector, paths: list[Path]) -> None:
    deploy = runpy.run_path(str(ROOT / "deploy/benchmark.py"))
    options = NetworkOptions(emb_size=128, output="GDC")
    symbol = build_network("y1", options)
    shapes = {"data": (1, 3, 112, 112)}
    parameters = initial_params(symbol, shapes, NETWORKS["y1"].initializer())
    embedders = {
        "m1": Embedder(f"{MODELS}/sface-m1,0", mx.cpu(), batch_size=1, flip=False),
        "y1 (untrained)": Embedder.from_parameters(
            symbol, *parameters, mx.cpu(), batch_size=1, flip=False
        ),
    }
    photos = [path.read_bytes() for path in paths]
    for name, embedder in embedders.items():
        print(f"photo of 250x250 to an embedding by {name}")
        times = deploy["time_stages"](FaceModel(detector, embedder), photos, 2 * len(photos))
        print(deploy["table"](times))


def detectors_by_faces(paths: list[Path]) -> None:
    """Print ms per photo and stage of every detector, for one face and for a crowd."""
    single = read_image(paths[0])
    crowd = np.vstack(
        [np.hstack([read_image(path) for path in paths[i : i + 5]]) for i in range(0, 25, 5)]
    )
    embedder = Embedder(f"{MODELS}/sface-m1,0", batch_size=16, flip=False)
    for name, folder in (("mtcnn", MODELS / "mtcnn"), ("yunet", MODELS)):
        model = FaceModel(open_detector(folder), embedder)
        for photo in (single, crowd):
            faces = model.find_all(photo)
            crops = np.stack([model.crop(photo, face) for face in faces])
            works = {
                "detect": lambda model=model, photo=photo: model.detector.detect(photo),
                "detect and doubt": lambda model=model, photo=photo: model.find_all(photo),
                "align": lambda model=model, photo=photo, faces=faces: [
                    model.crop(photo, face) for face in faces
                ],
                "embed": lambda model=model, crops=crops: model.embed_crops(crops),
            }
            seconds = alternate(works, rounds=9)
            print(
                f"{name}, {photo.shape[1]}x{photo.shape[0]}, {len(faces)} faces: "
                + ", ".join(f"{stage} {1000 * value:.1f} ms" for stage, value in seconds.items())
            )


def find_all(detector: MtcnnDetector, paths: list[Path]) -> dict[str, tuple]:
    """Return {file name: (photo, landmarks)} of the photos with a face."""
    found = {}
    for path in paths:
        photo = read_image(path)
        faces = detector.detect(photo)
        if faces:
            found[path.stem] = photo, main_face(faces, photo.shape).landmarks
    print(f"a face found in {len(found)} of {len(paths)} photos, {len(found) / len(paths):.2%}")
    return found


def landmark_distance(found: dict[str, tuple]) -> None:
    """Print how far our landmarks are from YuNet's, and how far each is from its own."""
    detector = MtcnnDetector(mx.cpu(), model_dir=MODELS / "mtcnn")
    photos = [photo for photo, _ in list(found.values())[:YUNET_PHOTOS]]
    ours = np.array([landmarks for _, landmarks in list(found.values())[:YUNET_PHOTOS]])
    flipped = [photo[:, ::-1].copy() for photo in photos]
    ours_flipped = np.array(
        [mirrored(main_face(detector.detect(photo), photo.shape).landmarks) for photo in flipped]
    )
    pairs = list(zip(photos, ours, strict=True))
    whole = np.array([yunet(photo, near) for photo, near in pairs])
    views = np.array([yunet_views(photo, near) for photo, near in pairs])  # (N, 12, 5, 2)
    first, mirror, best = views[:, 0], views[:, 1], views.mean(1)
    offset = np.median(best - ours, 0)  # (5, 2), what the two call an eye or a mouth corner
    print(f"landmarks in {len(photos)} photos, median distance in eye distances")
    for name, one, other in (
        ("ours to YuNet, whole photo", ours, whole),
        ("ours to YuNet, face enlarged", ours, first),
        ("ours to YuNet, mean of 12 views", ours, best),
        ("  less the offset of each point", ours + offset, best),
        ("ours to ours in the mirror", ours, ours_flipped),
        ("YuNet to YuNet in the mirror", first, mirror),
        ("  six views to their mirror", views[:, ::2].mean(1), views[:, 1::2].mean(1)),
    ):
        points, centres = distances(one, other)
        print(f"  {name:32} each point {points:.1%}, centre of the five {centres:.1%}")
    eyes = np.linalg.norm(ours[:, 0] - ours[:, 1], axis=1)
    apart = np.median(np.linalg.norm(best - ours, axis=2) / eyes[:, None], 0)
    names = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")
    for name, share, (x, y) in zip(names, apart, offset / np.median(eyes), strict=True):
        print(f"  {name:32} {share:.1%}; YuNet's lies {x:+.1%}, {y:+.1%} from ours in x, y")


def yunet(photo: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return the landmarks (5, 2) that YuNet finds nearest to others."""
    size = photo.shape[1::-1]
    _, faces = cv2.FaceDetectorYN.create(str(MODELS / "yunet.onnx"), "", size, 0.3).detect(photo)
    points = faces[:, 4:14].reshape(-1, 5, 2)
    return min(points, key=lambda found: np.linalg.norm(found - near))


def yunet_views(photo: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return YuNet's landmarks (12, 5, 2) in six enlarged views of a face, each also mirrored.

    YuNet is at its best on faces of about 300 pixels; in the photos they have 125.
    """
    found = []
    for shift_x, shift_y, zoom in VIEWS:
        for mirror in (1, -1):
            scale = zoom * EYES_APART / np.linalg.norm(near[0] - near[1])
            linear = scale * np.diag([mirror, 1.0])
            middle = np.array([VIEW_SIZE / 2 + shift_x, VIEW_SIZE / 2 + shift_y])
            matrix = np.column_stack([linear, middle - linear @ near.mean(0)])
            view = cv2.warpAffine(photo, matrix, (VIEW_SIZE, VIEW_SIZE), flags=cv2.INTER_CUBIC)
            order = [0, 1, 2, 3, 4] if mirror > 0 else SWAPPED
            there = yunet(view, (near @ linear.T + matrix[:, 2])[order])[order]
            found.append((there - matrix[:, 2]) @ np.linalg.inv(linear).T)
    return np.array(found)


def mirrored(landmarks: np.ndarray, width: int = 250) -> np.ndarray:
    """Return landmarks of the mirror image: left and right exchanged."""
    return (width - 1, 0) + landmarks[SWAPPED] * (-1, 1)


def distances(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return the median distance of points and of centres, in eye distances."""
    eyes = np.linalg.norm(one[:, 0] - one[:, 1], axis=1)
    points = np.linalg.norm(one - other, axis=2) / eyes[:, None]
    centres = np.linalg.norm((one - other).mean(1), axis=1) / eyes
    return float(np.median(points)), float(np.median(centres))


def verification(found: dict[str, tuple]) -> None:
    """Print the accuracy over the 600 pairs of fold 1; a pair without a face is a miss."""
    embedder = Embedder(f"{MODELS}/sface-m1,0", mx.cpu(), flip=False)
    crops = np.stack([align_face(photo, points)[..., ::-1] for photo, points in found.values()])
    embeddings = dict(zip(found, embedder(crops), strict=True))
    similarities, genuine = [], []
    for line in (LFW / "pairs_fold_1.txt").read_text().splitlines():
        fields = line.split()
        if len(fields) not in (3, 4):
            continue  # the first line holds counts
        left = name_of(fields[0], fields[1])
        right = name_of(fields[0] if len(fields) == 3 else fields[2], fields[-1])
        genuine.append(len(fields) == 3)
        is_there = left in embeddings and right in embeddings
        similarities.append(embeddings[left] @ embeddings[right] if is_there else np.nan)
    similarities, genuine = np.array(similarities), np.array(genuine)
    thresholds = np.append(np.unique(similarities[~np.isnan(similarities)]), 2)
    hits = [
        (~np.isnan(similarities) & ((similarities >= threshold) == genuine)).mean()
        for threshold in thresholds
    ]
    print(
        f"photo, MTCNN, alignment, m1: {max(hits):.4f} of {len(genuine)} pairs right at the best "
        f"threshold (cosine {thresholds[int(np.argmax(hits))]:.3f})"
    )


def name_of(person: str, number: str) -> str:
    return f"{person}_{int(number):04d}"


if __name__ == "__main__":
    main()
