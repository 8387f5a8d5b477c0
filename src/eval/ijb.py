"""IJB-B and IJB-C: template verification 1:1 and open-set identification 1:N.

    arcface-ijb --data-dir IJB/IJBC --target IJBC --model model/r100,1 --features ijbc_r100.npy
    arcface-ijb --data-dir IJB/IJBC --target IJBC --features ijbc_r100.npy --all-switches

All lists and image files are checked first.  The images are aligned, embedded once and kept in
--features (an interrupted run goes on); then every switch of the aggregation costs seconds.  TAR
is exact: the largest whose FAR does not exceed the one named (the published script takes the
nearest point of the curve).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import hashlib
from itertools import product
from pathlib import Path
import sys

from arcface_mxnet.align.crop import align_face
from arcface_mxnet.cli import run
from arcface_mxnet.data.images import read_image
from arcface_mxnet.embedding.arguments import add_network_arguments, embedding_facts, open_embedder
from arcface_mxnet.embedding.stored_embeddings import num_stored, read_embeddings, store_embeddings
from arcface_mxnet.eval.evaluation import RateAtFar, rates_at_fars
from arcface_mxnet.eval.ijb_checks import ProtocolLists, present_faces, read_protocols
from arcface_mxnet.eval.ijb_lists import GALLERIES, FaceList, read_faces
from arcface_mxnet.eval.scores import impostors_needed
from arcface_mxnet.eval.templates import (
    NORMS,
    SearchResult,
    TemplateOptions,
    TemplateSums,
    mean_result,
    pair_cosines,
    rows_of,
    search,
)
import cv2
import numpy as np

SIZE = (112, 112)  # height, width
PROTOCOLS = ("1:1", "1:N")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arcface-ijb",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data-dir", required=True, help="folder with loose_crop/ and meta/")
    add("--target", choices=tuple(GALLERIES), default="IJBC", help="benchmark (%(default)s)")
    add("--model", required=True, help="checkpoint PREFIX,NUMBER or FILE.onnx")
    add("--features", required=True, help="where the embeddings are kept, FILE.npy: 4 KiB an image "
        "of 512 numbers")  # fmt: skip
    add("--protocol", default="1:1,1:N", help="what is evaluated (%(default)s)")
    add("--norm", choices=NORMS, default="keep", help="length of an image's embedding: keep it, so "
        "that clear images weigh more, or unit (%(default)s)")  # fmt: skip
    add("--detector-score", type=int, choices=(0, 1), default=1, help="1: multiply embeddings by "
        "the face detector's score (%(default)s)")  # fmt: skip
    add("--flip", type=int, choices=(0, 1), default=1, help="1: add the embedding of the mirrored "
        "image (%(default)s)")  # fmt: skip
    add("--skip-missing", action="store_true", help="leave missing or bad images out of their "
        "templates; every result says how many (default: an error that names them)")  # fmt: skip
    add("--all-switches", action="store_true", help="evaluate all eight of the three switches")
    add_network_arguments(parser, batch_size=64)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: evaluate(arguments))


def evaluate(arguments: argparse.Namespace) -> None:
    """Embed what is not embedded yet and print the tables."""
    protocols = [name.strip() for name in arguments.protocol.split(",")]
    if not set(protocols) <= set(PROTOCOLS):
        raise ValueError(f"--protocol {arguments.protocol}: known are {', '.join(PROTOCOLS)}")
    root = Path(arguments.data_dir)
    faces = read_faces(root, arguments.target)
    lists = read_protocols(root, arguments.target, protocols, faces.template_ids)
    list_path = root / "meta" / f"{arguments.target.lower()}_face_tid_mid.txt"
    facts = embedding_facts(arguments, arguments.model)
    num_done = num_stored(arguments.features, facts | faces_fact(faces), len(faces.paths))
    faces, num_missing = present_faces(
        faces, list_path, skip=arguments.skip_missing, num_done=num_done
    )
    note = f"; {num_missing} missing images left out of their templates" if num_missing else ""
    store_embeddings(
        arguments.features,
        facts | faces_fact(faces),
        len(faces.paths),
        lambda start: aligned_faces(faces, start),
        lambda: open_embedder(arguments, arguments.model),
    )
    for options in chosen_options(arguments):
        print(f"{arguments.target}, {options.describe()}{note}")
        template_ids, features = template_features(arguments.features, faces, options)
        if lists.pairs:
            left, right, is_genuine = lists.pairs
            cosines = pair_cosines(features, template_ids, left, right)
            print_rates(rates_at_fars(cosines, is_genuine))
        if lists.probes:
            print_search(search_galleries(lists, template_ids, features))


def faces_fact(faces: FaceList) -> dict[str, str]:
    """Return what of the lists decides the embeddings: names, their order and the landmarks."""
    names = "\n".join(path.name for path in faces.paths) + str(faces.landmarks.tobytes())
    return {"list": hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()}


def chosen_options(arguments: argparse.Namespace) -> list[TemplateOptions]:
    """Return the switches to evaluate."""
    if arguments.all_switches:
        return [TemplateOptions(*s) for s in product(NORMS, (True, False), (True, False))]
    return [TemplateOptions(arguments.norm, bool(arguments.detector_score), bool(arguments.flip))]


def aligned_faces(faces: FaceList, start: int) -> Iterator[np.ndarray]:
    """Yield the aligned crops, uint8 RGB (112, 112, 3), from image number start on."""
    for path, landmarks in zip(faces.paths[start:], faces.landmarks[start:], strict=True):
        yield cv2.cvtColor(align_face(read_image(path), landmarks, SIZE), cv2.COLOR_BGR2RGB)


def template_features(
    features_path: str, faces: FaceList, options: TemplateOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Return (template ids ascending, unit features (T, D)), reading the images in blocks."""
    sums = TemplateSums(faces.template_ids, faces.media_ids, faces.detector_scores, options)
    for start, plain, flipped in read_embeddings(features_path, len(faces.paths)):
        sums.add(start, plain, flipped)
    return sums.templates()


def search_galleries(
    lists: ProtocolLists, template_ids: np.ndarray, features: np.ndarray
) -> SearchResult:
    """Return the mean of both galleries, each searched by itself with all probes."""
    probes, subjects = lists.probes
    probe_features = features[rows_of(probes, template_ids, "probe template")]
    results = []
    for gallery, gallery_subjects in lists.galleries:
        rows = rows_of(gallery, template_ids, "gallery template")
        results.append(search(probe_features, subjects, features[rows], gallery_subjects))
    return mean_result(results)


def print_rates(rates: tuple[RateAtFar, ...]) -> None:
    for rate in rates:
        if rate.point is None:
            print(
                f"  TAR@FAR={rate.wanted_far:.0e}: needs {rate.impostors_needed:,} impostor pairs"
            )
            continue
        low, high = rate.interval
        print(
            f"  TAR@FAR={rate.wanted_far:.0e}: {100 * rate.point.tar:.2f} % "
            f"({100 * low:.2f} to {100 * high:.2f}) at cosine {rate.point.threshold:.4f}"
        )


def print_search(result: SearchResult) -> None:
    for rank, rate in result.rank_rates.items():
        print(f"  top-{rank}: {100 * rate:.2f} %")
    for fpir, rate in result.tpir.items():
        shown = f"too few unmated probes, it needs {impostors_needed(fpir):,}"
        print(f"  TPIR@FPIR={fpir:g}: {shown if rate is None else f'{100 * rate:.2f} %'}")


if __name__ == "__main__":
    sys.exit(main())
