"""One image: its embedding.  Two images: are they one person?

    python deploy/test.py photo.jpg
    python deploy/test.py --output npy photo.jpg > photo.npy
    python deploy/test.py --threshold 1.24 one.jpg other.jpg
    python deploy/test.py --threshold-card card.json --far 0.001 one.jpg other.jpg
    python deploy/test.py --faces all group.jpg

A photo is searched for its main face, whichever quarter turn it lies in; an image of exactly
--image-size whose landmarks lie where those of aligned crops do is taken for one.  Several faces, a
turned photo and a doubtful face are told on standard error.
Exit code 0: done; 1: no face, or an uncertain one, in an image; 2: bad input.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from typing import NamedTuple

from arcface_mxnet.align.aligned import is_aligned
from arcface_mxnet.align.arguments import add_detector_arguments, chosen_detector
from arcface_mxnet.align.face import Face, main_face
from arcface_mxnet.align.quality import quality
from arcface_mxnet.align.template import crop_size
from arcface_mxnet.cli import add_image_size_argument, run
from arcface_mxnet.data.images import MAX_PIXELS, read_image
from arcface_mxnet.embedding.arguments import add_embedding_arguments, open_embedder
from arcface_mxnet.embedding.face_model import UNCERTAIN, FaceModel, NoFaceError
from arcface_mxnet.embedding.vectors import cosine, squared_distances
from arcface_mxnet.eval.deployed_threshold import add_threshold_arguments, threshold_source
from arcface_mxnet.given import refuse_changed
import numpy as np

NO_FACE = 1
PUBLISHED_THRESHOLD = 1.24  # squared L2 between unit vectors


class Found(NamedTuple):
    """What one image gave.  faces: none for a crop.  embeddings: (1 or number of faces, D)."""

    path: str
    faces: list[Face]
    image: np.ndarray
    embeddings: np.ndarray


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="one image or two")
    add_image_size_argument(parser)
    add("--model", default="models/sface-m1,0", help="PREFIX,NUMBER or .onnx (%(default)s)")
    add_detector_arguments(parser)
    add(
        "--det", type=int, default=0, choices=(0, 1, 2),
        help="0: look for faces in the whole photo; 1 or 2: the image is one face box, find its "
        "landmarks (default: 0)",
    )  # fmt: skip
    add(
        "--input", default="auto", choices=("auto", "photo", "crop"),
        help="crop: aligned already, no detection (default: auto, by size and landmarks)",
    )  # fmt: skip
    add(
        "--faces", default="main", choices=("main", "all"),
        help="of each photo the large and central face, or every one, as JSON objects with box, "
        "score, doubts, quality and embedding (default: main)",
    )  # fmt: skip
    add(
        "--uncertain", default="refuse", choices=UNCERTAIN,
        help="a main face whose score or landmarks speak against it (default: refuse)",
    )  # fmt: skip
    add(
        "--max-pixels", type=int, default=MAX_PIXELS,
        help="pixels of the largest image that is decoded (default: %(default)s)",
    )  # fmt: skip
    add("--flip", type=int, default=0, choices=(0, 1), help="add the mirrored image (default: 0)")
    add_threshold_arguments(parser, PUBLISHED_THRESHOLD)
    add(
        "--output", default="json", choices=("json", "npy", "text"),
        help="form of the result on standard output; npy: float32, a row for each image, or face "
        "(default: json)",
    )  # fmt: skip
    add_embedding_arguments(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)

    def work() -> int:
        try:
            found = _embed(args)
        except NoFaceError as error:
            print(f"no face: {error}", file=sys.stderr)
            return NO_FACE
        _write(args, found)
        return 0

    return run(work)


def _embed(args: argparse.Namespace) -> list[Found]:
    """Return what each of the images gives."""
    if len(args.images) > 2:
        raise ValueError(f"{len(args.images)} images; give one, or two to compare")
    if args.max_pixels < 1:
        raise ValueError(f"--max-pixels {args.max_pixels}: at least 1")
    if args.input == "crop":
        names = ("det", "min_size", "uncertain", "faces")
        refuse_changed(build_parser(), args, names, "--input crop, which seeks no face,")
    if args.faces == "all":
        by = "--faces all, which tells the doubts of each,"
        refuse_changed(build_parser(), args, ("uncertain",), by)
    if args.det and args.input == "photo":
        by = f"--det {args.det}, which looks for no size,"
        refuse_changed(build_parser(), args, ("min_size",), by)
    source = threshold_source(args, PUBLISHED_THRESHOLD)
    size = crop_size(args.image_size)
    images = [read_image(path, max_pixels=args.max_pixels) for path in args.images]
    embedder = open_embedder(args, args.model, batch_size=1, flip=bool(args.flip))
    args.threshold = source.squared_l2(embedder.facts, flip=bool(args.flip), crop=size)
    detector = None if args.input == "crop" else chosen_detector(args)
    model = FaceModel(detector, embedder, size=size, limited=args.det > 0, uncertain=args.uncertain)
    return [
        _embed_one(path, image, model, args)
        for path, image in zip(args.images, images, strict=True)
    ]


def _embed_one(path: str, image: np.ndarray, model: FaceModel, args: argparse.Namespace) -> Found:
    if args.input == "crop" and image.shape[:2] != model.size:
        raise ValueError(f"{path}: {image.shape[:2]} is not the crop size {model.size}")
    if args.input == "crop" or (args.input == "auto" and _is_crop(path, image, model)):
        return Found(path, [], image, model.embed_crops(image[None]))
    try:
        if args.faces == "all":
            faces, embeddings = model.embed_all(image)
        else:
            faces = model.find_all(image)
            face = model.find(image, faces)
            _tell(path, faces, face)
            embeddings = model.embed_crops(model.crop(image, face)[None])
    except NoFaceError as error:
        raise type(error)(f"{path}: {error}") from None
    return Found(path, faces, image, embeddings)


def _is_crop(path: str, image: np.ndarray, model: FaceModel) -> bool:
    """Tell a crop from a photo of the same size."""
    if image.shape[:2] != model.size:
        return False
    is_crop = is_aligned(image, model.detector)
    if is_crop is None:
        print(
            f"{path}: taken for an aligned crop by its size alone, no face was found in it; "
            "--input photo or crop says which it is",
            file=sys.stderr,
        )
    return is_crop is not False


def _tell(path: str, faces: list[Face], face: Face) -> None:
    """Say on standard error what a user may not expect of the face that was taken."""
    said = []
    if len(faces) > 1:
        x, y = face.box.reshape(2, 2).mean(0)
        said.append(f"{len(faces)} faces; the large and central one, at {x:.0f},{y:.0f}, is taken")
    if face.turn:
        said.append(f"the photo is turned; {face.turn} degrees counterclockwise set it upright")
    if face.is_uncertain:
        said.append(f"uncertain: {'; '.join(face.doubts)}")
    for words in said:
        print(f"{path}: {words}", file=sys.stderr)


def _write(args: argparse.Namespace, found: list[Found]) -> None:
    embeddings = np.concatenate([one.embeddings for one in found])
    if args.output == "npy":
        buffer = io.BytesIO()
        np.save(buffer, embeddings)
        sys.stdout.buffer.write(buffer.getvalue())
    elif args.faces == "all":
        _write_all(args, found)
    elif len(embeddings) == 1:
        values = _numbers(embeddings[0])
        print(json.dumps(values) if args.output == "json" else " ".join(map(str, values)))
    else:
        _write_pair(args, found, embeddings)


def _write_pair(args: argparse.Namespace, found: list[Found], embeddings: np.ndarray) -> None:
    distance = float(squared_distances(embeddings[:1], embeddings[1:])[0])
    verdict = "same" if distance <= args.threshold else "different"
    result = {
        "cosine": cosine(embeddings[0], embeddings[1]),
        "squared_l2": distance,
        "threshold": args.threshold,
    }
    if args.output == "text":
        print(*(f"{name} {value:.6f}" for name, value in result.items()), verdict, sep="\n")
        return
    facts = [{"image": one.path, "num_faces": len(one.faces), **_main_facts(one)} for one in found]
    print(json.dumps(result | {"verdict": verdict, "images": facts}, allow_nan=False))


def _write_all(args: argparse.Namespace, found: list[Found]) -> None:
    """Write every face; of two images also the cosines of each with each."""
    if args.output == "text":
        for one in found:
            for embedding in one.embeddings:
                print(*_numbers(embedding))
        return
    images = [
        {
            "image": one.path,
            "faces": [
                {
                    **_facts(face),
                    "quality": quality(one.image, face).as_dict(),
                    "embedding": _numbers(embedding),
                }
                for face, embedding in zip(one.faces, one.embeddings, strict=True)
            ]
            or [{"is_crop": True, "embedding": _numbers(one.embeddings[0])}],
        }
        for one in found
    ]
    result: dict = {"images": images}
    if len(found) == 2:
        result["cosines"] = [
            [cosine(left, right) for right in found[1].embeddings] for left in found[0].embeddings
        ]
    print(json.dumps(result, allow_nan=False))


def _main_facts(one: Found) -> dict:
    if not one.faces:
        return {"is_crop": True}
    return _facts(main_face(one.faces, one.image.shape))


def _facts(face: Face) -> dict:
    """Return a face as JSON: pixels of the image, degrees, score 0..1."""
    return {
        "box": _numbers(face.box, 1),
        "landmarks": [_numbers(point, 1) for point in face.landmarks],
        "score": round(face.score, 5),
        "turn": face.turn,
        "doubts": list(face.doubts),
    }


def _numbers(values: np.ndarray, digits: int = 7) -> list[float]:
    return [round(float(value), digits) for value in values]


if __name__ == "__main__":
    sys.exit(main())
