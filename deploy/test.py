"""One image: its embedding.  Two images: are they one person?

    python deploy/test.py photo.jpg
    python deploy/test.py --output npy photo.jpg > photo.npy
    python deploy/test.py --threshold 1.24 one.jpg other.jpg

A photo is searched for its main face; an image of exactly --image-size is taken for an aligned
crop.  Exit code 0: done; 1: no face in an image; 2: bad input.
"""

from __future__ import annotations

import argparse
import io
import json
import sys

from arcface_mxnet.align.arguments import add_detector_arguments, chosen_detector
from arcface_mxnet.align.template import crop_size
from arcface_mxnet.cli import add_image_size_argument, run
from arcface_mxnet.data.images import read_image
from arcface_mxnet.embedding.arguments import add_embedding_arguments, open_embedder
from arcface_mxnet.embedding.face_model import FaceModel, NoFaceError
import numpy as np

NO_FACE = 1
PUBLISHED_THRESHOLD = 1.24  # squared L2 between unit vectors


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="one image or two")
    add_image_size_argument(parser)
    add("--model", default="models/sface-m1,0", help="PREFIX,NUMBER or .onnx (%(default)s)")
    add_detector_arguments(parser)
    add_embedding_arguments(parser)
    add(
        "--det", type=int, default=0, choices=(0, 1, 2),
        help="0: look for faces in the whole photo; 1 or 2: the image is one face box, find its "
        "landmarks (default: 0)",
    )  # fmt: skip
    add(
        "--input", default="auto", choices=("auto", "photo", "crop"),
        help="crop: aligned already, no detection (default: auto, by the size)",
    )  # fmt: skip
    add("--flip", type=int, default=0, choices=(0, 1), help="add the mirrored image (default: 0)")
    add(
        "--threshold", type=float, default=PUBLISHED_THRESHOLD,
        help="squared L2 distance, 0..4, up to which two images are one person (default: 1.24)",
    )  # fmt: skip
    add(
        "--output", default="json", choices=("json", "npy", "text"),
        help="form of the result on standard output; npy: float32 (1 or 2, D) (default: json)",
    )  # fmt: skip
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)

    def work() -> int:
        try:
            embeddings = _embed(args)
        except NoFaceError as error:
            print(f"no face: {error}", file=sys.stderr)
            return NO_FACE
        _write(args, embeddings)
        return 0

    return run(work)


def _embed(args: argparse.Namespace) -> np.ndarray:
    """Return the embeddings (1 or 2, D) of the images."""
    if len(args.images) > 2:
        raise ValueError(f"{len(args.images)} images; give one, or two to compare")
    if not 0 <= args.threshold <= 4:
        raise ValueError(f"--threshold {args.threshold}: a squared L2 distance, from 0 to 4")
    size = crop_size(args.image_size)
    images = [read_image(path) for path in args.images]
    embedder = open_embedder(args, args.model, batch_size=1, flip=bool(args.flip))
    detector = None
    rows = []
    for path, image in zip(args.images, images, strict=True):
        is_crop = args.input == "crop" or (args.input == "auto" and image.shape[:2] == size)
        if is_crop and image.shape[:2] != size:
            raise ValueError(f"{path}: {image.shape[:2]} is not the crop size {size}")
        if detector is None and not is_crop:
            detector = chosen_detector(args)
        model = FaceModel(detector, embedder, size=size, limited=args.det > 0)
        try:
            rows.append(model.embed_crops(image[None])[0] if is_crop else model.embed(image))
        except NoFaceError as error:
            raise NoFaceError(f"{path}: {error}") from None
    return np.stack(rows)


def _write(args: argparse.Namespace, embeddings: np.ndarray) -> None:
    if args.output == "npy":
        buffer = io.BytesIO()
        np.save(buffer, embeddings)
        sys.stdout.buffer.write(buffer.getvalue())
        return
    if len(embeddings) == 1:
        values = [round(float(value), 7) for value in embeddings[0]]
        print(json.dumps(values) if args.output == "json" else " ".join(map(str, values)))
        return
    cosine = float(embeddings[0] @ embeddings[1])
    distance = float(((embeddings[0] - embeddings[1]) ** 2).sum())
    verdict = "same" if distance <= args.threshold else "different"
    result = {"cosine": cosine, "squared_l2": distance, "threshold": args.threshold}
    if args.output == "json":
        print(json.dumps(result | {"verdict": verdict}))
    else:
        print(*(f"{name} {value:.6f}" for name, value in result.items()), verdict, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
