"""How long a photo takes to become an embedding, stage by stage.

    python deploy/benchmark.py
    python deploy/benchmark.py --model model-r50/model,0 --gpu 0 --repetitions 300 photo.jpg

Medians over the repetitions, in milliseconds.  Without an image a photo of scikit-image's is
taken.  Run nothing else meanwhile.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import median
import sys
import time

from arcface_mxnet.align.arguments import add_detector_arguments, chosen_detector
from arcface_mxnet.align.crop import align_face
from arcface_mxnet.align.face import main_face
from arcface_mxnet.align.template import crop_size
from arcface_mxnet.cli import add_image_size_argument, run
from arcface_mxnet.data.images import decode_bgr
from arcface_mxnet.embedding.arguments import add_embedding_arguments, open_embedder
from arcface_mxnet.embedding.face_model import FaceModel
import cv2
import numpy as np

STAGES = ("decode", "detect", "align", "embed")
WARM_UP = 3


def time_stages(model: FaceModel, photos: Sequence[bytes], repetitions: int) -> dict[str, float]:
    """Return the median seconds of each stage, over repetitions of the encoded photos in turn.

    Raises ValueError if a photo has no face.
    """
    times: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for number in range(-WARM_UP, repetitions):
        photo = photos[number % len(photos)]
        marks = [time.perf_counter()]
        bgr = decode_bgr(photo)
        marks.append(time.perf_counter())
        faces = model.detector.detect(bgr)
        marks.append(time.perf_counter())
        if not faces:
            raise ValueError(f"photo {number % len(photos) + 1} has no face; give another")
        crop = align_face(bgr, main_face(faces, bgr.shape).landmarks, model.size)
        marks.append(time.perf_counter())
        model.embed_crops(crop[None])
        marks.append(time.perf_counter())
        if number >= 0:
            for stage, seconds in zip(STAGES, np.diff(marks), strict=True):
                times[stage].append(float(seconds))
    return {stage: median(values) for stage, values in times.items()}


def table(times: dict[str, float]) -> str:
    """Return the lines that show the time and the share of each stage."""
    whole = sum(times.values())
    rows = [f"{name:8} {1000 * t:8.1f} ms {t / whole:6.0%}" for name, t in times.items()]
    return "\n".join([*rows, f"{'in all':8} {1000 * whole:8.1f} ms"])


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("images", nargs="*", metavar="IMAGE", help="photos with a face, taken in turn")
    add_image_size_argument(parser)
    add("--model", default="models/sface-m1,0", help="PREFIX,NUMBER or .onnx (%(default)s)")
    add_detector_arguments(parser)
    add_embedding_arguments(parser)
    add("--flip", type=int, default=0, choices=(0, 1), help="add the mirrored image (default: 0)")
    add("--repetitions", type=int, default=100, help="timed passes (default: 100)")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)

    def work() -> None:
        if args.repetitions < 1:
            raise ValueError(f"--repetitions {args.repetitions}: must be at least 1")
        size = crop_size(args.image_size)
        photos = [Path(path).read_bytes() for path in args.images] or [_photo()]
        embedder = open_embedder(args, args.model, batch_size=1, flip=bool(args.flip))
        times = time_stages(
            FaceModel(chosen_detector(args), embedder, size=size), photos, args.repetitions
        )
        print(f"{args.model} with {embedder.engine.name}, {args.repetitions} passes, medians")
        print(table(times))

    return run(work)


def _photo() -> bytes:
    """Return a JPEG of 512x512 with one face, which comes with scikit-image."""
    from skimage import data

    bgr = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr)[1].tobytes()


if __name__ == "__main__":
    sys.exit(main())
